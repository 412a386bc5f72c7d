"""Accuracy and differences of finalists that were trained under S seeds each, and of families that were searched R
times. Pure functions.

Everywhere `correct` is bool [S, N]: S seeds of one finalist on the same N images, or a share [R, N] for each search's
finalist. With `groups` all is clustered by them: they are drawn, not images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from study.statistics.groups import Groups, design_effect, variance_of_mean
from study.statistics.intervals import (
    FEW,
    Correct,
    Interval,
    MatchedPair,
    are_few,
    degrees_of_freedom,
    difference_interval,
    mcnemar_exact,
    share_interval,
    sign_test,
    t_interval,
    two_sided,
    wins_and_losses,
)
from study.statistics.result import Result


def _seed_excess(correct: NDArray[np.float64], groups: Groups) -> float:
    """g = max(0, s²/S − f/(nS)): the variance of the mean accuracy that seeds add beyond what flips explain.

    s² is the variance of the seeds' accuracies, f/n what it would be if only groups of images flipped, each for itself:
    the sum over groups of the variance between seeds of what a group adds to the accuracy. Where every image is a group
    f is the mean of S/(S−1)·p_i(1−p_i), p_i the share of seeds right on image i. Flips are in var(d_i)/n already. 0 for
    one seed, where it is unknown.
    """
    seeds, n = correct.shape
    if seeds < 2:
        return 0.0
    sums = groups.sums(correct)
    flips = float((sums * sums).mean(axis=0).sum() - (sums.mean(axis=0) ** 2).sum()) * seeds / (seeds - 1) / n**2
    spread = float(correct.mean(axis=1).var(ddof=1))
    return float(max(0.0, spread / seeds - flips / seeds))


def _variance_between(correct: NDArray[np.float64]) -> float:
    """s²/R: the variance of the mean over searches, whatever explains it."""
    return float(correct.mean(axis=1).var(ddof=1)) / len(correct) if len(correct) > 1 else 0.0


def _matrix(correct: Correct) -> NDArray[np.float64]:
    matrix = np.asarray(correct, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] < 1 or matrix.shape[1] < 2:
        raise ValueError(f"correctness has shape {matrix.shape}; expected [seeds >= 1, images >= 2]")
    return matrix


def _groups_of(images: int, groups: Groups | None) -> Groups:
    if groups is None:
        return Groups.single(images)
    if len(groups.of) != images:
        raise ValueError(f"groups of {len(groups.of)} images; expected those of {images}")
    return groups


Unit = Literal["seed", "search"]


@dataclass(frozen=True)
class Comparison(Result):
    """Finalist A against finalist B; `difference` is A's mean accuracy minus B's, `g_a`, `g_b` the seed excess, `wins`
    and `losses` the images that A reads better and worse, weighted by how much: their difference over n is that of the
    accuracies. Of families a `unit` is a search in place of a seed."""

    unit: Unit
    seeds_a: int
    seeds_b: int
    n: int
    groups: int | None
    accuracy_a: float
    accuracy_b: float
    difference: float
    se: float
    df: float
    t: float
    p_value: float
    interval95: Interval
    interval90: Interval
    g_a: float
    g_b: float
    wins: float
    losses: float


def compare_finalists(correct_a: Correct, correct_b: Correct, groups: Groups | None = None) -> Comparison:
    """Two finalists, S seeds each, on the same N images.

    d_i is the mean over seeds of A's correctness on image i minus B's, D its mean, SE² = var(d_i)/N + g_A + g_B (see
    `_seed_excess`), and D/SE is read against t with df = SE⁴/((g_A² + g_B²)/(S−1)), capped at N−1. Its false-alarm
    rate is measured by `benchmarks/aa_power.py`. Where the finalists differ on hardly any image, var(d_i) is no measure
    of what other images would show: the intervals are then widened by `difference_interval`, and p is at least that of
    the exact sign test. Of G groups the images' part is `variance_of_mean`, with G−1 degrees of freedom, and few of
    them are few images.
    """
    return _compare(correct_a, correct_b, groups, "seed")


def compare_searches(correct_a: Correct, correct_b: Correct, groups: Groups | None = None) -> Comparison:
    """Two families by R searches each, [R, N]: `compare_finalists` with searches in place of seeds, so that images and
    searches are both drawn. All searches read the same images: Welch's t on their means alone would take what these
    images favour for what families differ by.

    A few searches say little of the spread between searches, so the degrees of freedom are those of the whole variance
    of their means, s_A²/R_A and s_B²/R_B in place of g_A and g_B, and at most R_A + R_B − 2, as if searches alone were
    drawn. `FALSE_ALARMS` says what came of it in simulation.
    """
    return _compare(correct_a, correct_b, groups, "search")


def _compare(correct_a: Correct, correct_b: Correct, groups: Groups | None, unit: Unit) -> Comparison:
    a, b = _matrix(correct_a), _matrix(correct_b)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"finalists were read on {a.shape[1]} and {b.shape[1]} images; expected the same images")
    n = a.shape[1]
    drawn = _groups_of(n, groups)
    d = a.mean(axis=0) - b.mean(axis=0)
    g_a, g_b, images = _seed_excess(a, drawn), _seed_excess(b, drawn), variance_of_mean(d, drawn)
    variance = images + g_a + g_b
    spreads = (g_a, g_b) if unit == "seed" else (_variance_between(a), _variance_between(b))
    parts = [*zip(spreads, (len(a), len(b)), strict=True), *([] if groups is None else [(images, len(drawn))])]
    most = len(drawn) - 1 if unit == "seed" else min(len(drawn) - 1, len(a) + len(b) - 2)
    df = degrees_of_freedom(variance, parts, most)
    difference, se = float(d.mean()), float(np.sqrt(variance))
    t, p_value = two_sided(difference, se, df)
    wins, losses = wins_and_losses(d)
    effect = 1.0 if groups is None else design_effect(d, drawn)
    interval95, interval90 = (
        difference_interval(t_interval(difference, se, df, level), wins / effect, losses / effect, n / effect, level)
        for level in (0.95, 0.90)
    )
    return Comparison(
        unit=unit,
        seeds_a=len(a),
        seeds_b=len(b),
        n=n,
        groups=None if groups is None else len(drawn),
        accuracy_a=float(a.mean()),
        accuracy_b=float(b.mean()),
        difference=difference,
        se=se,
        df=df,
        t=t,
        p_value=max(p_value, _exact_p(d, drawn, se)),
        interval95=interval95,
        interval90=interval90,
        g_a=g_a,
        g_b=g_b,
        wins=wins,
        losses=losses,
    )


def _exact_p(d: NDArray[np.float64], drawn: Groups, se: float) -> float:
    """The sign test's p where hardly any image, or group of them, is read differently; else 0."""
    if drawn.are_single:
        wins, losses = wins_and_losses(d)
        return sign_test(wins, losses) if se == 0 or are_few(wins, losses, len(d)) else 0.0
    wins, losses = wins_and_losses(np.sign(drawn.sums(d).round(9)))
    return sign_test(wins, losses) if se == 0 or wins + losses < FEW else 0.0


def compare_networks(correct_a: Correct, correct_b: Correct, groups: Groups | None = None) -> MatchedPair:
    """Two single networks, bool [N] each: `mcnemar_exact`; by groups p and interval are `compare_finalists`'s, p at
    least the exact one."""
    found = mcnemar_exact(correct_a, correct_b)
    if groups is None:
        return found
    grouped = compare_finalists(correct_a[None], correct_b[None], groups)
    return replace(found, p_value=max(found.p_value, grouped.p_value), interval95=grouped.interval95)


@dataclass(frozen=True)
class FamilyAccuracy(Result):
    """Mean accuracy of one finalist over its seeds, with the interval over images and seeds."""

    seeds: int
    n: int
    mean: float
    se: float
    df: float
    interval95: Interval
    seed_accuracies: tuple[float, ...]
    seed_sd: float | None


def family_accuracy(correct: Correct, groups: Groups | None = None) -> FamilyAccuracy:
    """SE² = var(p_i)/N + g with p_i the share of seeds right on image i (see `_seed_excess`); t with the degrees of
    freedom of the seed part; widened by `share_interval` where hardly any image is wrong, or right. By groups as in
    `compare_finalists`. With one seed the interval is over images only, and `seed_sd` is None."""
    matrix = _matrix(correct)
    seeds, n = matrix.shape
    drawn = _groups_of(n, groups)
    share, g = matrix.mean(axis=0), _seed_excess(matrix, drawn)
    images = variance_of_mean(share, drawn)
    excess = [(g, seeds), *([] if groups is None else [(images, len(drawn))])]
    df = degrees_of_freedom(images + g, excess, len(drawn) - 1)
    mean, se = float(share.mean()), float(np.sqrt(images + g))
    per_seed = matrix.mean(axis=1)
    effect = 1.0 if groups is None else design_effect(share, drawn)
    low, high = share_interval(t_interval(mean, se, df, 0.95), mean, n / effect)
    return FamilyAccuracy(
        seeds=seeds,
        n=n,
        mean=mean,
        se=se,
        df=df,
        interval95=(max(0.0, low), min(1.0, high)),
        seed_accuracies=tuple(float(value) for value in per_seed),
        seed_sd=float(per_seed.std(ddof=1)) if seeds > 1 else None,
    )


def family_halves(correct: Correct, groups: Groups | None = None) -> tuple[FamilyAccuracy, FamilyAccuracy]:
    """`family_accuracy` on the first and on the second half of the images (MNIST: 0–4,999 and 5,000–9,999, whose
    writers and difficulty differ)."""
    matrix = np.asarray(correct)
    middle = matrix.shape[1] // 2

    def of(half: slice) -> FamilyAccuracy:
        return family_accuracy(matrix[:, half], None if groups is None else groups.select(half))

    return of(slice(None, middle)), of(slice(middle, None))
