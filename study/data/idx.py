"""The IDX format: big-endian magic `00 00 type ndim`, one uint32 per dimension, then the values. Plain or gzipped."""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from study.errors import DataError

GZIP_MAGIC = b"\x1f\x8b"
UINT8, INT32 = 0x08, 0x0C
WRITER = 2  # the column of QMNIST's table with NIST's number of the writer
_DTYPES: dict[int, np.dtype[Any]] = {UINT8: np.dtype(np.uint8), INT32: np.dtype(">i4")}

# Raw bytes of the files that come with the program, by role.
MNIST_SHA256 = {
    "train-images": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "test-images": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "test-labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
_REMEDY = "restore the file from its source or name another folder with --data-dir"


def checked_digest(raw: bytes, role: str, path: Path) -> str:
    """sha256 of a file's unpacked bytes; DataError where they are those of another file of MNIST's."""
    actual = _digest(raw)
    if (other := _mnist_role(actual)) not in (None, role):
        raise DataError(
            f"{path}: holds MNIST's {other} (sha256 {actual}), expected {role}, MNIST's have sha256 "
            f"{MNIST_SHA256[role]}; {_REMEDY}"
        )
    return actual


def mismatch(path: Path, role: str, actual: str, expected: str) -> DataError:
    """What is said of a file that is not the one that was recorded."""
    return DataError(f"{path}: sha256 of the unpacked {role} is {actual}, expected {expected}; {_REMEDY}")


def _mnist_role(sha256: str) -> str | None:
    return next((role for role, known in MNIST_SHA256.items() if known == sha256), None)


def unpack(path: Path, expected: str | None = None) -> bytes:
    """A file's bytes; gzip is told by content, not by name. DataError names the sha256 seen and `expected`."""
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
    return np.asarray(_parse(raw, ndim, path, UINT8), dtype=np.uint8)


def parse_labels(raw: bytes, path: Path) -> NDArray[np.uint8]:
    """Labels [N] in an IDX file's bytes: of one byte each, or QMNIST's table [N, 8] of int32, whose first column they
    are."""
    if not _is_table(raw):
        return parse(raw, 1, path)
    first = _parse(raw, 2, path, INT32)[:, 0]
    if first.min() < 0 or first.max() > 255:
        raise DataError(f"{path}: labels from {first.min()} to {first.max()}, expected 0 to 255; {_REMEDY}")
    return first.astype(np.uint8)


def parse_writers(raw: bytes, path: Path) -> NDArray[np.int64] | None:
    """Who wrote each image [N], from QMNIST's table; None where an IDX file of labels is none."""
    table = _parse(raw, 2, path, INT32) if _is_table(raw) else None
    return None if table is None or table.shape[1] <= WRITER else table[:, WRITER].astype(np.int64)


def _is_table(raw: bytes) -> bool:
    return raw[:4] == bytes((0, 0, INT32, 2))


def array_sha256(array: NDArray[np.uint8]) -> str:
    """Of the plain IDX file that holds the array, without a copy of it."""
    digest = hashlib.sha256(_header(array))
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def save(path: Path, array: NDArray[np.uint8]) -> None:
    """Write an array as a plain IDX file."""
    with path.open("wb") as stream:
        stream.write(_header(array))
        stream.write(np.ascontiguousarray(array).data)


def _header(array: NDArray[np.uint8]) -> bytes:
    return bytes((0, 0, UINT8, array.ndim)) + np.array(array.shape, ">u4").tobytes()


def _parse(raw: bytes, ndim: int, path: Path, kind: int) -> NDArray[Any]:
    magic, dtype = bytes((0, 0, kind, ndim)), _DTYPES[kind]
    if raw[:4] != magic:
        raise DataError(
            f"{path}: starts with {raw[:4]!r}{_looks_like(raw)}, expected the IDX magic {magic!r} (unsigned bytes, "
            f"{ndim} dimensions), sha256 {_digest(raw)}; {_REMEDY}"
        )
    start = 4 + 4 * ndim
    if len(raw) < start:
        expected_size = f"expected an IDX header of {start}"
        raise DataError(f"{path}: {len(raw)} bytes, {expected_size}, sha256 {_digest(raw)}; {_REMEDY}")
    shape = tuple(int(n) for n in np.frombuffer(raw, ">u4", ndim, offset=4))
    expected, actual = math.prod(shape) * dtype.itemsize, len(raw) - start
    if expected != actual or expected == 0:
        raise DataError(
            f"{path}: header announces {' x '.join(map(str, shape))} values in {expected} bytes, seen {actual}; "
            f"expected as many as announced and at least one, sha256 {_digest(raw)}; {_REMEDY}"
        )
    values: NDArray[Any] = np.frombuffer(raw, dtype, offset=start).reshape(shape)
    return values


def _looks_like(raw: bytes) -> str:
    return " (a web page)" if raw.lstrip()[:1] == b"<" else ""


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
