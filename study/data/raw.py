"""A split as its files hold it: upright, of any size, ink of either tone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class RawSplit:
    """`images` uint8 [N, H, W], `labels` int64 [N] from 0 on, names of the classes, sha256 by role; the images' groups
    int64 [N], None where they are not known."""

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    sha256: dict[str, str]
    groups: NDArray[np.int64] | None = None


def content_sha256(tensor: Tensor) -> str:
    """Of the values alone, whatever file they came from."""
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()
