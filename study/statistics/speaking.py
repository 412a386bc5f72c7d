"""When a number is worth a sentence: rules against what chance alone shows. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

PERMUTATIONS = 100


def most_are_above(values: Sequence[float], quantiles95: Sequence[float]) -> bool:
    """Whether more than half of the seeds lie above the 95 % quantile of their own noise, such as ECE above its floor.
    Of three seeds one does so by chance in up to 14 % of cases, two in 0.7 % if seeds are independent, and in at most
    7.5 % however they hang together. ValueError for different numbers of both, or none."""
    if not values or len(values) != len(quantiles95):
        raise ValueError(f"{len(values)} values and {len(quantiles95)} quantiles; expected one each, at least one")
    above = sum(value > quantile for value, quantile in zip(values, quantiles95, strict=True))
    return 2 * above > len(values)


def permuted_tops(
    importance: Callable[[NDArray[np.float64]], Sequence[float]], values: NDArray[np.float64], seed: int = 0
) -> list[float]:
    """The largest share of importance after each of PERMUTATIONS shufflings of the trials' values [T], which take from
    the parameters whatever they had to do with them."""
    rng = np.random.default_rng(seed)
    return [max(importance(rng.permutation(values))) for _ in range(PERMUTATIONS)]


def beats_chance(share: float, permuted: Sequence[float]) -> bool:
    """Whether a parameter's share of importance is above the largest of every permutation: by chance once in one more
    than so many. An importance is a share of one, so that the largest is never small."""
    return bool(permuted) and bool(share > max(permuted))
