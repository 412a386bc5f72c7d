"""What a comparison of two families can see: of one that was made, and of one that is planned. Pure functions.

All is in fractions (0.003 is 0.3 points), for a two-sided test at 5 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import integrate, special

from study.statistics.intervals import Interval
from study.statistics.over_seeds import Comparison
from study.statistics.result import Result

GAP = 0.003  # what a comparison should be able to see
ENOUGH = 0.8  # of the comparisons of families that are so far apart
# Between the true accuracies of what searches of a minute found without warm starts, a CNN's and an MLP's
# (benchmarks/recorded/live.csv): the longest searches whose spread was recorded.
RECORDED_SPREADS: Interval = (0.0025, 0.0022)
# Of networks that read 0.7 % of the images wrongly (benchmarks/aa_power.py): the variance of an image's difference
# between two families, what the runs of one family add to it, and the standard deviation between seeds.
_BETWEEN_FAMILIES, _WITHIN, _SEED_SD, _ERROR = 0.00075, 0.0048, 0.0004, 0.007


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """Shares of simulated studies that called equal families different, least and most over 3, 5 and 10 searches: with
    searches that spread by 0.05 to 0.25 points, alike or not, or of which one in five is behind in both families; and
    with one in five of one family alone half a point, or a whole one, behind."""

    usual: Interval
    half_behind: Interval
    point_behind: Interval


# By `compare_searches` at 5 %, 2,000 studies each (benchmarks/aa_power.py).
FALSE_ALARMS = FalseAlarms((0.01, 0.06), (0.055, 0.102), (0.118, 0.266))


@dataclass(frozen=True, slots=True)
class Luck:
    """Shares of comparisons that call two networks different at 5 %, least and most over the families: of finalists of
    one configuration under other seeds; of finalists of two searches; and of what two default studies found in one
    family, one run each, so that seeds count, too."""

    other_seeds: Interval
    other_search: Interval
    other_study: Interval


# By 2,000 comparisons of recorded networks a family, searches of nine or ten of 19 or 20 configurations
# (benchmarks/aa_outcomes.py), and all pairs of five studies (benchmarks/verdicts.py).
LUCK = Luck((0.078, 0.092), (0.552, 0.937), (0.6, 0.9))
_QUANTILES = (np.arange(64) + 0.5) / 64


def power_at(gap: float, se: float, df: float) -> float:
    """Share of comparisons with this standard error and these degrees of freedom that call a true difference of `gap`
    one, by the noncentral t distribution; 1 without any spread."""
    if se == 0:
        return 1.0
    t, shift = float(special.stdtrit(df, 0.975)), gap / se

    def seen(share: float) -> float:
        """Where the standard error is estimated as at this quantile of its distribution."""
        estimated = t * np.sqrt(2 * special.gammaincinv(df / 2, share) / df)
        return float(special.ndtr(shift - estimated) + special.ndtr(-shift - estimated))

    # scipy's own function of that distribution, nctdtr, has no number for many a small standard error.
    return float(integrate.quad(seen, 0, 1, limit=200)[0])


def power_of(gap: float, comparison: Comparison) -> float:
    """The same for comparisons whose 95 % interval is as wide as this one's: where hardly any image is read differently
    it is wider than its standard error says."""
    low, high = comparison.interval95
    reach = float(special.stdtrit(comparison.df, 0.975))
    return power_at(gap, (high - low) / (2 * reach), comparison.df)


@dataclass(frozen=True, slots=True)
class Foreseen(Result):
    """Of a comparison by so many searches, or seeds of two finalists, on so many images: median half-width of its 95 %
    interval, median degrees of freedom, and how often a true difference of `gap` is called one."""

    searches: int
    images: int
    gap: float
    half_width: float
    df: float
    power: float


def foresee(searches: int, images: int, spreads: Interval = RECORDED_SPREADS, gap: float = GAP) -> Foreseen:
    """Of `compare_searches` where the true accuracies of either family's searches have these standard deviations, one
    run each. What the sample says of the spread between searches is chance, too: averaged over the quantiles of its
    distribution. Against 500 simulated studies (benchmarks/aa_power.py) power is at most 6 points too high where
    searches spread by 0.05 to 0.25 points; half-widths and degrees of freedom agree."""
    harder = 1 + gap / (2 * _ERROR)  # the worse family's images are read wrongly more often
    of_images = harder * (_BETWEEN_FAMILIES + 2 * _WITHIN / searches) / images
    flips = harder * _WITHIN / images  # of the accuracy of one run
    a, b = (spread**2 + _SEED_SD**2 for spread in spreads)
    true_se = np.sqrt(of_images + (a + b) / searches)
    sample = 2 * special.gammaincinv((searches - 1) / 2, _QUANTILES) / (searches - 1)  # a variance over its expectation
    of_a, of_b = (a + flips) * sample[:, None] / searches, (b + flips) * sample[None, :] / searches
    variance = of_images + (of_a - flips / searches).clip(0) + (of_b - flips / searches).clip(0)
    df = np.minimum(2 * (searches - 1), variance**2 * (searches - 1) / (of_a**2 + of_b**2))
    half = special.stdtrit(df, 0.975) * np.sqrt(variance)
    seen = special.ndtr((gap - half) / true_se) + special.ndtr((-gap - half) / true_se)
    return Foreseen(searches, images, gap, float(np.median(half)), float(np.median(df)), float(seen.mean()))


def enough_searches(images: int, spreads: Interval = RECORDED_SPREADS) -> int | None:
    """The fewest searches that see GAP often enough; None where even a hundred do not."""
    return next((n for n in range(2, 101) if foresee(n, images, spreads).power >= ENOUGH), None)


def foresee_finalists(seeds: int, images: int, gap: float = GAP) -> Foreseen:
    """Of `compare_finalists` between two configurations under so many seeds: for 10,000 images and three seeds 97 %
    where 93 of 100 simulated studies saw it, since there the spread between seeds is an estimate, too."""
    harder = 1 + gap / (2 * _ERROR)
    variance = harder * (_BETWEEN_FAMILIES + 2 * _WITHIN / seeds) / images + 2 * _SEED_SD**2 / seeds
    se, df = float(np.sqrt(variance)), float(images - 1)
    half = float(special.stdtrit(df, 0.975)) * se
    return Foreseen(seeds, images, gap, half, df, power_at(gap, se, df))
