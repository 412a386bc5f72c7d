"""Accuracy and differences of finalists that were trained under S seeds each. Pure functions.

Everywhere `correct` is bool [S, N]: S seeds of one finalist on the same N images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from study.statistics.intervals import (
    Correct,
    Interval,
    are_few,
    degrees_of_freedom,
    difference_interval,
    share_interval,
    sign_test,
    t_interval,
    two_sided,
    wins_and_losses,
)
from study.statistics.result import Result


def _seed_excess(correct: NDArray[np.float64]) -> float:
    """g = max(0, s²/S − f/(nS)): the variance of the mean accuracy that seeds add beyond what image flips explain.

    s² is the variance of the seeds' accuracies, f the mean over images of S/(S−1)·p_i(1−p_i) with p_i the share of
    seeds right on image i. Flips of single images are in var(d_i)/n already. 0 for one seed, where it is unknown.
    """
    seeds, n = correct.shape
    if seeds < 2:
        return 0.0
    share = correct.mean(axis=0)
    flips = seeds / (seeds - 1) * float((share * (1 - share)).mean())
    spread = float(correct.mean(axis=1).var(ddof=1))
    return float(max(0.0, spread / seeds - flips / (n * seeds)))


def _matrix(correct: Correct) -> NDArray[np.float64]:
    matrix = np.asarray(correct, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] < 1 or matrix.shape[1] < 2:
        raise ValueError(f"correctness has shape {matrix.shape}; expected [seeds >= 1, images >= 2]")
    return matrix


@dataclass(frozen=True)
class Comparison(Result):
    """Finalist A against finalist B; `difference` is A's mean accuracy minus B's, `g_a`, `g_b` the seed excess, `wins`
    and `losses` the images that A reads better and worse, weighted by how much: their difference over n is that of the
    accuracies."""

    seeds_a: int
    seeds_b: int
    n: int
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


def compare_finalists(correct_a: Correct, correct_b: Correct) -> Comparison:
    """Two finalists, S seeds each, on the same N images.

    d_i is the mean over seeds of A's correctness on image i minus B's, D its mean, SE² = var(d_i)/N + g_A + g_B (see
    `_seed_excess`), and D/SE is read against t with df = SE⁴/((g_A² + g_B²)/(S−1)), capped at N−1. Its false-alarm
    rate is measured by `benchmarks/aa_power.py`. Where the finalists differ on hardly any image, var(d_i) is no measure
    of what other images would show: the intervals are then widened by `difference_interval`, and p is at least that of
    the exact sign test.
    """
    a, b = _matrix(correct_a), _matrix(correct_b)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"finalists were read on {a.shape[1]} and {b.shape[1]} images; expected the same images")
    n = a.shape[1]
    d = a.mean(axis=0) - b.mean(axis=0)
    g_a, g_b = _seed_excess(a), _seed_excess(b)
    variance = float(d.var(ddof=1)) / n + g_a + g_b
    df = degrees_of_freedom(variance, [(g_a, len(a)), (g_b, len(b))], n - 1)
    difference, se = float(d.mean()), float(np.sqrt(variance))
    t, p_value = two_sided(difference, se, df)
    wins, losses = wins_and_losses(d)
    interval95, interval90 = (
        difference_interval(t_interval(difference, se, df, level), wins, losses, n, level) for level in (0.95, 0.90)
    )
    exact = se == 0 or are_few(wins, losses, n)
    return Comparison(
        seeds_a=len(a),
        seeds_b=len(b),
        n=n,
        accuracy_a=float(a.mean()),
        accuracy_b=float(b.mean()),
        difference=difference,
        se=se,
        df=df,
        t=t,
        p_value=max(p_value, sign_test(wins, losses)) if exact else p_value,
        interval95=interval95,
        interval90=interval90,
        g_a=g_a,
        g_b=g_b,
        wins=wins,
        losses=losses,
    )


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


def family_accuracy(correct: Correct) -> FamilyAccuracy:
    """SE² = var(p_i)/N + g with p_i the share of seeds right on image i (see `_seed_excess`); t with the degrees of
    freedom of the seed part; widened by `share_interval` where hardly any image is wrong, or right. With one seed the
    interval is over images only, and `seed_sd` is None."""
    matrix = _matrix(correct)
    seeds, n = matrix.shape
    share, g = matrix.mean(axis=0), _seed_excess(matrix)
    variance = float(share.var(ddof=1)) / n + g
    df = degrees_of_freedom(variance, [(g, seeds)], n - 1)
    mean, se = float(share.mean()), float(np.sqrt(variance))
    per_seed = matrix.mean(axis=1)
    low, high = share_interval(t_interval(mean, se, df, 0.95), mean, n)
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


def family_halves(correct: Correct) -> tuple[FamilyAccuracy, FamilyAccuracy]:
    """`family_accuracy` on the first and on the second half of the images (MNIST: 0–4,999 and 5,000–9,999, whose
    writers and difficulty differ)."""
    half = np.asarray(correct).shape[1] // 2
    return family_accuracy(np.asarray(correct)[:, :half]), family_accuracy(np.asarray(correct)[:, half:])
