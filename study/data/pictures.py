"""A folder of pictures, train/<digit>/ and test/<digit>/, as torchvision's ImageFolder has it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from study.data import idx
from study.data.opening import Gray, open_gray
from study.data.raw import RawSplit, class_range, listed
from study.data.source import Split
from study.errors import DataError, ImageError
from study.records.files import write_with

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"})
SIZE = 28
_DIGITS = frozenset("0123456789")
_GREY = frozenset({"1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})  # Pillow's modes without colours
_LEFT_OUT = 3  # files that are no pictures, by name


def has_pictures(folder: Path, split: Split) -> bool:
    """Whether the folder has a part with pictures of this split."""
    return any(_files_in(folder / split))


def listing(folder: Path, split: Split) -> str:
    """sha256 of the names and sizes of a split's pictures: whether a folder is the one it was, without decoding it."""
    digest = hashlib.sha256()
    for path in sorted(_files_in(folder / split)):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\n".encode("utf-8", "replace"))
    return digest.hexdigest()


def read_pictures(folder: Path, split: Split) -> RawSplit:
    """The split's pictures in grey, fitted to 28 x 28, sorted by class and name. Digests are those of IDX files with
    the same content. DataError names classes that are no digits, and the first files that cannot be read."""
    files = _split_files(folder, split)
    first, last = class_range(_split_files(folder, "train").labels, f"{folder / 'train'}")
    wrong = files.labels[(files.labels < first) | (files.labels > last)]
    if wrong.size:
        raise DataError(f"{folder / split}: class {wrong[0]} seen, expected {first} to {last} as in {folder / 'train'}")
    images, notes = _decoded(files.paths, split)
    classes = tuple(str(label) for label in range(first, last + 1))
    digests = {f"{split}-images": idx.array_sha256(images), f"{split}-labels": idx.array_sha256(files.labels)}
    labels = torch.from_numpy(files.labels.astype(np.int64) - first)
    return RawSplit(torch.from_numpy(images), labels, classes, digests, notes=(*notes, *files.notes))


def copy_as_idx(folder: Path, split: Split, place: Path) -> tuple[str, ...]:
    """Decode a split and keep it as IDX files in `place`; returns what there is to say about it. Errors as for
    `read_pictures`."""
    raw = read_pictures(folder, split)
    stem = "train" if split == "train" else "t10k"
    labels = (raw.labels.numpy() + int(raw.classes[0])).astype(np.uint8)
    write_with(place / f"{stem}-images-idx3-ubyte", lambda path: idx.save(path, raw.images.numpy()))
    write_with(place / f"{stem}-labels-idx1-ubyte", lambda path: idx.save(path, labels))
    return raw.notes


# --- which files ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Files:
    """A split's pictures with their digits uint8 [N], and what there is to say about the other files."""

    paths: Sequence[Path]
    labels: NDArray[np.uint8]
    notes: tuple[str, ...] = ()


def _split_files(folder: Path, split: Split) -> _Files:
    part = folder / split
    if not part.is_dir():
        raise DataError(f"{folder}: {split}/ is not in it; expected {split}/<digit>/*.png; check --data-dir")
    classes = sorted(path for path in part.iterdir() if path.is_dir() and not path.name.startswith("."))
    strangers = [path.name for path in classes if path.name not in _DIGITS]
    if strangers:
        raise DataError(
            f"{part}: class {listed(strangers)}, expected folders named 0 to 9: this program reads digits, and neither "
            "letters nor other classes; rename or remove what is none"
        )
    paths = sorted(_files_in(part))
    if not paths:
        raise DataError(f"{part}: no picture in it; expected {split}/<digit>/*.png ({', '.join(sorted(SUFFIXES))})")
    labels = np.array([int(path.relative_to(part).parts[0]) for path in paths], np.uint8)
    return _Files(paths, labels, _on_others(part))


def _files_in(part: Path) -> Iterator[Path]:
    """The pictures in the folders of a split's classes, and in folders of those."""
    return (path for path in part.glob("*/**/*") if path.suffix.lower() in SUFFIXES and _is_shown(path, part))


def _on_others(part: Path) -> tuple[str, ...]:
    others = sorted(
        path.relative_to(part).as_posix()
        for path in part.rglob("*")
        if path.is_file() and _is_shown(path, part)
        if path.suffix.lower() not in SUFFIXES or path.parent == part
    )
    if not others:
        return ()
    return (f"{len(others)} files in {part} are left out, being no pictures of a class: {listed(others, _LEFT_OUT)}",)


def _is_shown(path: Path, part: Path) -> bool:
    """Systems leave hidden files beside pictures."""
    return not any(name.startswith(".") for name in path.relative_to(part).parts)


# --- decoding ------------------------------------------------------------------------------------------------------


def _decoded(paths: Sequence[Path], split: Split) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """uint8 [N, 28, 28] and what was done to the pictures."""
    images = np.empty((len(paths), SIZE, SIZE), np.uint8)
    bad: list[str] = []
    fitted = coloured = 0
    for image, path in zip(images, paths, strict=True):
        try:
            opened = open_gray(path)
            coloured += _is_coloured(path)
        except ImageError as error:
            bad.append(str(error))
            continue
        fitted += opened.size != (SIZE, SIZE)
        image[:] = _fitted(opened.gray)
    if bad:
        count = f"{len(bad)} of {len(paths)} pictures cannot be read"
        raise DataError(f"{count}: {listed(bad, plain=True)}; mend or remove them")
    part = "training" if split == "train" else "test"
    return images, tuple(_on_decoding(len(paths), fitted, coloured, part))


def _on_decoding(total: int, fitted: int, coloured: int, part: str) -> Iterator[str]:
    if fitted:
        yield f"{fitted:,} of {total:,} {part} pictures are fitted to {SIZE} x {SIZE}, their proportions kept"
    if coloured:
        yield f"{coloured:,} of {total:,} {part} pictures are in colour: read in grey"


def _is_coloured(path: Path) -> bool:
    with Image.open(path) as picture:
        return picture.mode not in _GREY


def _fitted(gray: Gray) -> NDArray[np.uint8]:
    """[H, W] in 0 ... 1 to uint8 [28, 28]: squared on its own ground; areas averaged on the way down, bilinear up."""
    height, width = gray.shape
    side = max(height, width)
    if height != width:
        top, left = (side - height) // 2, (side - width) // 2
        around = ((top, side - height - top), (left, side - width - left))
        gray = np.pad(gray, around, constant_values=_ground(gray))
    if side != SIZE:
        method = Image.Resampling.BOX if side > SIZE else Image.Resampling.BILINEAR
        gray = np.asarray(Image.fromarray(gray).resize((SIZE, SIZE), method))
    return np.asarray(np.round(np.clip(gray, 0, 1) * 255), dtype=np.uint8)


def _ground(gray: Gray) -> float:
    return float(np.median(np.concatenate([gray[0], gray[-1], gray[1:-1, 0], gray[1:-1, -1]])))
