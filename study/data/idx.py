"""The IDX format: big-endian magic `00 00 type ndim`, one uint32 per dimension, then the values. Plain or gzipped."""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from study.errors import DataError

GZIP_MAGIC = b"\x1f\x8b"
UINT8 = 0x08

# Raw bytes of the files that come with the program, by role.
MNIST_SHA256 = {
    "train-images": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "test-images": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "test-labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
_FILE_STEMS = {"train": ("train",), "test": ("t10k", "test")}
_REMEDY = "restore the file from its source or name another folder with --data-dir"


def find_file(folder: Path, role: str) -> Path:
    """The file of a role such as 'train-images' under the names in use: train-images-idx3-ubyte or .idx3-ubyte, each
    also with .gz; t10k or test for the test split. DataError when it is not there."""
    split, what = role.split("-")
    kind = "idx3-ubyte" if what == "images" else "idx1-ubyte"
    names = [f"{s}-{what}{dot}{kind}{gz}" for s in _FILE_STEMS[split] for dot in "-." for gz in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    seen = "the folder does not exist" if not folder.is_dir() else f"{role} are not in it"
    raise DataError(f"{folder}: {seen}; expected {names[0]}[.gz] there; check --data-dir")


def read_verified(path: Path, role: str, expected_sha256: Mapping[str, str]) -> tuple[bytes, str]:
    """The file's unpacked bytes and their sha256. DataError names file, expected and actual sha256."""
    expected = expected_sha256.get(role)
    raw = _unpack(path, expected)
    actual = hashlib.sha256(raw).hexdigest()
    if expected is not None and actual != expected:
        other = _mnist_role(actual)
        hint = f" (these are MNIST's {other})" if other else ""
        raise DataError(f"{path}: sha256 of the unpacked {role} is {actual}{hint}, expected {expected}; {_REMEDY}")
    if (other := _mnist_role(actual)) not in (None, role):
        raise DataError(
            f"{path}: holds MNIST's {other} (sha256 {actual}), expected {role}, MNIST's have sha256 "
            f"{MNIST_SHA256[role]}; {_REMEDY}"
        )
    return raw, actual


def _mnist_role(sha256: str) -> str | None:
    return next((role for role, known in MNIST_SHA256.items() if known == sha256), None)


def _unpack(path: Path, expected: str | None) -> bytes:
    """Gzip is told by content, not by name."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the file and --data-dir") from None
    if not data.startswith(GZIP_MAGIC):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        digest = hashlib.sha256(data).hexdigest()
        wanted = f"a whole gzip file, sha256 {expected} when unpacked" if expected else "a whole gzip file"
        raise DataError(
            f"{path}: cannot be unpacked ({error}); sha256 as packed is {digest}, expected {wanted}; {_REMEDY}"
        ) from None


def parse(raw: bytes, ndim: int, path: Path) -> NDArray[np.uint8]:
    """The uint8 array of `ndim` dimensions in an IDX file's bytes, read-only; DataError when it is not one."""
    magic = bytes((0, 0, UINT8, ndim))
    if raw[:4] != magic:
        raise DataError(
            f"{path}: starts with {raw[:4]!r}{_looks_like(raw)}, expected the IDX magic {magic!r} (unsigned bytes, "
            f"{ndim} dimensions), sha256 {_digest(raw)}; {_REMEDY}"
        )
    if len(raw) < 4 + 4 * ndim:
        expected_size = f"expected an IDX header of {4 + 4 * ndim}"
        raise DataError(f"{path}: {len(raw)} bytes, {expected_size}, sha256 {_digest(raw)}; {_REMEDY}")
    shape = tuple(int(n) for n in np.frombuffer(raw, ">u4", ndim, offset=4))
    expected, actual = math.prod(shape), len(raw) - 4 - 4 * ndim
    if expected != actual or expected == 0:
        raise DataError(
            f"{path}: header announces {' x '.join(map(str, shape))} = {expected} values, seen {actual}; expected as "
            f"many as announced and at least one, sha256 {_digest(raw)}; {_REMEDY}"
        )
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * ndim).reshape(shape)


def _looks_like(raw: bytes) -> str:
    return " (a web page)" if raw.lstrip()[:1] == b"<" else ""


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
