"""Estimates that carry no test: optimism taken apart, tuning curves, P(A > B), bootstrap intervals. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from study.statistics.groups import Groups
from study.statistics.intervals import FEW, Interval, clopper_pearson, unpaired_difference
from study.statistics.result import OPTIONAL, Result

MIN_SEEDS_FOR_INTERVAL = 10
_BATCH = 100


@dataclass(frozen=True)
class Read:
    """An accuracy with its 95 % interval, after training on so many examples, 0 where that is not known."""

    accuracy: float
    interval95: Interval
    examples: int = 0


@dataclass(frozen=True)
class Optimism(Result):
    """One finalist's way from its search score to its test accuracy; `None` where a stage was not run.

    `seed_luck` is known only where the fresh seeds trained for as long as the trial did, and on the same images; else
    `length_and_luck` holds what they gained: one difference cannot tell the two apart. `search_images` is from how many
    of the training images the trial learned, None of all. Intervals are of each step's later accuracy minus the earlier
    one.
    """

    search: float
    search_examples: int
    fresh_validation: float
    fresh_examples: int
    candidates_test: float | None
    finals_test: float | None
    seed_luck: float | None
    length_and_luck: float | None
    fresh_interval95: Interval
    selection_and_shift: float | None
    selection_interval95: Interval | None
    more_data: float | None
    more_data_interval95: Interval | None
    search_images: int | None = field(default=None, metadata=OPTIONAL)


def optimism(
    search: Read,
    fresh: Read,
    candidates: Read | None,
    finals: Read | None,
    more_data: Interval | None,
    search_images: int | None = None,
) -> Optimism:
    """Accuracies (a) of the trial in the search, (b) of its fresh seeds on validation, (c) of the same runs on test,
    (d) of the final runs on test. a − b is seed luck where both trained for as long; b − c is selection on these
    validation images plus the shift between the splits; d − c is the gain from training on validation too, whose
    interval `more_data` is of the same images, and so comes with it."""
    alike = search_images is None and are_alike(search.examples, fresh.examples)
    gained = fresh.accuracy - search.accuracy
    more = None if finals is None or candidates is None else finals.accuracy - candidates.accuracy
    return Optimism(
        search=search.accuracy,
        search_examples=search.examples,
        fresh_validation=fresh.accuracy,
        fresh_examples=fresh.examples,
        candidates_test=None if candidates is None else candidates.accuracy,
        finals_test=None if finals is None else finals.accuracy,
        seed_luck=-gained if alike else None,
        length_and_luck=None if alike else gained,
        fresh_interval95=_between(fresh, search),
        selection_and_shift=None if candidates is None else fresh.accuracy - candidates.accuracy,
        selection_interval95=None if candidates is None else _between(candidates, fresh),
        more_data=more,
        more_data_interval95=more_data,
        search_images=search_images,
    )


def are_alike(before: int, after: int) -> bool:
    """Whether two lengths of training, in examples, are the same to a twentieth; never where one is not known."""
    return min(before, after) > 0 and abs(after / before - 1) <= 0.05


def _between(a: Read, b: Read) -> Interval:
    """Of a minus b."""
    return unpaired_difference(a.accuracy, a.interval95, b.accuracy, b.interval95)


@dataclass(frozen=True)
class Doubling(Result):
    """What twice the training is expected to add to an accuracy, with its interval, and the lengths in examples that it
    is read from."""

    gain: float
    interval95: Interval
    before: int
    after: int


FEWEST_TIMES = 1.5  # how many times as long the longer training must be: nearer ones say nothing of its use


def doubling(before: Read, after: Read) -> Doubling | None:
    """If the error goes on to fall by the power of the length by which it fell from `before` to `after`, as learning
    curves do until they flatten (Hestness et al. 2017): then by less. None where the lengths are unknown or too near.

    Each end of the two errors gives a gain, joined as by Zou & Donner. Simulated with 10,000 images, errors of 0.4 to
    1.5 % and lengths 2 and 4 times apart, the interval held the truth in 93 to 97 % of cases.
    """
    if min(before.examples, after.examples) <= 0 or after.examples < FEWEST_TIMES * before.examples:
        return None
    (first, *firsts), (last, *lasts) = (
        (1 - one.accuracy, *(1 - end for end in one.interval95)) for one in (before, after)
    )
    if min(first, last) <= 0:
        return None

    def gain(start: float, end: float) -> float:
        return end - end * math.pow(end / start, 1 / math.log2(after.examples / before.examples))

    middle = gain(first, last)
    apart = [[gain(start, last) - middle for start in firsts], [gain(first, end) - middle for end in lasts]]
    low, high = (math.hypot(*(side(0.0, *moves) for moves in apart)) for side in (min, max))
    return Doubling(middle, (middle - low, middle + high), before.examples, after.examples)


def best_so_far(values: Sequence[float | None]) -> list[float | None]:
    """Running maximum over trials in order; None and NaN (failed trials) change nothing, None before the first."""
    curve: list[float | None] = []
    best: float | None = None
    for value in values:
        if value is not None and not np.isnan(value) and (best is None or value > best):
            best = float(value)
        curve.append(best)
    return curve


def expected_max(values: Sequence[float], largest: int | None = None) -> list[float]:
    """E[max of m] for m = 1 … `largest` (default N/2): Σ C(i−1, m−1)/C(N, m)·v_(i) over the sorted values, unbiased
    for independent complete draws (Dodge et al. 2019 in the form without replacement of Tang et al. 2020)."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n = len(ordered)
    most = n // 2 if largest is None else min(largest, n)
    return [float(_weights_of_maximum(n, m) @ ordered) for m in range(1, most + 1)]


def _weights_of_maximum(n: int, m: int) -> NDArray[np.float64]:
    """P(the i-th smallest of n is the largest of m drawn without replacement), i = 1 … n, through log-gammas."""
    i = np.arange(m, n + 1)
    log_ways = special.gammaln(i) - special.gammaln(m) - special.gammaln(i - m + 1)
    log_all = special.gammaln(n + 1) - special.gammaln(m + 1) - special.gammaln(n - m + 1)
    weights = np.exp(log_ways - log_all)
    return np.concatenate([np.zeros(m - 1), weights / weights.sum()])


@dataclass(frozen=True)
class ProbabilityBetter(Result):
    """Share of all seed pairs in which A is ahead, ties as half; the interval is None below ten seeds."""

    pairs: int
    probability: float
    interval95: tuple[float, float] | None


def p_a_better(accuracies_a: Sequence[float], accuracies_b: Sequence[float], seed: int = 0) -> ProbabilityBetter:
    """P(A > B) over all seed pairs (Bouthillier et al. 2021); interval by 2,000 seeded bootstraps of the seeds of
    each side, or, where one side won every pair and no bootstrap can vary, Clopper and Pearson's of as many pairs as
    have no seed in common. It speaks of seeds on these test images: no verdict follows from it."""
    wins = _wins(np.asarray(accuracies_a), np.asarray(accuracies_b))
    interval = None
    if min(wins.shape) >= MIN_SEEDS_FOR_INTERVAL:
        rng = np.random.default_rng(seed)
        rows = rng.integers(0, wins.shape[0], (2000, wins.shape[0]))
        columns = rng.integers(0, wins.shape[1], (2000, wins.shape[1]))
        means = [wins[np.ix_(r, c)].mean() for r, c in zip(rows, columns, strict=True)]
        interval = _percentiles(np.asarray(means))
        if interval[0] == interval[1]:
            apart = min(wins.shape)
            interval = clopper_pearson(float(wins.mean()) * apart, apart)
    return ProbabilityBetter(wins.size, float(wins.mean()), interval)


def _wins(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray((a[:, None] > b[None, :]) + 0.5 * (a[:, None] == b[None, :]), dtype=np.float64)


def _percentiles(values: NDArray[Any]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


@dataclass(frozen=True)
class Bootstrap(Result):
    """An estimate with its percentile interval over resampled images; the spread between seeds is not in it."""

    estimate: float
    interval95: tuple[float, float]


def bootstrap_macro_f1(
    labels: NDArray[Any],
    predictions: NDArray[Any],
    n_classes: int,
    resamples: int = 2000,
    seed: int = 0,
    groups: Groups | None = None,
) -> Bootstrap:
    """Macro F1, mean over the S seeds of `predictions` [S, N], and its interval over images, or groups of them.

    Images with the same label and the same S answers are exchangeable, so a resample is one multinomial draw over the
    few patterns that occur: the memory is resamples x patterns, not resamples x N. No resample holds an error that did
    not occur: where errors are few the interval reaches as far as that of the accuracy does, see `_f1_reach`.
    """
    patterns, of, counts = np.unique(np.vstack([labels, predictions]), axis=1, return_inverse=True, return_counts=True)
    cells = patterns[0] * n_classes + patterns[1:]
    rng = np.random.default_rng(seed)
    drawn: NDArray[Any]  # [resamples, patterns]
    if groups is None:
        drawn = rng.multinomial(counts.sum(), counts / counts.sum(), size=resamples)
    else:
        held = np.zeros((len(groups), len(counts)))  # not int64, which no BLAS multiplies; counts are exact in it
        np.add.at(held, (groups.of, of.reshape(-1)), 1)
        drawn = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=resamples) @ held
    estimate = float(_mean_macro_f1(counts[None, :], cells, n_classes)[0])
    low, high = _percentiles(_mean_macro_f1(drawn, cells, n_classes))
    below, above = _f1_reach(labels, float((predictions == labels).mean()), n_classes)
    return Bootstrap(estimate, (max(0.0, min(low, estimate - below)), min(1.0, max(high, estimate + above))))


def _f1_reach(labels: NDArray[Any], accuracy: float, n_classes: int) -> tuple[float, float]:
    """How far macro F1 may lie below and above its estimate where fewer than FEW images are wrong, or right: as far as
    Clopper and Pearson's interval of the accuracy, times what an image of the smallest class weighs more in it. Else
    (0, 0)."""
    n = len(labels)
    right = round(accuracy * n, 6)
    if min(right, n - right) >= FEW:
        return 0.0, 0.0
    low, high = clopper_pearson(right, n)
    support = np.bincount(labels, minlength=n_classes)
    weight = n / (n_classes * float(support[support > 0].min()))
    return (accuracy - low) * weight, (high - accuracy) * weight


def _mean_macro_f1(counts: NDArray[Any], cells: NDArray[Any], n_classes: int) -> NDArray[np.float64]:
    """counts [R, K] of the K patterns, cells [S, K] their place in each seed's confusion matrix -> [R]."""
    total = np.zeros(len(counts))
    for row in cells:
        to_cell = np.zeros((len(row), n_classes * n_classes))
        to_cell[np.arange(len(row)), row] = 1
        confusion = (counts @ to_cell).reshape(-1, n_classes, n_classes)
        hits = np.diagonal(confusion, axis1=1, axis2=2)
        both = confusion.sum(axis=1) + confusion.sum(axis=2)
        f1 = np.divide(2 * hits, both, out=np.zeros(hits.shape), where=both > 0)
        total += f1.mean(axis=1)
    return np.asarray(total / len(cells))
