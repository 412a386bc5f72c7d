"""Pictures that are there twice, pixel by pixel: counted by digest, so that test images need not be looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

_BYTES = 16  # of a digest: a chance collision among a million pictures has a probability of about 1e-27


@dataclass(frozen=True)
class Fingerprints:
    """One digest for each picture; None for a blank one, all of one grey level: that such a one is repeated says
    nothing."""

    digests: tuple[bytes | None, ...]

    @classmethod
    def of(cls, images: Tensor) -> Fingerprints:
        """Of uint8 [N, H, W]."""
        rows = images.flatten(1).numpy()
        blank = rows.min(axis=1) == rows.max(axis=1)
        return cls(tuple(None if b else _digest(row) for row, b in zip(rows, blank, strict=True)))

    def __len__(self) -> int:
        return len(self.digests)

    @property
    def blank(self) -> int:
        return sum(digest is None for digest in self.digests)

    @property
    def repeated(self) -> int:
        """How many repeat an earlier one."""
        seen = [digest for digest in self.digests if digest is not None]
        return len(seen) - len(set(seen))

    def at(self, indices: Iterable[int]) -> Fingerprints:
        return Fingerprints(tuple(self.digests[i] for i in indices))

    def also_in(self, others: Fingerprints) -> NDArray[np.int64]:
        """Places of those that are among `others`, rising."""
        known = set(others.digests) - {None}
        return np.flatnonzero([digest in known for digest in self.digests]).astype(np.int64)


def _digest(row: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(row.tobytes(), digest_size=_BYTES).digest()


@dataclass(frozen=True)
class Repeats:
    """Pictures of a data set that are there twice; None for a part that is not there. Blank ones are counted apart."""

    n_train: int
    within_train: int
    blank_train: int
    n_test: int | None = None
    test_in_train: int | None = None
    blank_test: int = 0
    n_validation: int | None = None
    validation_in_train: int | None = None


def count_repeats(
    train: Fingerprints,
    test: Fingerprints | None = None,
    parts: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> Repeats:
    """Of the training file, the test file and, by their indices in the training file, the (training, validation) parts
    of a split."""
    return Repeats(
        n_train=len(train),
        within_train=train.repeated,
        blank_train=train.blank,
        n_test=None if test is None else len(test),
        test_in_train=None if test is None else len(test.also_in(train)),
        blank_test=0 if test is None else test.blank,
        n_validation=None if parts is None else len(parts[1]),
        validation_in_train=None if parts is None else len(train.at(parts[1]).also_in(train.at(parts[0]))),
    )
