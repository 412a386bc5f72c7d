"""The tests and intervals of the comparison, as pure functions of correctness matrices and counts.

Everywhere `correct` is bool [S, N]: S seeds of one finalist on the same N images. Differences, standard errors and
intervals are fractions (0.002 is 0.2 points). What `intervals`, `replications` and `estimators` hold is offered here
too, so that a reader of results needs this module alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from study.evaluation.estimators import (
    Bootstrap,
    Optimism,
    ProbabilityBetter,
    best_so_far,
    bootstrap_ece,
    bootstrap_macro_f1,
    expected_max,
    optimism,
    p_a_better,
)
from study.evaluation.intervals import (
    Correct,
    Interval,
    MatchedPair,
    MeanInterval,
    clopper_pearson,
    degrees_of_freedom,
    mcnemar_exact,
    mean_interval,
    t_interval,
    two_sided,
    wilson,
)
from study.evaluation.replications import (
    MIN_DATASETS,
    Choice,
    DatasetsComparison,
    Spread,
    Welch,
    choose_over_searches,
    compare_on_datasets,
    compare_searches,
    holm,
    spread,
)
from study.evaluation.result import Result

__all__ = [
    "EQUAL_WITHIN",
    "MIN_DATASETS",
    "MIN_SEARCHES",
    "MIN_SEEDS",
    "SMALL",
    "Bootstrap",
    "Choice",
    "Comparison",
    "DatasetsComparison",
    "FamilyAccuracy",
    "Interval",
    "MatchedPair",
    "MeanInterval",
    "Optimism",
    "Pair",
    "ProbabilityBetter",
    "Reading",
    "Spread",
    "Verdict",
    "Welch",
    "best_so_far",
    "bootstrap_ece",
    "bootstrap_macro_f1",
    "choose_over_searches",
    "clopper_pearson",
    "compare_finalists",
    "compare_on_datasets",
    "compare_pairs",
    "compare_searches",
    "expected_max",
    "family_accuracy",
    "family_halves",
    "holm",
    "mcnemar_exact",
    "mean_interval",
    "optimism",
    "p_a_better",
    "read_intervals",
    "spread",
    "verdict",
    "wilson",
]

ALPHA = 0.05
EQUAL_WITHIN = 0.002
SMALL = 0.001
MIN_SEEDS = 3
# Rule of three: no discordant image among n leaves a share of up to 3/n, and 3/1500 is EQUAL_WITHIN.
MIN_IMAGES_FOR_EQUAL = 1500
MIN_SEARCHES = 5


# -- finalists under S seeds ------------------------------------------------------------------------------------------


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
    """Finalist A against finalist B; `difference` is A's mean accuracy minus B's, `g_a`, `g_b` the seed excess."""

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


def compare_finalists(correct_a: Correct, correct_b: Correct) -> Comparison:
    """Two finalists, S seeds each, on the same N images.

    d_i is the mean over seeds of A's correctness on image i minus B's, D its mean, SE² = var(d_i)/N + g_A + g_B (see
    `_seed_excess`), and D/SE is read against t with df = SE⁴/((g_A² + g_B²)/(S−1)), capped at N−1. Its false-alarm
    rate is measured by `benchmarks/aa_power.py`.
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
        p_value=p_value,
        interval95=t_interval(difference, se, df, 0.95),
        interval90=t_interval(difference, se, df, 0.90),
        g_a=g_a,
        g_b=g_b,
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
    freedom of the seed part. With one seed the interval is over images only, and `seed_sd` is None."""
    matrix = _matrix(correct)
    seeds, n = matrix.shape
    share, g = matrix.mean(axis=0), _seed_excess(matrix)
    variance = float(share.var(ddof=1)) / n + g
    df = degrees_of_freedom(variance, [(g, seeds)], n - 1)
    mean, se = float(share.mean()), float(np.sqrt(variance))
    per_seed = matrix.mean(axis=1)
    low, high = t_interval(mean, se, df, 0.95)
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


# -- verdicts ---------------------------------------------------------------------------------------------------------

OpenLabel = Literal["equal within 0.2 points", "too close to call"]
Label = Literal["better", "better, too small to matter", "equal within 0.2 points", "too close to call", "no verdict"]


@dataclass(frozen=True)
class Verdict(Result):
    """`better` is the side that is ahead, only where the label says "better". `reason` is a clause with the numbers."""

    label: Label
    better: Literal["a", "b"] | None
    reason: str


def verdict(comparison: Comparison | Welch, holm_p: float) -> Verdict:
    """better: Holm p < 0.05, "too small to matter" when |D| < 0.1 points; equal: the 90 % interval inside ±0.2 points
    (two one-sided tests at 5 %, Schuirmann 1987; on fewer than 1,500 images never) and not better; too close to call
    otherwise. None at all with fewer than three seeds, or, over searches, fewer than five of them."""
    missing = _too_few(comparison)
    if missing:
        return Verdict("no verdict", None, missing)
    points = 100 * comparison.difference
    if holm_p < ALPHA:
        better: Literal["a", "b"] = "a" if points > 0 else "b"
        reason = f"a difference of {abs(points):.2f} points, Holm p {_shown_p(holm_p)}"
        if abs(comparison.difference) < SMALL:
            return Verdict("better, too small to matter", better, f"{reason}, but less than 0.1 points")
        return Verdict("better", better, reason)
    label, reason = _equal_or_open(comparison)
    return Verdict(label, None, reason if label.startswith("equal") else f"Holm p {_shown_p(holm_p)} and {reason}")


def _equal_or_open(
    comparison: Comparison | Welch,
) -> tuple[Literal["equal within 0.2 points", "too close to call"], str]:
    """Of a difference that is not called better: whether its 90 % interval shows that it is small."""
    low, high = (100 * bound for bound in comparison.interval90)
    interval = f"the 90 % interval of the difference, {low:+.2f} to {high:+.2f} points,"
    if not (comparison.interval90[0] > -EQUAL_WITHIN and comparison.interval90[1] < EQUAL_WITHIN):
        return "too close to call", f"{interval} reaches beyond ±0.2"
    if isinstance(comparison, Comparison) and comparison.n < MIN_IMAGES_FOR_EQUAL:
        few = f"{comparison.n} images are fewer than the {MIN_IMAGES_FOR_EQUAL} that can show it within ±0.2 points"
        return "too close to call", few
    return "equal within 0.2 points", f"{interval} lies inside ±0.2"


@dataclass(frozen=True)
class Reading(Result):
    """What an exploratory difference shows by its intervals alone; `ahead` is the side that is."""

    label: Literal["ahead", "equal within 0.2 points", "too close to call", "no verdict"]
    ahead: Literal["a", "b"] | None
    reason: str


def read_intervals(comparison: Comparison) -> Reading:
    """For a pair that nobody planned: ahead where the 95 % interval leaves out zero, which one such interval in twenty
    does by chance; else as `verdict` without its test."""
    missing = _too_few(comparison)
    if missing:
        return Reading("no verdict", None, missing)
    low, high = (100 * bound for bound in comparison.interval95)
    if low > 0 or high < 0:
        reason = f"the 95 % interval of the difference, {low:+.2f} to {high:+.2f} points, leaves out zero"
        return Reading("ahead", "a" if low > 0 else "b", reason)
    label, reason = _equal_or_open(comparison)
    return Reading(label, None, reason)


def _too_few(comparison: Comparison | Welch) -> str | None:
    if isinstance(comparison, Welch):
        fewest, needed = min(comparison.searches_a, comparison.searches_b), MIN_SEARCHES
        unit, whose = "independent search", "family"
    else:
        fewest, needed = min(comparison.seeds_a, comparison.seeds_b), MIN_SEEDS
        unit, whose = "seed", "finalist"
    if fewest >= needed:
        return None
    plural = ("es" if unit.endswith("search") else "s") if fewest != 1 else ""
    return f"{fewest} {unit}{plural} per {whose}, fewer than the {needed} that a verdict needs"


def _shown_p(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"= {p:.4f}" if p < 0.01 else f"= {p:.2f}"


@dataclass(frozen=True)
class Pair(Result):
    """One pair of finalists: Holm over the planned pairs, or, for one that was not planned, over all pairs."""

    a: str
    b: str
    planned: bool
    comparison: Comparison
    holm_p: float
    verdict: Verdict


def compare_pairs(correct: Mapping[str, Correct], planned: Sequence[Sequence[str]] | None = None) -> list[Pair]:
    """All pairs of finalists by name. `planned` are the hypotheses of the seal (default: every pair); they share one
    Holm family, so that a pair added later neither changes them nor counts as one of them: it gets Holm over
    everything, and `planned` False."""
    pairs = list(combinations(correct, 2))
    sealed = {frozenset(pair) for pair in (pairs if planned is None else planned)}
    comparisons = {pair: compare_finalists(correct[pair[0]], correct[pair[1]]) for pair in pairs}
    first = [pair for pair in pairs if frozenset(pair) in sealed]
    adjusted = _holm_of(comparisons, first)
    overall = _holm_of(comparisons, pairs)
    found = []
    for pair in pairs:
        p = adjusted.get(pair, overall[pair])
        found.append(Pair(*pair, pair in adjusted, comparisons[pair], p, verdict(comparisons[pair], p)))
    return found


def _holm_of(
    comparisons: Mapping[tuple[str, str], Comparison], pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], float]:
    return dict(zip(pairs, holm([comparisons[pair].p_value for pair in pairs]), strict=True))
