"""Data sets as resident tensors: load, verify, split.

`load_test` opens the test split; only evaluation may call it. `test_counts` counts its labels and checksums its files.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from study.data import idx
from study.errors import DataError, UsageError

IMAGE_SIZE = 28
DIGITS = tuple("0123456789")
Split = Literal["train", "test"]
_COUNTED = 1 << 16  # pixels

# torchvision's class and arguments of each data set; MNIST itself comes with the program.
DATASETS: dict[str, tuple[str, dict[str, Any]]] = {
    "mnist": ("MNIST", {}),
    "fashion-mnist": ("FashionMNIST", {}),
    "kmnist": ("KMNIST", {}),
    "qmnist": ("QMNIST", {}),
    "emnist-digits": ("EMNIST", {"split": "digits"}),
    "usps": ("USPS", {}),
}


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """`images` uint8 [N, 28, 28], `labels` int64 [N]."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """One split: `images` uint8 [N, 28, 28], `labels` int64 [N], names of the classes, sha256 of the raw bytes by role
    ('train-images', 'train-labels', 'test-images', 'test-labels')."""

    name: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    sha256: dict[str, str]

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


def load_train(name: str, data_dir: Path | None = None, expected_sha256: Mapping[str, str] | None = None) -> Dataset:
    """The training data, validation included, of a known data set or of a folder of IDX files (then `name` is free).

    `expected_sha256` by role, as recorded at first use, is enforced. Raises DataError for files that are missing or
    not what they should be, UsageError for an unknown name.
    """
    return _load(name, data_dir, "train", expected_sha256)


def load_test(name: str, data_dir: Path | None = None, expected_sha256: Mapping[str, str] | None = None) -> Dataset:
    """The test split, likewise. For study/evaluation alone."""
    return _load(name, data_dir, "test", expected_sha256)


def test_counts(name: str, data_dir: Path | None = None) -> SplitCounts:  # noqa: PT028 (no pytest test)
    """Label counts of the test split and its files' sha256; no image is decoded."""
    folder = _idx_folder(name, data_dir)
    if folder is None:
        data = _download(name, "test")
        return SplitCounts(data.classes, _counts(data.labels, len(data.classes)), data.sha256)
    labels, classes, digests = _read_labels(folder, "test", _expected(name, data_dir, None))
    path = idx.find_file(folder, "test-images")
    _, digests["test-images"] = idx.read_verified(path, "test-images", _expected(name, data_dir, None))
    return SplitCounts(classes, _counts(torch.from_numpy(labels), len(classes)), digests)


def _counts(labels: Tensor, n_classes: int) -> tuple[int, ...]:
    return tuple(int(n) for n in torch.bincount(labels, minlength=n_classes))


def _load(name: str, data_dir: Path | None, split: Split, recorded: Mapping[str, str] | None) -> Dataset:
    folder = _idx_folder(name, data_dir)
    if folder is not None:
        return _load_idx(name, folder, split, _expected(name, data_dir, recorded))
    data = _download(name, split)
    for role, digest in data.sha256.items():
        if recorded and recorded.get(role, digest) != digest:
            raise DataError(
                f"data set {name}: sha256 of {role} is {digest}, recorded was {recorded[role]}; remove {_cache_dir()} "
                "to download it again"
            )
    return data


def _idx_folder(name: str, data_dir: Path | None) -> Path | None:
    """Where the IDX files lie; None for a data set that torchvision downloads."""
    if data_dir is not None:
        return data_dir
    if name not in DATASETS:
        raise UsageError(
            f"data set {name!r:.80} is unknown: expected one of {', '.join(DATASETS)}, or a folder of IDX files with "
            "--data-dir"
        )
    return Path(__file__).parent / "mnist" if name == "mnist" else None


def _expected(name: str, data_dir: Path | None, recorded: Mapping[str, str] | None) -> Mapping[str, str]:
    return {**(recorded or {}), **(idx.MNIST_SHA256 if name == "mnist" and data_dir is None else {})}


# --- IDX folders ---------------------------------------------------------------------------------------------------


def _load_idx(name: str, folder: Path, split: Split, expected: Mapping[str, str]) -> Dataset:
    labels, classes, digests = _read_labels(folder, split, expected)
    role = f"{split}-images"
    path = idx.find_file(folder, role)
    raw, digests[role] = idx.read_verified(path, role, expected)
    images = idx.parse(raw, 3, path)
    if len(images) != len(labels):
        raise DataError(
            f"{path}: {len(images)} images, but {split}-labels hold {len(labels)}; expected equal counts; sha256 of "
            f"the images is {digests[role]}; check that both files belong together"
        )
    tensor = _resize(torch.from_numpy(images.copy()))
    return Dataset(name, tensor, torch.from_numpy(labels), classes, digests)


def _read_labels(
    folder: Path, split: Split, expected: Mapping[str, str]
) -> tuple[NDArray[np.int64], tuple[str, ...], dict[str, str]]:
    """Labels from 0 on [N], class names, sha256 by role; the training labels say which classes there are."""
    train, digest, path = _label_file(folder, "train", expected)
    first, last = int(train.min()), int(train.max())
    missing = sorted(set(range(first, last + 1)) - set(np.unique(train).tolist()))
    if first > 1 or last == first or missing:
        raise DataError(
            f"{path}: labels run from {first} to {last}, without {missing[:3]}; expected at least two classes, "
            f"numbered from 0 or 1 without a gap; sha256 {digest}; check the file"
        )
    classes = tuple(str(label) for label in range(first, last + 1))
    if split == "train":
        return train.astype(np.int64) - first, classes, {"train-labels": digest}
    test, digest, path = _label_file(folder, "test", expected)
    wrong = test[(test < first) | (test > last)]
    if wrong.size:
        raise DataError(
            f"{path}: label {wrong[0]} seen, expected {first} to {last} as in train-labels; sha256 {digest}"
        )
    return test.astype(np.int64) - first, classes, {"test-labels": digest}


def _label_file(folder: Path, split: Split, expected: Mapping[str, str]) -> tuple[NDArray[np.uint8], str, Path]:
    role = f"{split}-labels"
    path = idx.find_file(folder, role)
    raw, digest = idx.read_verified(path, role, expected)
    return idx.parse(raw, 1, path), digest, path


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


# --- torchvision's data sets ---------------------------------------------------------------------------------------


def _cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "digit-study"


def _download(name: str, split: Split) -> Dataset:
    class_name, arguments = DATASETS[name]
    try:
        import torchvision.datasets as sets

        # QMNIST has its own word for a split; train=False would give the first sixth of its test split only.
        arguments = {"what": split} if name == "qmnist" else {**arguments, "train": split == "train"}
        with contextlib.redirect_stdout(sys.stderr):
            data = getattr(sets, class_name)(str(_cache_dir()), download=True, **arguments)
    except (OSError, RuntimeError, ValueError, EOFError, AssertionError) as error:
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise DataError(
            f"data set {name} cannot be had in {_cache_dir()} ({reason}); go online, or name a folder with its IDX "
            "files with --data-dir"
        ) from None
    return _from_torchvision(name, split, data)


def _from_torchvision(name: str, split: Split, data: Any) -> Dataset:
    images = torch.as_tensor(data.data).to(torch.uint8)  # [N, H, W]
    targets = torch.as_tensor(data.targets).to(torch.int64)
    labels = targets[:, 0].contiguous() if targets.ndim == 2 else targets  # QMNIST: label, writer, series, ...
    if name == "emnist-digits":
        images = images.transpose(1, 2).contiguous()
    classes = tuple(data.classes) if name in ("fashion-mnist", "kmnist") else DIGITS
    if len(images) != len(labels) or not 0 <= int(labels.min()) <= int(labels.max()) < len(classes):
        raise DataError(
            f"data set {name}: {len(images)} images, {len(labels)} labels from {int(labels.min())} to "
            f"{int(labels.max())}; expected equal counts and labels 0 to {len(classes) - 1}; remove {_cache_dir()}"
        )
    digests = {f"{split}-images": _sha256(images), f"{split}-labels": _sha256(labels.to(torch.uint8))}
    return Dataset(name, _resize(images), labels, classes, digests)


def _sha256(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.numpy().tobytes()).hexdigest()


# --- splitting -----------------------------------------------------------------------------------------------------


def stratified_split(
    labels: Tensor | NDArray[np.int64], seed: int, fraction: float = 1 / 6
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(train, validation) indices, each sorted int64: round(N · fraction) validation examples, every class in its share
    to within one, the largest remainders rounded up. The same for the same labels and seed."""
    array = np.asarray(labels)
    if not 0 < fraction < 1:
        raise UsageError(f"validation fraction is {fraction}: expected between 0 and 1")
    classes, counts = np.unique(array, return_counts=True)
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    chosen = [
        rng.permutation(np.flatnonzero(array == label))[:quota]
        for label, quota in zip(classes, _quotas(counts, fraction), strict=True)
    ]
    validation = np.sort(np.concatenate(chosen)).astype(np.int64)
    train = np.setdiff1d(np.arange(len(array), dtype=np.int64), validation, assume_unique=True)
    if not len(train) or not len(validation):
        raise DataError(f"{len(array)} training images are too few to split: expected at least {round(1 / fraction)}")
    return train, validation


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
