"""What lies between the searches of a study that has several, and what it says of their families."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np

from study.records.trial import Scalar
from study.report.charts import Chart, boxes
from study.report.judged import of_sides, verdict
from study.report.reading import Array, StudyRecords
from study.report.section import Report
from study.report.wording import NONE, count, listing, percent, points, setting
from study.statistics.comparison import MIN_SEARCHES, Verdict
from study.statistics.comparison import verdict as verdict_of
from study.statistics.groups import Groups
from study.statistics.over_seeds import Comparison, compare_searches
from study.statistics.result import OPTIONAL, Result
from study.statistics.searches import Spread, holm, spread

BEST, FRESH, TEST = "best search score", "finalist, fresh seeds, validation", "finalist, test"


@dataclass(frozen=True, slots=True)
class SearchRow(Result):
    """What one search came to with a family: its best score, and what its finalist has on validation under fresh seeds
    and, as the mean of its seeds, on the test split. `seconds` are the workers'."""

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
    def finalist(self) -> str:
        return f"#{self.title.rpartition('#')[2]}" if self.title else NONE

    @property
    def configuration(self) -> str:
        return ", ".join(f"{name} {setting(value)}" for name, value in self.parameters.items()) or NONE


@dataclass(frozen=True, slots=True)
class Spreads(Result):
    """Of a family between its searches, None where no search has the score."""

    best: Spread | None
    validation: Spread | None
    test: Spread | None

    @property
    def by_score(self) -> Mapping[str, Spread | None]:
        return {BEST: self.best, FRESH: self.validation, TEST: self.test}


@dataclass(frozen=True, slots=True)
class FamilyPair(Result):
    """Two families over their searches, at least so many of each; `by_search` are differences of the means, which
    `paired` sums up without a test."""

    a: str
    b: str
    title_a: str
    title_b: str
    searches: int
    comparison: Comparison
    holm_p: float
    verdict: Verdict
    by_search: Mapping[str, float]
    paired: Spread | None

    @property
    def each(self) -> str:
        return f"{self.searches} searches"

    @property
    def title(self) -> str:
        return f"{self.a} − {self.b}"

    @property
    def is_tested(self) -> bool:
        return self.verdict.label != "no verdict"

    @property
    def differences(self) -> str:
        """In points, search by search."""
        return ", ".join(f"{100 * value:+.2f}" for value in self.by_search.values())


@dataclass(frozen=True, slots=True)
class Searches(Result):
    """Of so many searches that were asked for some are `ready` and, of the family that has the fewest, some `tested`;
    families are judged from `needed` on. Where all are ready there is a winner on validation, what is shipped of it and
    the best other family on the test split, which may contradict."""

    asked: int
    ready: int
    tested: int
    needed: int
    allowances: tuple[float | None, ...]
    rows: tuple[SearchRow, ...]
    families: Mapping[str, Spreads]
    warm_finalists: Mapping[str, int]
    pairs: tuple[FamilyPair, ...]
    seconds: float
    search_seconds: float
    trials: int
    winner: str | None = None
    shipped: SearchRow | None = None
    runner_up: str | None = None
    contradicted: bool | None = field(default=None, metadata=OPTIONAL)

    @property
    def spreads(self) -> list[tuple[str, str, Spread]]:
        """Family, score and spread."""
        scores = [(family, *item) for family, one in self.families.items() for item in one.by_score.items()]
        return [(family, score, found) for family, score, found in scores if found is not None]

    def n_finalists(self, family: str) -> int:
        found = self.families[family].validation
        return found.n if found else 0

    def notes(self, row: SearchRow) -> str:
        told = {"warm start": row.warm_start, "shipped": row == self.shipped}
        return ", ".join(note for note, holds in told.items() if holds)


Tested = Mapping[str, Mapping[int, Array]]  # family -> search -> share [N] of its finalist's seeds that are right


def numbers(study: StudyRecords, before: Report) -> Searches | None:
    """None of a study of one search."""
    if study.n_searches < 2:
        return None
    everyone = study.searches
    rows = tuple(_row(number, one, family) for number, one in everyone.items() for family in one.families)
    tested = _tested(study)
    ready = {number for number, one in everyone.items() if any(one.final_runs(family) for family in one.families)}
    found = Searches(
        asked=study.n_searches,
        ready=len(ready),
        tested=min((len(tested.get(family, {})) for family in study.families), default=0),
        needed=MIN_SEARCHES,
        allowances=tuple(one.ledger.allowance for one in everyone.values()),
        rows=rows,
        families={family: _spreads([row for row in rows if row.family == family]) for family in study.families},
        warm_finalists={name: sum(row.warm_start for row in rows if row.family == name) for name in study.families},
        pairs=_pairs(tested, study.groups),
        seconds=sum(one.active_seconds or 0.0 for one in everyone.values()),
        search_seconds=sum(one.records.held_seconds for one in everyone.values()),
        trials=sum(row.trials for row in rows),
    )
    return _decided(found, study) if len(ready) == study.n_searches else found


def _row(number: int, one: StudyRecords, family: str) -> SearchRow:
    trials, chosen = one.family_trials(family), one.finalists.of(family).chosen
    best = trials.best()
    finalist = next((trial for trial in trials if chosen and trial.number == chosen.trial), None)
    return SearchRow(
        search=number,
        family=family,
        seed=one.settings.seed,
        title=one.title(family) if chosen else None,
        warm_start=finalist is not None and finalist.role == "warm_start",
        parameters=finalist.parameters if finalist else {},
        best=best.value if best else None,
        validation_mean=chosen.mean_accuracy if chosen else None,
        test_mean=float(one.correct[family].mean()) if family in one.correct else None,
        final_seeds=len(one.final_logits(family)),
        trials=len(trials),
        seconds=trials.held_seconds,
    )


def _tested(study: StudyRecords) -> Tested:
    found: dict[str, dict[int, Array]] = {}
    for number, one in study.searches.items():
        for family, correct in one.correct.items():
            found.setdefault(family, {})[number] = correct.mean(axis=0)
    return found


def _spreads(rows: Sequence[SearchRow]) -> Spreads:
    return Spreads(
        _spread([row.best for row in rows]),
        _spread([row.validation_mean for row in rows]),
        _spread([row.test_mean for row in rows]),
    )


def _spread(values: Sequence[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    return spread(known) if known else None


def _pairs(tested: Tested, groups: Groups | None) -> tuple[FamilyPair, ...]:
    """Every pair of families that two searches or more have, all read on the same images: images and searches are both
    drawn, Holm over the pairs. Beside it, with no test, the difference search by search."""
    shares = {family: np.stack(list(rows.values())) for family, rows in tested.items()}
    known = [(a, b) for a, b in combinations(tested, 2) if min(len(tested[a]), len(tested[b])) > 1]
    compared = [compare_searches(shares[a], shares[b], groups) for a, b in known]
    adjusted = holm([comparison.p_value for comparison in compared])
    return tuple(
        _pair(tested, a, b, comparison, p) for (a, b), comparison, p in zip(known, compared, adjusted, strict=True)
    )


def _pair(tested: Tested, a: str, b: str, comparison: Comparison, holm_p: float) -> FamilyPair:
    both = sorted(tested[a].keys() & tested[b].keys())
    differences = {str(number): float(tested[a][number].mean() - tested[b][number].mean()) for number in both}
    return FamilyPair(
        a=a,
        b=b,
        title_a=f"family {a}",
        title_b=f"family {b}",
        searches=min(comparison.seeds_a, comparison.seeds_b),
        comparison=comparison,
        holm_p=holm_p,
        verdict=verdict_of(comparison, holm_p),
        by_search=differences,
        paired=_spread(list(differences.values())),
    )


def _decided(found: Searches, study: StudyRecords) -> Searches:
    """With the winner on validation and what is shipped of it; beside it the best other family on the test split."""
    source, winner, _ = study.shipped
    number = next(number for number, one in study.searches.items() if one is source)
    means = {family: spreads.test.mean for family, spreads in found.families.items() if spreads.test}
    second = max((family for family in means if family != winner), key=lambda family: means[family], default=None)
    return replace(
        found,
        winner=winner,
        shipped=next(row for row in found.rows if (row.search, row.family) == (number, winner)),
        runner_up=second,
        contradicted=second is not None and winner in means and means[second] > means[winner],
    )


def finding(found: Searches | None, before: Report) -> str:
    if found is None:
        return "One search of each family was run."
    if found.winner is None:
        return f"Of {found.asked} searches {found.ready} have finalists, so nothing is said of their families yet."
    if found.tested == 0:
        text = "searches have their finalists; nothing is said of their families before the test split is read."
        return f"{found.asked} {text}"
    return " ".join([_family_verdict(found, found.winner), _means(found), *_still(found)])


def _family_verdict(found: Searches, winner: str) -> str:
    """The winner against the best other family."""
    pair = of_sides(found.pairs, winner, found.runner_up)
    if pair is None:
        return "No two families were read on the test split in two searches or more, so none are compared."
    return verdict(pair.pair, winner)


def _means(found: Searches) -> str:
    tests = {family: spreads.test for family, spreads in found.families.items() if spreads.test}
    told = [f"{family} {percent(test.mean)}{_deviation(test)}" for family, test in tests.items()]
    searches = count(found.tested, "search", "searches")
    return f"Over {searches} the finalists average {listing(told)} on the test split."


def _deviation(test: Spread) -> str:
    return "" if test.sd is None else f" (standard deviation {points(test.sd)})"


def _still(found: Searches) -> list[str]:
    """What a reader of the verdict must know, too."""
    texts = []
    if found.contradicted:
        texts.append(f"Validation chose family {found.winner} before the test split was opened.")
    if found.tested < found.needed:
        missing = found.needed - found.tested
        texts.append(f"{missing} more {'search is' if missing == 1 else 'searches are'} missing.")
    return texts


def charts(found: Searches | None) -> list[Chart]:
    values: dict[str, dict[int, float]] = {}
    for row in found.rows if found else ():
        if row.test_mean is not None:
            values.setdefault(row.family, {})[row.search] = row.test_mean
    return boxes("searches", "Mean test accuracy of each search's finalists, by family.", "search", values)
