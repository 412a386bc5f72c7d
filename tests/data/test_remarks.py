"""What is said of a data set before training is paid for."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from study.data.datasets import Dataset
from study.data.duplicates import Repeats
from study.data.remarks import check_sizes, remarks, survey
from study.data.source import Source
from study.data.tone import Tone
from study.errors import DataError

NOTHING = Repeats(n_train=800, within_train=0, blank_train=0)


def test_a_sound_data_set_has_no_remarks(tmp_path: Path, write_idx: Callable[[Path], Path]) -> None:
    seen = survey(Source.asked(None, write_idx(tmp_path / "x")))
    assert seen.remarks == []
    assert seen.test is not None
    assert sum(seen.test.counts) == 200


def test_without_its_test_files_it_is_looked_at_all_the_same(tmp_path: Path, write_idx: Callable[[Path], Path]) -> None:
    folder = write_idx(tmp_path / "x")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    seen = survey(Source.asked(None, folder))
    assert seen.test is None
    assert seen.repeats.n_test is None


def test_a_test_file_that_is_the_training_file_is_refused(tmp_path: Path, write_idx: Callable[[Path], Path]) -> None:
    folder = write_idx(tmp_path / "x")
    for what in ("images-idx3", "labels-idx1"):
        shutil.copy(folder / f"train-{what}-ubyte", folder / f"t10k-{what}-ubyte")
    with pytest.raises(DataError, match="data set x: the training and the test images are the same file, sha256"):
        survey(Source.asked(None, folder))


def test_ink_is_remarked_on(mnist_slice: Dataset) -> None:
    (said,) = remarks(replace(mnist_slice, tone=Tone(inverted=True)), NOTHING)
    assert "dark ink on light paper" in said
    (said,) = remarks(replace(mnist_slice, tone=Tone(levels=(60, 200))), NOTHING)
    assert said.startswith("the ground is grey: levels 60 to 200 are stretched to 0 to 255")
    half = torch.cat([255 - mnist_slice.images[:500], mnist_slice.images[500:]])
    (said,) = remarks(replace(mnist_slice, images=half), NOTHING)
    assert said.startswith("50% of the training images are dark ink on light paper, the others bright on dark")


def test_a_class_of_one_is_named_with_the_least_that_works(mnist_slice: Dataset) -> None:
    kept = torch.cat([torch.nonzero(mnist_slice.labels != 9)[:, 0], torch.nonzero(mnist_slice.labels == 9)[:1, 0]])
    few = replace(mnist_slice, images=mnist_slice.images[kept], labels=mnist_slice.labels[kept])
    (said,) = remarks(few, NOTHING)
    assert said.startswith("class '9' with 1 training image: trained on, and never validated; 2 images are the least")


def test_copies_are_remarked_on_with_their_share(mnist_slice: Dataset) -> None:
    found = replace(NOTHING, n_validation=100, validation_in_train=1, n_test=200, test_in_train=50, blank_train=2)
    validation, test, blank = remarks(mnist_slice, found)
    assert validation.startswith("1 of 100 validation images (1 %) is also in the part that is trained on")
    assert test.startswith("50 of 200 test images (25 %) are also among the training images")
    assert blank.startswith("blank images, all of one grey level: 2 training;")


def test_too_small_is_said_with_the_least_that_works() -> None:
    check_sizes("x", n_train=24, n_test=4)
    with pytest.raises(DataError, match="data set x: 23 training images, expected at least 24"):
        check_sizes("x", n_train=23)
    with pytest.raises(DataError, match="3 test images, expected at least 4"):
        check_sizes("x", n_test=3)
