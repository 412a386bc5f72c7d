"""Ink is bright wherever pictures are used, whatever tone the files have."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from study.data import datasets, tone
from study.data.datasets import Dataset
from study.data.source import Source
from study.data.tone import Tone


def rewrite(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    for path in folder.glob("*-images-*"):
        raw = path.read_bytes()
        images = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28)
        path.write_bytes(struct.pack(">IIII", 0x803, *images.shape) + change(images).astype(np.uint8).tobytes())


def is_dark_on_light(images: torch.Tensor) -> bool:
    return tone.tone_of(images).inverted


def test_mnist_is_bright_on_dark_and_its_negative_is_not(mnist_slice: Dataset) -> None:
    images = mnist_slice.images
    assert tone.light_ground_share(images) == 0
    assert tone.light_ground_share(255 - images) == 1
    assert mnist_slice.tone == Tone()


def test_heavy_ink_is_still_ink(mnist_slice: Dataset) -> None:
    """Most pixels bright, as in Fashion-MNIST: the border tells, not the mean."""
    thick = torch.nn.functional.max_pool2d(mnist_slice.images.float(), 7, 1, 3).to(torch.uint8)
    thick[:, 6:-6, 6:-6] = 255
    assert float(thick[:, 4:-4, 4:-4].float().mean()) > 128
    assert not is_dark_on_light(thick)


@pytest.mark.parametrize(("paper", "ink", "dark"), [(150, 20, True), (250, 130, True), (90, 250, False)])
def test_grey_paper_counts_by_the_ink_on_it(mnist_slice: Dataset, paper: int, ink: int, dark: bool) -> None:
    shade = mnist_slice.images.float() / 255
    assert is_dark_on_light((paper + (ink - paper) * shade).round().to(torch.uint8)) is dark


@pytest.mark.parametrize(("paper", "ink"), [(200, 30), (60, 250)])
def test_grey_paper_becomes_black_and_ink_white(mnist_slice: Dataset, paper: int, ink: int) -> None:
    """As predictions do with what they read: else a network that was trained on grey ground would know no picture."""
    shade = mnist_slice.images.float() / 255
    grey = (paper + (ink - paper) * shade).round().to(torch.uint8)
    found = tone.tone_of(grey)
    assert found.levels is not None
    apart = (found.applied(grey).int() - mnist_slice.images.int()).abs()
    assert int(apart.max()) <= 4  # rounding, and that MNIST's middle picture has ink of 254 or 255
    assert tone.tone_of(found.applied(grey)) == Tone()


def test_faint_pictures_are_not_blown_up(mnist_slice: Dataset) -> None:
    faint = (100 + mnist_slice.images.float() / 255 * 20).to(torch.uint8)
    assert tone.tone_of(faint) == Tone()


def test_blank_pictures_and_a_few_of_the_other_kind_decide_nothing(mnist_slice: Dataset) -> None:
    blank = torch.full((100, 28, 28), 255, dtype=torch.uint8)
    assert tone.light_ground_share(blank) == 0
    mostly = torch.cat([255 - mnist_slice.images[:90], mnist_slice.images[90:100], blank])
    assert is_dark_on_light(mostly)
    half = torch.cat([255 - mnist_slice.images[:500], mnist_slice.images[500:]])
    assert tone.is_mixed(half)
    assert not is_dark_on_light(half)


def test_the_training_images_decide_for_both_splits(tmp_path: Path, write_idx: Callable[[Path], Path]) -> None:
    bright = datasets.load_train("mine", write_idx(tmp_path / "bright"))
    folder = write_idx(tmp_path / "dark")
    rewrite(folder, lambda images: 255 - images)
    dark = datasets.load_train("mine", folder)
    assert (bright.tone, dark.tone) == (Tone(), Tone(inverted=True))
    assert torch.equal(bright.images, dark.images)
    assert torch.equal(
        datasets.load_test("mine", folder).images, datasets.load_test("mine", tmp_path / "bright").images
    )
    assert bright.sha256["train-images"] != dark.sha256["train-images"]


def test_what_was_recorded_stands(tmp_path: Path, write_idx: Callable[[Path], Path]) -> None:
    """An older study of dark ink, which was trained on it as it is, stays so."""
    folder = write_idx(tmp_path / "dark")
    rewrite(folder, lambda images: 255 - images)
    assert datasets.load_train(Source("mine", folder, tone=Tone())).images[0, 0, 0] == 255
