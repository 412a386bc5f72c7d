"""Comparisons over independent searches, and Holm's adjustment. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from study.statistics.intervals import Interval, degrees_of_freedom, t_interval, two_sided, unmatched_difference
from study.statistics.result import Result


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given: max over the smaller ones of (m − rank)·p, at most 1 (Holm 1979)."""
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


@dataclass(frozen=True)
class Welch(Result):
    """Independent searches of A against those of B: `difference` of the means of their finalists' accuracies."""

    searches_a: int
    searches_b: int
    accuracy_a: float
    accuracy_b: float
    difference: float
    se: float
    df: float
    t: float
    p_value: float
    interval95: Interval
    interval90: Interval


def compare_searches(accuracies_a: Sequence[float], accuracies_b: Sequence[float], images: int) -> Welch:
    """Welch's t on the mean accuracies of the finalists of R independent searches each (Welch 1947); R >= 2. Where all
    searches of either family agree to the image there is no spread to test with: p is 1, and the intervals are those of
    two shares of so many images."""
    a, b = np.asarray(accuracies_a, dtype=np.float64), np.asarray(accuracies_b, dtype=np.float64)
    if min(len(a), len(b)) < 2:
        raise ValueError(f"{len(a)} and {len(b)} searches; expected at least two of each")
    v_a, v_b = float(a.var(ddof=1)) / len(a), float(b.var(ddof=1)) / len(b)
    variance = v_a + v_b
    df = degrees_of_freedom(variance, [(v_a, len(a)), (v_b, len(b))], len(a) + len(b) - 2)
    difference, se = float(a.mean() - b.mean()), float(np.sqrt(variance))
    t, p_value = two_sided(difference, se, df) if se > 0 else (0.0, 1.0)
    mean_a, mean_b = float(a.mean()), float(b.mean())
    interval95, interval90 = (
        t_interval(difference, se, df, level) if se > 0 else unmatched_difference(mean_a, mean_b, images, level)
        for level in (0.95, 0.90)
    )
    return Welch(
        searches_a=len(a),
        searches_b=len(b),
        accuracy_a=mean_a,
        accuracy_b=mean_b,
        difference=difference,
        se=se,
        df=df,
        t=t,
        p_value=p_value,
        interval95=interval95,
        interval90=interval90,
    )


@dataclass(frozen=True)
class Spread(Result):
    """One value of each of n independent searches: their mean, standard deviation and range, and the t interval of the
    mean; no deviation for one, and no interval for one or for values without any spread."""

    n: int
    mean: float
    sd: float | None
    low: float
    high: float
    interval95: Interval | None


def spread(values: Sequence[float]) -> Spread:
    """For accuracies, and for the differences of two families that were searched together; n >= 1."""
    x = np.asarray(values, dtype=np.float64)
    n, mean = len(x), float(x.mean())
    sd = float(x.std(ddof=1)) if n > 1 else None
    interval = None if not sd else t_interval(mean, sd / float(np.sqrt(n)), n - 1, 0.95)
    return Spread(n, mean, sd, float(x.min()), float(x.max()), interval)
