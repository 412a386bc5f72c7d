"""Intervals of proportions, means and matched pairs, and the t arithmetic of the comparisons. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from study.statistics.groups import Groups, variance_of_mean
from study.statistics.result import Result

Correct = NDArray[Any]
Interval = tuple[float, float]
FEW = 10  # images beside the most frequent outcome: with fewer, a variance estimated from them is not trusted


def z_value(level: float) -> float:
    return float(special.ndtri((1 + level) / 2))


def wilson(successes: float, n: float, level: float = 0.95) -> Interval:
    """Wilson's score interval of successes/n (Wilson 1927); (0, 1) when n is 0. For one named network only: it knows
    nothing of the spread between seeds."""
    if n == 0:
        return 0.0, 1.0
    z, p = z_value(level), successes / n
    centre = p + z * z / (2 * n)
    half = z * float(np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)))
    return max(0.0, (centre - half) / (1 + z * z / n)), min(1.0, (centre + half) / (1 + z * z / n))


def share(right: NDArray[Any], groups: Groups | None = None, among: NDArray[Any] | None = None) -> Interval:
    """Wilson's 95 % interval of the share of `right` bool [N] `among` some of the images bool [N] (default: all) that
    one network reads; by groups, of so many fewer images as their design effect says. (0, 1) among none."""
    counted = np.ones(len(right), bool) if among is None else np.asarray(among, dtype=bool)
    hits, n = float((np.asarray(right, dtype=bool) & counted).sum()), float(counted.sum())
    if groups is None or n == 0:
        return wilson(hits, n)
    p = hits / n
    sums = groups.sums(np.where(counted, right - p, 0.0))
    variance = len(groups) / (len(groups) - 1) * float((sums * sums).sum()) / n**2
    effect = max(1.0, variance * n / (p * (1 - p))) if 0 < p < 1 else 1.0
    return wilson(hits / effect, n / effect)


def clopper_pearson(successes: float, n: float, level: float = 0.95) -> Interval:
    """Exact interval of successes/n from beta quantiles (Clopper & Pearson 1934); (0, 1) when n is 0. `successes` may
    be a mean over seeds, and so a fraction; n may be one where images are grouped."""
    tail = (1 - level) / 2
    low = float(special.betaincinv(successes, n - successes + 1, tail)) if successes > 0 else 0.0
    high = float(special.betaincinv(successes + 1, n - successes, 1 - tail)) if successes < n else 1.0
    return low, high


def upper_bound(successes: int, n: int, level: float = 0.95) -> float:
    """One-sided exact upper bound of successes/n; 1 − (1 − level)^(1/n) when there are none, 1 when n is 0."""
    return float(special.betaincinv(successes + 1, n - successes, level)) if successes < n else 1.0


# -- where the variance says too little -------------------------------------------------------------------------------


def share_interval(found: Interval, mean: float, n: float, level: float = 0.95) -> Interval:
    """`found`, the interval of a mean share of n images, widened to Clopper and Pearson's where fewer than FEW images
    are right, or wrong: 40 of 40 have no variance, but not 100 % for certain (Brown, Cai & DasGupta 2001).

    Simulated for n = 40 to 10,000 with one seed and three: with 0.2, 1, 2 to 8 wrong images expected, t intervals alone
    held the truth in 16 to 48, 58 to 96 and 79 to 97 % of cases, these in 97 to 100 %; from 15 on both in 91 to 98 %.
    """
    right = round(mean * n, 6)
    degenerate = found[0] == found[1] or min(right, n - right) < FEW
    return _hull(found, clopper_pearson(right, n, level)) if degenerate else found


def difference_interval(found: Interval, wins: float, losses: float, n: float, level: float = 0.95) -> Interval:
    """`found`, the interval of (wins − losses)/n over matched images, widened to `exact_difference` where fewer than
    FEW images are beside the most frequent of the three outcomes.

    Simulated as above, with 0.2 to 16 discordant images expected, on one side or on both: the truth was held in 95 to
    100 % of cases, by t intervals and by Agresti and Min's both so widened.
    """
    degenerate = found[0] == found[1] or are_few(wins, losses, n)
    return _hull(found, exact_difference(wins, losses, n, level)) if degenerate else found


def are_few(wins: float, losses: float, n: float) -> bool:
    return n - max(wins, losses, n - wins - losses) < FEW


def exact_difference(wins: float, losses: float, n: float, level: float = 0.95) -> Interval:
    """Limits of (wins − losses)/n from Clopper and Pearson's of either share, joined by `unpaired_difference`. With
    neither it is ± their upper bound for none among n, 3.7/n at 95 %."""
    a, b = wins / n, losses / n
    of_a, of_b = (clopper_pearson(round(share * n, 6), n, level) for share in (a, b))
    return unpaired_difference(a, of_a, b, of_b)


def unpaired_difference(a: float, of_a: Interval, b: float, of_b: Interval) -> Interval:
    """Limits of the difference of two shares from the interval of each (Zou & Donner 2008): too wide, if anything,
    where both were read on the same images."""
    low = a - b - float(np.hypot(a - of_a[0], of_b[1] - b))
    high = a - b + float(np.hypot(of_a[1] - a, b - of_b[0]))
    return max(-1.0, low), min(1.0, high)


def sign_test(wins: float, losses: float) -> float:
    """Two-sided exact binomial p of wins against losses, 1 where there are none; fractions as in a beta tail."""
    fewer, both = min(wins, losses), wins + losses
    return min(1.0, 2 * float(special.betainc(both - fewer, fewer + 1, 0.5))) if both > 0 else 1.0


def _hull(a: Interval, b: Interval) -> Interval:
    return min(a[0], b[0]), max(a[1], b[1])


# -- means and matched pairs ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MeanInterval(Result):
    """Mean of n values that are one per image, with the normal interval of mean ± z·sd/√n."""

    n: int
    mean: float
    se: float
    interval95: Interval


def mean_interval(
    values: Sequence[float] | NDArray[Any], reach: float = 1.0, groups: Groups | None = None
) -> MeanInterval:
    """E.g. of per-image D_corrupt − D_clean, which keeps the pairing of the same images in both; no value is beyond
    ±`reach`. Where hardly any image has a value the interval is widened as that of a difference. By groups se is
    `variance_of_mean`'s."""
    x = np.asarray(values, dtype=np.float64)
    n, mean = len(x), float(x.mean())
    se = float(np.sqrt(variance_of_mean(x, Groups.single(n) if groups is None else groups)))
    low, high = (bound / reach for bound in around(mean, z_value(0.95) * se))
    low, high = difference_interval((low, high), *wins_and_losses(x / reach), n)
    return MeanInterval(n, mean, se, (reach * low, reach * high))


def wins_and_losses(differences: NDArray[np.float64]) -> tuple[float, float]:
    """Sum of the positive values and of the negative ones, of n differences from −1 to 1."""
    return round(float(differences.clip(0).sum()), 6), round(float(-differences.clip(None, 0).sum()), 6)


def around(centre: float, half: float) -> Interval:
    return centre - half, centre + half


def degrees_of_freedom(variance: float, excess: Sequence[tuple[float, int]], cap: int) -> float:
    """SE⁴ / Σ g²/(S−1), the degrees of freedom of the seed part (Satterthwaite 1946); at most `cap`."""
    denominator = sum(g * g / (seeds - 1) for g, seeds in excess if seeds > 1)
    return float(min(cap, variance * variance / denominator)) if denominator > 0 else float(cap)


def t_interval(centre: float, se: float, df: float, level: float) -> Interval:
    return around(centre, float(special.stdtrit(df, (1 + level) / 2)) * se)


def two_sided(difference: float, se: float, df: float) -> tuple[float, float]:
    """t and its two-sided p, which without any spread is 0 for a difference and 1 for none."""
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
    the Wald interval of the difference after adding half an image to each of the four cells; widened where few images
    are discordant (with none it claimed ±2/n, which 3/n of them are needed to contradict)."""
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
        interval95=difference_interval(_agresti_min(only_a, only_b, n), only_a, only_b, n),
    )


def _agresti_min(only_a: int, only_b: int, n: int) -> Interval:
    a, b, total = only_a + 0.5, only_b + 0.5, n + 2
    half = z_value(0.95) * float(np.sqrt(a + b - (a - b) ** 2 / total)) / total
    low, high = around((a - b) / total, half)
    return max(-1.0, low), min(1.0, high)
