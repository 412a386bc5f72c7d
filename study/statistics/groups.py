"""Images that belong together, as those of one writer do: what a variance over images is when groups are drawn, not
images. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Groups:
    """`of` int64 [N]: the group of each image, 0 … n_groups−1, none of them empty; at least two."""

    of: NDArray[np.int64]

    @classmethod
    def named(cls, names: NDArray[Any] | None) -> Groups | None:
        """From any integers [N], one an image; None for none."""
        return None if names is None else cls(np.unique(names, return_inverse=True)[1].astype(np.int64))

    @classmethod
    def single(cls, n: int) -> Groups:
        """Each image a group of its own: what is taken of images whose groups nobody named."""
        return cls(np.arange(n))

    def __post_init__(self) -> None:
        if self.of.ndim != 1 or len(self) < 2:
            raise ValueError(f"{self.of.shape} images in {len(self)} groups; expected [images] in two groups or more")

    def __len__(self) -> int:
        return len(self.sizes)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        return np.bincount(self.of)

    @cached_property
    def are_single(self) -> bool:
        return len(self) == len(self.of)

    def sums(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Sums within groups: [..., N] -> [..., n_groups]."""
        if self.are_single:  # in whatever order
            return np.asarray(values, dtype=np.float64)
        rows = np.asarray(values, dtype=np.float64).reshape(-1, len(self.of))
        sums = np.stack([np.bincount(self.of, row, len(self)) for row in rows])
        return sums.reshape((*np.shape(values)[:-1], len(self)))

    def select(self, images: slice | NDArray[Any]) -> Groups | None:
        """Those of some of the images; None where these are of one group alone, from which nothing can be told."""
        chosen = self.of[images]
        return Groups.named(chosen) if (chosen != chosen[0]).any() else None


def variance_of_mean(values: NDArray[Any], groups: Groups) -> float:
    """Of n values [N]: G/(G−1)·Σ u_g²/N² with u_g the sum of a group's deviations from the mean, the sandwich estimate
    with its usual factor (Liang & Zeger 1986); var/N where every image is a group of its own."""
    x = np.asarray(values, dtype=np.float64)
    sums = groups.sums(x - x.mean())
    return len(groups) / (len(groups) - 1) * float((sums * sums).sum()) / len(x) ** 2


def design_effect(values: NDArray[Any], groups: Groups) -> float:
    """How many times the variance of the mean is what it would be if images were independent; at least 1, and 1 for
    values without spread. So many times fewer independent images say as much (Korn & Graubard 1998)."""
    alone = variance_of_mean(values, Groups.single(len(values)))
    return max(1.0, variance_of_mean(values, groups) / alone) if alone > 0 else 1.0
