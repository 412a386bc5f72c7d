"""The tests and intervals of the comparison, as pure functions of correctness matrices and counts.

Everywhere `correct` is bool [S, N]: S seeds of one finalist on the same N images. Differences, standard errors and
intervals are fractions (0.002 is 0.2 points).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from study.statistics.groups import Groups
from study.statistics.intervals import Correct
from study.statistics.over_seeds import Comparison, compare_finalists
from study.statistics.result import Result, shown_p
from study.statistics.searches import holm

ALPHA = 0.05
EQUAL_WITHIN = 0.002
SMALL = 0.001
MIN_SEEDS = 3
MIN_SEARCHES = 3


# -- verdicts ---------------------------------------------------------------------------------------------------------

Label = Literal["better", "better, too small to matter", "equal within 0.2 points", "too close to call", "no verdict"]


@dataclass(frozen=True)
class Verdict(Result):
    """`better` is the side that is ahead, only where the label says "better". `reason` is a clause with the numbers."""

    label: Label
    better: Literal["a", "b"] | None
    reason: str


def verdict(comparison: Comparison, holm_p: float) -> Verdict:
    """better: Holm p < 0.05, "too small to matter" when |D| < 0.1 points; equal: the 90 % interval inside ±0.2 points
    (two one-sided tests at 5 %, Schuirmann 1987; fewer than about 1,500 images never show that) and not better; too
    close to call otherwise. None at all with fewer than three seeds, or, over searches, fewer than three of them."""
    missing = _too_few(comparison)
    if missing:
        return Verdict("no verdict", None, missing)
    points = 100 * comparison.difference
    if holm_p < ALPHA:
        better: Literal["a", "b"] = "a" if points > 0 else "b"
        reason = f"a difference of {abs(points):.2f} points, Holm p {shown_p(holm_p)}"
        if abs(comparison.difference) < SMALL:
            return Verdict("better, too small to matter", better, f"{reason}, but less than 0.1 points")
        return Verdict("better", better, reason)
    label, reason = _equal_or_open(comparison)
    return Verdict(label, None, reason if label.startswith("equal") else f"Holm p {shown_p(holm_p)} and {reason}")


def _equal_or_open(comparison: Comparison) -> tuple[Literal["equal within 0.2 points", "too close to call"], str]:
    """Of a difference that is not called better: whether its 90 % interval shows that it is small."""
    low, high = (100 * bound for bound in comparison.interval90)
    interval = f"the 90 % interval of the difference, {low:+.2f} to {high:+.2f} points,"
    if not (comparison.interval90[0] > -EQUAL_WITHIN and comparison.interval90[1] < EQUAL_WITHIN):
        return "too close to call", f"{interval} reaches beyond ±0.2"
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


def _too_few(comparison: Comparison) -> str | None:
    fewest = min(comparison.seeds_a, comparison.seeds_b)
    if comparison.unit == "search":
        needed, unit, whose = MIN_SEARCHES, "independent search" + ("es" if fewest != 1 else ""), "family"
    else:
        needed, unit, whose = MIN_SEEDS, "seed" + ("s" if fewest != 1 else ""), "finalist"
    return None if fewest >= needed else f"{fewest} {unit} per {whose}, fewer than the {needed} that a verdict needs"


@dataclass(frozen=True)
class Pair(Result):
    """One pair of finalists: Holm over the planned pairs, or, for one that was not planned, over all pairs."""

    a: str
    b: str
    planned: bool
    comparison: Comparison
    holm_p: float
    verdict: Verdict


def compare_pairs(
    correct: Mapping[str, Correct], planned: Sequence[Sequence[str]] | None = None, groups: Groups | None = None
) -> list[Pair]:
    """All pairs of finalists by name. `planned` are the hypotheses of the seal (default: every pair); they share one
    Holm family, so that a pair added later neither changes them nor counts as one of them: it gets Holm over
    everything, and `planned` False."""
    pairs = list(combinations(correct, 2))
    sealed = {frozenset(pair) for pair in (pairs if planned is None else planned)}
    comparisons = {pair: compare_finalists(correct[pair[0]], correct[pair[1]], groups) for pair in pairs}
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
