"""What --data-dir names as a split: IDX files under the names in use, or a known data set's own names and forms; a
folder of pictures; one .npz."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from study.data import arrays, drop_ins, idx, pictures
from study.data.classes import read_class_names
from study.data.groups import checked_groups, read_groups
from study.data.raw import RawSplit, class_range, content_sha256, listed
from study.data.source import DATASETS, KNOWN, Source, Split
from study.errors import DataError

Form = Literal["idx", "pictures", "npz"]
Labels = NDArray[np.uint8]
_ROLES = ("train-images", "train-labels", "test-images", "test-labels")
_FORMS = (
    "the three forms are IDX files, pictures as train/<digit>/*.png and test/<digit>/*.png, and one .npz with x_train, "
    "y_train, x_test, y_test"
)
_STEMS = {"train": ("train",), "test": ("t10k", "test")}
_USPS = {"train": "usps.bz2", "test": "usps.t.bz2"}


def form_of(source: Source) -> Form:
    """What the folder, or the file, holds: IDX files before the other forms, and where there is nothing known."""
    assert source.folder is not None
    if source.folder.is_file():
        return "npz"
    if any(_candidates(source, role) for role in _ROLES) or _usps_file(source, "train") is not None:
        return "idx"
    if any((source.folder / split).is_dir() for split in _STEMS):
        return "pictures"
    return "idx" if arrays.file_in(source.folder) is None else "npz"


def read_folder(source: Source, split: Split) -> RawSplit:
    """DataError names the file that is missing, or is not what it should be."""
    assert source.folder is not None
    form = form_of(source)
    if form == "idx":
        return _read_idx(source, split)
    path = arrays.file_in(source.folder)
    raw = (
        pictures.read_pictures(source.folder, split)
        if path is None or form == "pictures"
        else arrays.read_arrays(path, split)
    )
    for role, digest in raw.sha256.items():
        _check(source, role, source.folder, (digest,))
    return raw


def _read_idx(source: Source, split: Split) -> RawSplit:
    if (usps := _usps_file(source, split)) is not None:
        return _read_usps(source, split, usps)
    labels, classes, label_digest = _read_labels(source, split)
    role = f"{split}-images"
    path = find_file(source, role)
    raw, digest = _unpacked(source, role, path)
    images = torch.from_numpy(_kept(source, role, path, idx.parse(raw, 3, path)).copy())
    if source.transposed:
        images = images.transpose(1, 2).contiguous()
    digest = _to_record(source, role, path, digest, images)
    if len(images) != len(labels):
        raise DataError(
            f"{path}: {len(images)} images, but {split}-labels hold {len(labels)}; expected equal counts; sha256 of "
            f"the images is {digest}; check that both files belong together"
        )
    groups = _groups(source, split, len(labels))
    digests = {f"{split}-labels": label_digest, role: digest}
    return RawSplit(images, torch.from_numpy(labels), classes, digests, groups)


def has_split(source: Source, split: Split) -> bool:
    """Whether both files of the split are there, or what stands for them; what is in them is not looked at."""
    assert source.folder is not None
    form, path = form_of(source), arrays.file_in(source.folder)
    if form == "pictures":
        return pictures.has_pictures(source.folder, split)
    if form == "npz" and path is not None:
        return arrays.has_arrays(path, split)
    if _usps_file(source, split) is not None:
        return True
    return all(_candidates(source, f"{split}-{what}") for what in ("images", "labels"))


# --- where the files are -------------------------------------------------------------------------------------------


def find_file(source: Source, role: str) -> Path:
    """The file of a role such as 'train-images': train-images-idx3-ubyte or .idx3-ubyte, each also with .gz; t10k or
    test for the test split; a known data set's own names before these. DataError when it is not there."""
    assert source.folder is not None
    if found := _candidates(source, role):
        return found[0]
    seen = "the folder does not exist" if not source.folder.is_dir() else f"{role} are not in it"
    raise DataError(f"{source.folder}: {seen}; expected {_names(source, role)[0]}[.gz] there; {_advice(source)}")


def _candidates(source: Source, role: str) -> list[Path]:
    assert source.folder is not None
    places = [source.folder]
    if source.known is not None:  # where torchvision keeps them
        places.append(source.folder / source.known.class_name / "raw")
    return [place / name for place in places for name in _names(source, role) if (place / name).is_file()]


def _names(source: Source, role: str) -> list[str]:
    split, what = role.split("-")
    kinds = ["idx3-ubyte"] if what == "images" else ["idx1-ubyte"]
    if what == "labels" and source.known is not None and source.known.class_name == "QMNIST":
        kinds = ["idx2-int", *kinds]
    prefixes = dict.fromkeys((source.known.prefix if source.known else "", ""))
    return [
        f"{prefix}{stem}-{what}{dot}{kind}{gz}"
        for prefix in prefixes
        for stem in (_STEMS[split][::-1] if prefix else _STEMS[split])
        for kind in kinds
        for dot in "-."
        for gz in ("", ".gz")
    ]


def _advice(source: Source) -> str:
    """What to do about a file that is not there: a known data set's names are seen by --dataset alone."""
    assert source.folder is not None
    for name, known in KNOWN.items():
        there = known.prefix and next(iter(sorted(source.folder.glob(f"{known.prefix}*-images*"))), None)
        if there and (source.known is None or known.prefix != source.known.prefix):
            return f"{there.name} is there: if this is that data set, say so with --dataset {name}"
    if source.known != DATASETS["usps"] and any((source.folder / name).is_file() for name in _USPS.values()):
        return "USPS's files are there: if this is that data set, say so with --dataset usps"
    if not source.folder.is_dir() or any(_candidates(source, role) for role in _ROLES):
        return "check --data-dir"
    return f"check --data-dir: found {_found(source.folder)}; {_FORMS}"


def _found(folder: Path) -> str:
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir() if not path.name.startswith("."))
    digits = sum(name[:-1] in drop_ins.DIGITS for name in names)
    return listed(names) + (": the digits' folders belong into a folder train/" if digits > 1 else "")


def _groups(source: Source, split: Split, images: int) -> NDArray[np.int64] | None:
    """From train-groups.txt, t10k-groups.txt or test-groups.txt beside the labels, or the writers of QMNIST's table."""
    labels = find_file(source, f"{split}-labels")
    for stem in _STEMS[split]:
        if (path := labels.with_name(f"{stem}-groups.txt")).is_file():
            return read_groups(path, images)
    writers = idx.parse_writers(idx.unpack(labels), labels)
    return None if writers is None else checked_groups(writers[_skipped(source, split) :], labels)


def _skipped(source: Source, split: str) -> int:
    return source.known.skipped if source.known is not None and split == "test" else 0


def _kept(source: Source, role: str, path: Path, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Without what a known data set leaves out of its test files."""
    skipped = _skipped(source, role.split("-")[0])
    if skipped and len(values) <= skipped:
        raise DataError(
            f"{path}: {len(values):,} values, expected more than {skipped:,}: {source.name} has what follows them"
        )
    return values[skipped:]


def _usps_file(source: Source, split: Split) -> Path | None:
    assert source.folder is not None
    path = source.folder / _USPS[split]
    return path if source.known == DATASETS["usps"] and path.is_file() else None


def _read_usps(source: Source, split: Split, path: Path) -> RawSplit:
    raw = drop_ins.read_usps(source, split, path)
    for role, digest in raw.sha256.items():
        _check(source, role, path, (digest,))
    return raw


# --- labels and digests --------------------------------------------------------------------------------------------


def _read_labels(source: Source, split: Split) -> tuple[NDArray[np.int64], tuple[str, ...], str]:
    """Labels from 0 on [N], class names, sha256; the training labels say which classes there are."""
    train, digest, path = _label_file(source, "train")
    first, last = class_range(train, f"{path}", f"; sha256 {digest}; check the file")
    labels = tuple(str(label) for label in range(first, last + 1))
    classes = source.classes or _names_of_classes(source, path.parent, labels)
    if split == "train":
        return train.astype(np.int64) - first, classes, digest
    test, digest, path = _label_file(source, "test")
    wrong = test[(test < first) | (test > last)]
    if wrong.size:
        raise DataError(
            f"{path}: label {wrong[0]} seen, expected {first} to {last} as in train-labels; sha256 {digest}"
        )
    return test.astype(np.int64) - first, classes, digest


def _names_of_classes(source: Source, folder: Path, labels: tuple[str, ...]) -> tuple[str, ...]:
    """From classes.txt beside the files, or as a known data set has them, or the labels."""
    named = read_class_names(folder, labels)
    published = None if named else drop_ins.class_names(source)
    return named or (published if published and len(published) == len(labels) else labels)


def _label_file(source: Source, split: Split) -> tuple[Labels, str, Path]:
    role = f"{split}-labels"
    path = find_file(source, role)
    raw, digest = _unpacked(source, role, path)
    labels = _kept(source, role, path, idx.parse_labels(raw, path))
    return labels, _to_record(source, role, path, digest, torch.from_numpy(labels.copy())), path


def _unpacked(source: Source, role: str, path: Path) -> tuple[bytes, str]:
    """The file's bytes and their sha256, which is the one that was recorded."""
    raw = idx.unpack(path, source.sha256.get(role))
    digest = idx.checked_digest(raw, role, path)
    if not _has_own_form(source):
        _check(source, role, path, (digest,))
    return raw, digest


def _has_own_form(source: Source) -> bool:
    return source.known is not None and source.known != DATASETS["mnist"]


def _to_record(source: Source, role: str, path: Path, digest: str, values: torch.Tensor) -> str:
    """Of a known data set the digest of the values, the same for a folder and a download; what earlier versions
    recorded, that of the file's bytes, holds, too."""
    if not _has_own_form(source):
        return digest
    content = content_sha256(values)
    _check(source, role, path, (content, digest))
    return content


def _check(source: Source, role: str, path: Path, digests: tuple[str, ...]) -> None:
    expected = source.sha256.get(role)
    if expected is not None and expected not in digests:
        raise idx.mismatch(path, role, digests[-1], expected)
