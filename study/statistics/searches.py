"""The spread between independent searches, and Holm's adjustment. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from study.statistics.intervals import Interval, t_interval
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
    """For example for the differences of two families that were searched together; n >= 1."""
    x = np.asarray(values, dtype=np.float64)
    n, mean = len(x), float(x.mean())
    sd = float(x.std(ddof=1)) if n > 1 else None
    interval = None if not sd else t_interval(mean, sd / float(np.sqrt(n)), n - 1, 0.95)
    return Spread(n, mean, sd, float(x.min()), float(x.max()), interval)


def accuracy_spread(values: Sequence[float]) -> Spread:
    """The same for accuracies, whose interval ends at 0 and 1 at the latest."""
    found = spread(values)
    if found.interval95 is None:
        return found
    low, high = found.interval95
    return replace(found, interval95=(max(0.0, low), min(1.0, high)))
