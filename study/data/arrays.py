"""One .npz file with x_train, y_train and, for a test split, x_test, y_test: the form of Keras's mnist.npz."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from study.data import idx
from study.data.raw import RawSplit, class_range, listed
from study.data.source import Split
from study.errors import DataError

SUFFIX = ".npz"
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
_CHUNK = 512  # images
_FAULTS = (OSError, ValueError, EOFError, zipfile.BadZipFile)


def file_in(place: Path) -> Path | None:
    """The .npz file that `place` is, or the only one in it."""
    if place.is_file():
        return place
    found = sorted(place.glob(f"*{SUFFIX}"))
    return found[0] if len(found) == 1 else None


def has_arrays(path: Path, split: Split) -> bool:
    """Whether both arrays of the split are there."""
    with _opened(path) as arrays:
        return {f"x_{split}", f"y_{split}"} <= set(arrays.files)


def read_arrays(path: Path, split: Split) -> RawSplit:
    """Images uint8, bool, or numbers from 0 to 1 or to 255, [N, H, W], [N, H, W, 1], [N, 1, H, W] or in colours [N, H,
    W, 3], and labels [N]. Digests are those of IDX files with the same content. DataError for anything else."""
    with _opened(path) as arrays:
        train = _labels(arrays, "train", path)
        first, last = class_range(train, f"{path}: y_train")
        labels = train if split == "train" else _labels(arrays, split, path)
        wrong = labels[(labels < first) | (labels > last)]
        if wrong.size:
            raise DataError(f"{path}: y_{split} holds label {wrong[0]}, expected {first} to {last} as in y_train")
        images, notes = _images(_array(arrays, f"x_{split}", path), f"{path}: x_{split}")
    if len(images) != len(labels):
        raise DataError(f"{path}: {len(images)} images in x_{split}, but {len(labels)} labels in y_{split}")
    classes = tuple(str(label) for label in range(first, last + 1))
    digests = {f"{split}-images": idx.array_sha256(images), f"{split}-labels": idx.array_sha256(labels)}
    counted = torch.from_numpy(labels.astype(np.int64) - first)
    return RawSplit(torch.from_numpy(images), counted, classes, digests, notes=notes)


def _opened(path: Path) -> Any:
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: is no .npz file; expected one with x_train, y_train, x_test, y_test, or a folder")
    try:
        return np.load(path, allow_pickle=False)
    except _FAULTS as error:
        raise DataError(f"{path}: cannot be read as .npz ({_line(error)}); restore it from its source") from None


def _array(arrays: Any, name: str, path: Path) -> NDArray[Any]:
    if name not in arrays.files:
        raise DataError(
            f"{path}: {name} is not in it, found {listed(arrays.files)}; expected x_train, y_train and, for a "
            "test split, x_test, y_test"
        )
    try:
        return np.asarray(arrays[name])
    except _FAULTS as error:
        raise DataError(f"{path}: {name} cannot be read ({_line(error)}); restore the file from its source") from None


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


def _labels(arrays: Any, split: Split, path: Path) -> NDArray[np.uint8]:
    values = _array(arrays, f"y_{split}", path)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or values.dtype.kind not in "ui" or not values.size:
        raise DataError(f"{path}: y_{split} is {values.dtype} {list(values.shape)}; expected whole numbers [N]")
    if values.min() < 0 or values.max() > 255:
        raise DataError(f"{path}: y_{split} holds labels from {values.min()} to {values.max()}, expected 0 to 255")
    return values.astype(np.uint8)


def _images(values: NDArray[Any], place: str) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """uint8 [N, H, W], and what was done to the array; part by part, as numbers of another type take eight times as
    much memory."""
    if values.ndim == 4 and 1 in (values.shape[1], values.shape[3]):
        values = values[:, 0] if values.shape[1] == 1 else values[..., 0]
    colours = values.ndim == 4 and values.shape[3] == 3
    if not (values.ndim == 3 or colours) or values.dtype.kind not in "buif" or not values.size:
        raise DataError(
            f"{place} is {values.dtype} {list(values.shape)}; expected numbers [N, H, W], or [N, H, W, 3] in colours"
        )
    top = _top(values, place)
    notes = tuple(_on_images(values, colours, top))
    if values.dtype == np.uint8 and not colours:
        return np.ascontiguousarray(values), notes
    images = np.empty(values.shape[:3], np.uint8)
    for start in range(0, len(values), _CHUNK):
        part = values[start : start + _CHUNK].astype(np.float32)
        grey = part @ _LUMINANCE if colours else part
        images[start : start + _CHUNK] = np.round(grey * (255 / top))
    return images, notes


def _top(values: NDArray[Any], place: str) -> int:
    """What stands for full brightness: 1 or 255."""
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all() or low < 0 or high > 255:
        raise DataError(f"{place} holds numbers from {low:g} to {high:g}; expected 0 to 1, or 0 to 255")
    return 1 if values.dtype.kind in "bf" and high <= 1 else 255


def _on_images(values: NDArray[Any], colours: bool, top: int) -> Iterator[str]:
    height, width = values.shape[1:3]
    if (height, width) != (28, 28):
        yield f"images of {height} x {width} are fitted to 28 x 28"
    if colours:
        yield "images in colour are read in grey"
    if top == 1:
        yield "numbers from 0 to 1 are read as grey levels 0 to 255"
