"""A split as its files hold it: upright, of any size, ink of either tone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from study.errors import DataError

NAMED = 10  # of many things that an error is about


@dataclass(frozen=True, eq=False)
class RawSplit:
    """`images` uint8 [N, H, W], `labels` int64 [N] from 0 on, names of the classes, sha256 by role; the images' groups
    int64 [N], None where they are not known; what was done to the pictures, in sentences."""

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    sha256: dict[str, str]
    groups: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()


def content_sha256(tensor: Tensor) -> str:
    """Of the values alone, whatever file they came from."""
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()


def class_range(labels: NDArray[np.uint8], place: str, more: str = "") -> tuple[int, int]:
    """The first and the last label of training labels uint8 [N]: all between are there. DataError where they are not;
    `more` is said about the place."""
    first, last = int(labels.min()), int(labels.max())
    missing = sorted(set(range(first, last + 1)) - set(np.unique(labels).tolist()))
    if first > 1 or last == first or missing:
        raise DataError(
            f"{place}: labels run from {first} to {last}, without {missing[:3]}; expected at least two classes, "
            f"numbered from 0 or 1 without a gap{more}"
        )
    return first, last


def listed(things: Sequence[str], most: int = NAMED, *, plain: bool = False) -> str:
    """The first of many names, quoted, or `plain` sentences, and how many more there are."""
    shown = "; ".join(things[:most]) if plain else ", ".join(map(repr, things[:most]))
    return (shown or "nothing") + (f" and {len(things) - most} more" if len(things) > most else "")
