"""Data sets as resident tensors: load, verify, split.

`load_test` opens the test split; only evaluation may call it. `test_counts` counts its labels and checksums its files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from study.data import drop_ins, idx
from study.data.duplicates import Fingerprints
from study.data.folder import read_folder
from study.data.groups import order_of, split_by_groups
from study.data.raw import RawSplit
from study.data.source import Source, Split
from study.data.tone import AS_IT_IS, Tone, tone_of
from study.errors import DataError, UsageError

IMAGE_SIZE = 28
_COUNTED = 1 << 16  # pixels


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """`images` uint8 [N, 28, 28], `labels` int64 [N]."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """One split: `images` uint8 [N, 28, 28], ink bright, `labels` int64 [N], names of the classes, sha256 of the raw
    bytes by role ('train-images', 'train-labels', 'test-images', 'test-labels'), what was done to their tone, and the
    images' groups int64 [N], such as their writers, None where they are not known; what was done to the pictures on
    decoding, in sentences."""

    name: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    sha256: dict[str, str]
    tone: Tone = AS_IT_IS
    groups: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, indices: Tensor | NDArray[np.int64]) -> LabelledImages:
        """A copy of the examples at `indices` [M]."""
        chosen = torch.as_tensor(indices)
        return LabelledImages(self.images[chosen], self.labels[chosen])


@dataclass(frozen=True)
class SplitCounts:
    """Examples per class of a split whose images were not looked at, and sha256 by role."""

    classes: tuple[str, ...]
    counts: tuple[int, ...]
    sha256: dict[str, str]


def load_train(
    source: Source | str, data_dir: Path | None = None, expected_sha256: Mapping[str, str] | None = None
) -> Dataset:
    """The training data, validation included, of a known data set or of a folder of IDX files (then its name is free).

    `expected_sha256` by role, as recorded at first use, is enforced. Raises DataError for files that are missing or
    not what they should be, UsageError for an unknown name.
    """
    return _load(_source(source, data_dir, expected_sha256), "train")


def load_test(
    source: Source | str, data_dir: Path | None = None, expected_sha256: Mapping[str, str] | None = None
) -> Dataset:
    """The test split, likewise. For study/evaluation alone."""
    return _load(_source(source, data_dir, expected_sha256), "test")


def test_counts(source: Source | str, data_dir: Path | None = None) -> SplitCounts:  # noqa: PT028 (no pytest test)
    """Label counts of the test split and its files' sha256; no image is looked at."""
    raw = _read(_source(source, data_dir, None), "test")
    return SplitCounts(raw.classes, _counts(raw.labels, len(raw.classes)), raw.sha256)


def test_fingerprints(source: Source) -> Fingerprints:
    """Digests of the test split's images, to be compared with those of the training images; nothing else of them."""
    return Fingerprints.of(_load(source, "test").images)


def _source(source: Source | str, data_dir: Path | None, expected: Mapping[str, str] | None) -> Source:
    asked = source if isinstance(source, Source) else Source.asked(source, data_dir)
    return asked.enforcing(expected)


def _counts(labels: Tensor, n_classes: int) -> tuple[int, ...]:
    return tuple(int(n) for n in torch.bincount(labels, minlength=n_classes))


def _load(source: Source, split: Split) -> Dataset:
    raw = _read(source, split)
    tone = source.tone
    if tone is None:  # training images decide for both splits
        tone = tone_of((raw if split == "train" else _read(source, "train")).images)
    images = tone.applied(_resize(raw.images))
    classes = source.classes or raw.classes
    return Dataset(source.name, images, raw.labels, classes, raw.sha256, tone, raw.groups, raw.notes)


def _read(source: Source, split: Split) -> RawSplit:
    if source.folder is not None:
        return read_folder(source, split)
    if source.name == "mnist":
        bundled = Path(__file__).parent / "mnist"
        return read_folder(replace(source, folder=bundled, sha256={**source.sha256, **idx.MNIST_SHA256}), split)
    return drop_ins.download(source, split)


def _resize(images: Tensor) -> Tensor:
    """uint8 [N, H, W] to [N, 28, 28]: pixel areas averaged on the way down, bilinear on the way up."""
    height, width = images.shape[1:]
    if (height, width) == (IMAGE_SIZE, IMAGE_SIZE):
        return images
    down = height >= IMAGE_SIZE and width >= IMAGE_SIZE
    size = (IMAGE_SIZE, IMAGE_SIZE)
    parts = [
        F.interpolate(part.unsqueeze(1).float(), size, mode="area" if down else "bilinear")
        for part in torch.split(images, 4096)
    ]
    return torch.cat([part.squeeze(1).round().clamp(0, 255).to(torch.uint8) for part in parts])


# --- splitting -----------------------------------------------------------------------------------------------------


def split_of(dataset: Dataset, seed: int, sixth: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(train, validation) indices of a training set, as a new study has them."""
    return stratified_split(dataset.labels, seed, groups=dataset.groups, sixth=sixth)


def stratified_split(
    labels: Tensor | NDArray[np.int64],
    seed: int,
    fraction: float = 1 / 6,
    *,
    on_both_sides: bool = True,
    groups: NDArray[np.int64] | None = None,
    sixth: int = 0,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(train, validation) indices, each sorted int64: round(N · fraction) validation examples, every class in its share
    to within one, the largest remainders rounded up. The same for the same labels and seed.

    Of one seed there are six such validation parts and more, the first of which is `sixth` 0: six follow each other in
    one permutation of each class, and share no image but where six does not divide its count or it has fewer; the
    next six are of another permutation.

    A class of two examples or more stands on both sides, whatever its share, and one of a single example trains; not so
    without `on_both_sides`, as in studies that were made before this was seen to. With `groups` [N] a group stands on
    one side, and the shares are about those.
    """
    array = np.asarray(labels)
    if not 0 < fraction < 1:
        raise UsageError(f"validation fraction is {fraction}: expected between 0 and 1")
    if groups is not None:
        return split_by_groups(array, groups, seed, fraction, sixth)
    classes, counts = np.unique(array, return_counts=True)
    quotas = _quotas(counts, fraction)
    if on_both_sides:
        quotas = np.clip(quotas, np.minimum(1, counts - 1), counts - 1)
    rng, turn = order_of(seed, sixth)
    chosen = [
        np.roll(rng.permutation(np.flatnonzero(array == label)), -turn * quota)[:quota]
        for label, quota in zip(classes, quotas, strict=True)
    ]
    validation = np.sort(np.concatenate(chosen)).astype(np.int64)
    train = np.setdiff1d(np.arange(len(array), dtype=np.int64), validation, assume_unique=True)
    if not len(train) or not len(validation):
        raise DataError(f"{len(array)} training images are too few to split: expected at least {round(1 / fraction)}")
    return train, validation


def split_as_before(
    dataset: Dataset, seed: int, recorded_sha256: str | None, sixth: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The split, where a study recorded that of an earlier rule, for small classes or without groups, by that rule."""
    parts = split_of(dataset, seed, sixth)
    if recorded_sha256 in (None, split_sha256(parts[1])):
        return parts
    for rule in (True, False):
        older = stratified_split(dataset.labels, seed, on_both_sides=rule)
        if split_sha256(older[1]) == recorded_sha256:
            return older
    return parts


def _quotas(counts: NDArray[np.int64], fraction: float) -> NDArray[np.int64]:
    shares = counts * fraction
    quotas = np.floor(shares).astype(np.int64)
    spare = round(float(counts.sum() * fraction)) - int(quotas.sum())
    quotas[np.argsort(quotas - shares, kind="stable")[:spare]] += 1
    return np.asarray(quotas)


def split_sha256(validation: NDArray[np.int64]) -> str:
    """sha256 of the sorted validation indices as little-endian int64."""
    return hashlib.sha256(np.sort(validation).astype("<i8").tobytes()).hexdigest()


def pixel_histogram(images: Tensor | NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each grey level occurs in uint8 [N, H, W]: int64 [256]."""
    pixels = np.asarray(images).reshape(-1)
    # In parts, because numpy counts copies of eight bytes each.
    parts = [np.bincount(pixels[i : i + _COUNTED], minlength=256) for i in range(0, len(pixels), _COUNTED)]
    return np.asarray(np.sum(parts, axis=0, dtype=np.int64))


def pixel_statistics(images: Tensor | NDArray[np.uint8]) -> tuple[float, float]:
    """Mean and (population) standard deviation of uint8 pixels scaled to [0, 1]."""
    counts = pixel_histogram(images)
    values = np.arange(256) / 255
    mean = float(counts @ values / counts.sum())
    return mean, float(np.sqrt(counts @ (values - mean) ** 2 / counts.sum()))
