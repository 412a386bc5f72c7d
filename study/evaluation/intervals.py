"""Intervals of proportions, means and matched pairs, and the t arithmetic of the comparisons. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from study.evaluation.result import Result

Correct = NDArray[Any]
Interval = tuple[float, float]


def z_value(level: float) -> float:
    return float(special.ndtri((1 + level) / 2))


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of successes/n (Wilson 1927); (0, 1) when n is 0. For one named network only: it knows
    nothing of the spread between seeds."""
    if n == 0:
        return 0.0, 1.0
    z, p = z_value(level), successes / n
    centre = p + z * z / (2 * n)
    half = z * float(np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)))
    return max(0.0, (centre - half) / (1 + z * z / n)), min(1.0, (centre + half) / (1 + z * z / n))


def clopper_pearson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Exact interval of successes/n from beta quantiles (Clopper & Pearson 1934); (0, 1) when n is 0."""
    tail = (1 - level) / 2
    low = float(special.betaincinv(successes, n - successes + 1, tail)) if successes > 0 else 0.0
    high = float(special.betaincinv(successes + 1, n - successes, 1 - tail)) if successes < n else 1.0
    return low, high


def upper_bound(successes: int, n: int, level: float = 0.95) -> float:
    """One-sided exact upper bound of successes/n; 1 − (1 − level)^(1/n) when there are none, 1 when n is 0."""
    return float(special.betaincinv(successes + 1, n - successes, level)) if successes < n else 1.0


@dataclass(frozen=True)
class MeanInterval(Result):
    """Mean of n values that are one per image, with the normal interval of mean ± z·sd/√n."""

    n: int
    mean: float
    se: float
    interval95: Interval


def mean_interval(values: Sequence[float] | NDArray[Any]) -> MeanInterval:
    """E.g. of per-image D_corrupt − D_clean, which keeps the pairing of the same images in both."""
    x = np.asarray(values, dtype=np.float64)
    mean, se = float(x.mean()), float(x.std(ddof=1) / np.sqrt(len(x)))
    return MeanInterval(len(x), mean, se, around(mean, z_value(0.95) * se))


def around(centre: float, half: float) -> Interval:
    return centre - half, centre + half


def degrees_of_freedom(variance: float, excess: Sequence[tuple[float, int]], cap: int) -> float:
    """SE⁴ / Σ g²/(S−1), the degrees of freedom of the seed part (Satterthwaite 1946); at most `cap`."""
    denominator = sum(g * g / (seeds - 1) for g, seeds in excess if seeds > 1)
    return float(min(cap, variance * variance / denominator)) if denominator > 0 else float(cap)


def t_interval(centre: float, se: float, df: float, level: float) -> Interval:
    return around(centre, float(special.stdtrit(df, (1 + level) / 2)) * se)


def two_sided(difference: float, se: float, df: float) -> tuple[float, float]:
    """t and its two-sided p. With no spread at all any difference is certain, and none is p = 1."""
    if se == 0:
        return (0.0, 1.0) if difference == 0 else (float(np.copysign(np.inf, difference)), 0.0)
    t = difference / se
    return t, float(2 * special.stdtr(df, -abs(t)))


@dataclass(frozen=True)
class MatchedPair(Result):
    """Two single networks on the same images: how many only A, only B, both, neither got right."""

    n: int
    both: int
    only_a: int
    only_b: int
    neither: int
    difference: float
    p_value: float
    interval95: Interval

    @property
    def discordant(self) -> int:
        return self.only_a + self.only_b


def mcnemar_exact(correct_a: Correct, correct_b: Correct) -> MatchedPair:
    """bool [N] each. p: two-sided exact binomial of the discordant images (McNemar 1947). Interval: Agresti & Min 2005,
    the Wald interval of the difference after adding half an image to each of the four cells."""
    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"correctness has shapes {a.shape} and {b.shape}; expected two equal [images]")
    only_a, only_b, both = int((a & ~b).sum()), int((~a & b).sum()), int((a & b).sum())
    n = len(a)
    fewer, discordant = min(only_a, only_b), only_a + only_b
    p_value = min(1.0, 2 * float(special.bdtr(fewer, discordant, 0.5))) if discordant else 1.0
    return MatchedPair(
        n=n,
        both=both,
        only_a=only_a,
        only_b=only_b,
        neither=n - both - discordant,
        difference=(only_a - only_b) / n,
        p_value=p_value,
        interval95=_agresti_min(only_a, only_b, n),
    )


def _agresti_min(only_a: int, only_b: int, n: int) -> Interval:
    a, b, total = only_a + 0.5, only_b + 0.5, n + 2
    half = z_value(0.95) * float(np.sqrt(a + b - (a - b) ** 2 / total)) / total
    low, high = around((a - b) / total, half)
    return max(-1.0, low), min(1.0, high)
