"""What lies between the independent searches of a study, and what it says of the families."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

import numpy as np

from study.records.finalists import Choice
from study.records.trial import Scalar
from study.report import precision
from study.report.charts import Chart, boxes
from study.report.judged import Turned, of_sides, verdict
from study.report.reading import Array, StudyRecords
from study.report.section import Report
from study.report.wording import NONE, count, listing, percent, points, setting
from study.statistics.comparison import MIN_SEARCHES, Verdict
from study.statistics.comparison import verdict as judge
from study.statistics.groups import Groups
from study.statistics.over_seeds import Comparison, compare_searches
from study.statistics.power import GAP, power_of
from study.statistics.result import PAGE_ONLY, Result
from study.statistics.searches import Spread, accuracy_spread, holm, spread

Score = Literal["best", "validation_mean", "test_mean"]


@dataclass(frozen=True, slots=True)
class SearchRow(Result):
    """A family in one search: its finalist's configuration as the search drew it, the best search score, the mean of
    fresh seeds on validation and of the final seeds on test, and what its trials took."""

    search: int
    family: str
    seed: int
    title: str | None
    warm_start: bool
    parameters: Mapping[str, Scalar]
    best: float | None
    validation_mean: float | None
    test_mean: float | None
    final_seeds: int
    trials: int
    seconds: float

    @property
    def number(self) -> str:
        return f"#{self.title.rpartition('#')[2]}" if self.title else NONE

    @property
    def configuration(self) -> str:
        return ", ".join(f"{name} {setting(value)}" for name, value in self.parameters.items()) or NONE


@dataclass(frozen=True, slots=True)
class FamilySpreads(Result):
    """Between the searches of a family: of best search scores, and of its finalists on validation and on test."""

    best: Spread | None
    validation: Spread | None
    test: Spread | None

    @property
    def known(self) -> list[tuple[str, Spread]]:
        named = {
            "best search score": self.best,
            "finalist, fresh seeds, validation": self.validation,
            "finalist, test": self.test,
        }
        return [(name, found) for name, found in named.items() if found is not None]


@dataclass(frozen=True, slots=True)
class FamilyPair(Result):
    """Two families over their searches; `power` is the share of such comparisons that would call a true difference of
    0.3 points one, were this pair the only one; `by_search` has the difference of each search, `paired` their spread,
    with no test."""

    a: str
    b: str
    title_a: str
    title_b: str
    searches: int
    comparison: Comparison
    holm_p: float
    verdict: Verdict
    power: float
    by_search: Mapping[int, float]
    paired: Spread | None

    @property
    def each(self) -> str:
        return f"{self.searches} searches"

    @property
    def title(self) -> str:
        return f"{self.a} − {self.b}"

    @property
    def half_width(self) -> float:
        low, high = self.comparison.interval95
        return (high - low) / 2


@dataclass(frozen=True, slots=True)
class Searches(Result):
    """Of `asked` searches so many are `ready` with finalists, and at least so many `tested` of each family that was
    tested at all; `needed` are the fewest for a verdict on families. Until all are ready there is no winner."""

    asked: int
    ready: int
    tested: int
    needed: int
    allowances: tuple[float | None, ...]
    rows: tuple[SearchRow, ...]
    families: Mapping[str, FamilySpreads]
    warm_finalists: Mapping[str, int]
    pairs: tuple[FamilyPair, ...]
    seconds: float
    search_seconds: float
    trials: int
    winner: str | None = None
    shipped: SearchRow | None = None
    runner_up: str | None = None
    contradicted: bool | None = field(default=None, metadata={"optional": True})
    apart: bool = field(default=False, metadata=PAGE_ONLY)  # whether what was given is no search's own
    own_validation: bool = field(default=False, metadata=PAGE_ONLY)  # whether each search held out another sixth

    @property
    def spreads(self) -> list[tuple[str, str, Spread]]:
        """Family, what is spread, and how."""
        return [(family, name, found) for family, spreads in self.families.items() for name, found in spreads.known]

    @property
    def false_alarms(self) -> str:
        return precision.false_alarms()

    def differences(self, pair: FamilyPair) -> str:
        """Of each search, in points."""
        return ", ".join(f"{100 * value:+.2f}" for value in pair.by_search.values())

    def notes(self, row: SearchRow) -> str:
        told = {"warm start": row.warm_start, "shipped": row == self.shipped}
        return ", ".join(note for note, holds in told.items() if holds)


def numbers(study: StudyRecords, before: Report) -> Searches | None:
    """None of a study of one search."""
    if study.n_searches < 2:
        return None
    everyone = study.searches
    rows = [_row(number, one, family) for number, one in everyone.items() for family in one.families]
    tested = _by_family(rows, "test_mean")
    ready = all(number in everyone and _ready(everyone[number]) for number in range(1, study.n_searches + 1))
    return Searches(
        asked=study.n_searches,
        ready=sum(_ready(one) for one in everyone.values()),
        tested=min(map(len, tested.values()), default=0),
        needed=MIN_SEARCHES,
        allowances=tuple(one.ledger.allowance for one in everyone.values()),
        rows=tuple(rows),
        families={family: _spreads(rows, family) for family in study.families},
        apart=study.settings.given == "apart",
        own_validation=study.settings.validation == "own",
        warm_finalists={f: sum(row.warm_start for row in rows if row.family == f) for f in study.families},
        pairs=tuple(_pairs({family: _shares(everyone, family) for family in tested}, study.groups)),
        seconds=sum(one.active_seconds or 0.0 for one in everyone.values()),
        search_seconds=sum(one.settings.of_search(one.records).held_seconds for one in everyone.values()),
        trials=sum(row.trials for row in rows),
        **(_decided(study, rows, tested) if ready else {}),
    )


def _ready(one: StudyRecords) -> bool:
    return any(one.final_runs(family) for family in one.families)


def _row(number: int, one: StudyRecords, family: str) -> SearchRow:
    chosen, trials = one.finalists.of(family).chosen, one.family_trials(family)
    best = trials.best
    # A given one may stand beside its search.
    finalist = next(
        (trial for trial in one.records.of(family) if chosen is not None and trial.number == chosen.trial), None
    )
    return SearchRow(
        search=number,
        family=family,
        seed=one.settings.seed,
        title=one.title(family) if chosen else None,
        warm_start=finalist is not None and finalist.role == "warm_start",
        parameters=finalist.parameters if finalist is not None else {},
        best=best.value if best else None,
        validation_mean=chosen.mean_accuracy if chosen else None,
        test_mean=float(one.correct[family].mean()) if family in one.correct else None,
        final_seeds=len(one.final_logits(family)),
        trials=len(trials),
        seconds=trials.held_seconds,
    )


def _by_family(rows: Iterable[SearchRow], score: Score) -> dict[str, dict[int, float]]:
    """Family -> search -> the score, where there is one."""
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        value: float | None = getattr(row, score)
        if value is not None:
            found.setdefault(row.family, {})[row.search] = value
    return found


def _spreads(rows: Sequence[SearchRow], family: str) -> FamilySpreads:
    def between(score: Score) -> Spread | None:
        values = _by_family(rows, score).get(family, {})
        return accuracy_spread(list(values.values())) if values else None

    return FamilySpreads(between("best"), between("validation_mean"), between("test_mean"))


def _shares(everyone: Mapping[int, StudyRecords], family: str) -> dict[int, Array]:
    """Search -> share [N] of the finalist's seeds that are right on an image."""
    return {number: one.correct[family].mean(axis=0) for number, one in everyone.items() if family in one.correct}


def _pairs(tested: Mapping[str, Mapping[int, Array]], groups: Groups | None) -> list[FamilyPair]:
    """Every pair of families that two searches or more have, all read on the same images: images and searches are both
    drawn, Holm over the pairs."""
    shares = {family: np.stack(list(rows.values())) for family, rows in tested.items() if rows}
    # The one with the higher mean first: differences then have the sign of the answer's.
    ranked = sorted(shares, key=lambda family: -float(shares[family].mean()))
    known = [(a, b) for a, b in combinations(ranked, 2) if min(len(tested[a]), len(tested[b])) > 1]
    compared = [compare_searches(shares[a], shares[b], groups) for a, b in known]
    adjusted = holm([comparison.p_value for comparison in compared])
    return [
        _pair(a, b, comparison, holm_p, tested)
        for (a, b), comparison, holm_p in zip(known, compared, adjusted, strict=True)
    ]


def _pair(
    a: str, b: str, comparison: Comparison, holm_p: float, tested: Mapping[str, Mapping[int, Array]]
) -> FamilyPair:
    both = sorted(tested[a].keys() & tested[b].keys())
    by_search = {number: float(tested[a][number].mean() - tested[b][number].mean()) for number in both}
    return FamilyPair(
        a=a,
        b=b,
        title_a=f"family {a}",
        title_b=f"family {b}",
        searches=min(comparison.seeds_a, comparison.seeds_b),
        comparison=comparison,
        holm_p=holm_p,
        verdict=judge(comparison, holm_p),
        power=power_of(GAP, comparison),
        by_search=by_search,
        paired=spread(list(by_search.values())) if by_search else None,
    )


def _decided(
    study: StudyRecords, rows: Sequence[SearchRow], tested: Mapping[str, Mapping[int, float]]
) -> dict[str, Any]:
    """The winner on validation and what is shipped of it; beside it the best other family on the test split."""
    source, chosen = study.shipped
    winner = None if chosen is None else chosen.winner
    number = next(number for number, one in study.searches.items() if one is source)
    means = {family: spread(list(values.values())).mean for family, values in tested.items()}
    others = sorted((family for family in means if family != winner), key=lambda family: -means[family])
    second = others[0] if others else None
    return {
        "winner": winner,
        "shipped": _shipped(rows, number, chosen),
        "runner_up": second,
        "contradicted": bool(second and winner in means and means[second] > means[winner]),
    }


def _shipped(rows: Sequence[SearchRow], search: int, chosen: Choice | None) -> SearchRow | None:
    """The finalist that is shipped; None where that is no finalist."""
    if chosen is None or chosen.given:
        return None
    return next(row for row in rows if (row.search, row.family) == (search, chosen.family))


def finding(found: Searches | None, before: Report) -> str:
    """How far the searches lie apart, which the answer does not say of each family; nothing of one search."""
    if found is None:
        return ""
    if found.tested == 0:
        return told(found)
    spread = [
        f"{family} {points(one.test.sd)}" for family, one in found.families.items() if one.test and one.test.n > 1
    ]
    if not spread:
        return "Too few searches were read on the test split to say how far they lie apart."
    return f"Standard deviation of test accuracy between searches: {listing(spread)}."


def told(found: Searches) -> str:
    """What the searches say of their families, or how far they are."""
    if found.winner is None:
        return f"Of {found.asked} searches {found.ready} have finalists, so nothing is said of their families yet."
    if found.tested == 0:
        return (
            f"{found.asked} searches have their finalists; nothing is said of their families before the test split is "
            "read."
        )
    pair = of_sides(found.pairs, found.winner, found.runner_up)
    return " ".join(
        [
            _verdict(found, pair),
            _averages(found),
            *precision.sentences(None if pair is None else pair.pair),
            *_reservations(found),
        ]
    )


def _verdict(found: Searches, pair: Turned[FamilyPair] | None) -> str:
    """The winner against the best other family."""
    if pair is None or found.winner is None:
        return "No two families were read on the test split in two searches or more, so none are compared."
    return verdict(pair.pair, found.winner)


def _averages(found: Searches) -> str:
    known = {family: spreads.test for family, spreads in found.families.items() if spreads.test}
    means = [f"{family} {percent(test.mean)}{_deviation(test)}" for family, test in known.items()]
    searches = count(found.tested, "search", "searches")
    return f"Over {searches} the finalists average {listing(means)} on the test split."


def _deviation(test: Spread) -> str:
    return "" if test.sd is None else f" (standard deviation {points(test.sd)})"


def _reservations(found: Searches) -> list[str]:
    told = []
    if found.contradicted:
        told.append(f"Validation chose family {found.winner} before the test split was opened.")
    if found.tested < found.needed:
        missing = found.needed - found.tested
        told.append(f"{missing} more {'search is' if missing == 1 else 'searches are'} missing.")
    return told


def charts(found: Searches | None) -> list[Chart]:
    values = _by_family(found.rows, "test_mean") if found else {}
    return boxes("searches", "Mean test accuracy of each search's finalists, by family.", "search", values)
