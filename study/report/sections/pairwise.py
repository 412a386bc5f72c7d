"""Tests of the finalists against each other, and the way of each from its search score to the test split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from study.records.finalists import Candidate
from study.report import forest, precision
from study.report.charts import Chart
from study.report.reading import Array, StudyRecords
from study.report.section import Report
from study.report.sections import searches
from study.report.wording import capital, listing, p_cell
from study.statistics.comparison import Verdict, compare_pairs
from study.statistics.estimators import Optimism, ProbabilityBetter, Read, optimism, p_a_better
from study.statistics.groups import Groups
from study.statistics.intervals import Interval, MatchedPair, wilson
from study.statistics.over_seeds import Comparison, compare_finalists, compare_networks, family_accuracy
from study.statistics.result import Result


@dataclass(frozen=True, slots=True)
class FinalistPair(Result):
    """Two finalists over all their seeds, and with `single` their networks of seed 0 alone."""

    a: str
    b: str
    planned: bool
    comparison: Comparison
    holm_p: float
    verdict: Verdict
    single: MatchedPair
    p_a_better: ProbabilityBetter
    title_a: str
    title_b: str

    @property
    def each(self) -> str:
        return "one search"

    @property
    def title(self) -> str:
        return f"{self.title_a} − {self.title_b}"

    def to_dict(self) -> dict[str, Any]:
        single = {**self.single.to_dict(), "discordant": self.single.discordant}
        return Result.to_dict(self) | {"single": single}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a finalist's way to its test accuracy: what changed, and what it had before and after."""

    family: str
    what: str
    before: float
    after: float
    interval95: Interval

    @property
    def difference(self) -> float:
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Pairwise(Result):
    """`optimism` is None of a family before retraining; `tested` are the families with predictions, of so many;
    `exploratory` where the test split had been opened before."""

    pairs: tuple[FinalistPair, ...]
    optimism: Mapping[str, Optimism | None]
    exploratory: bool
    tested: tuple[str, ...]
    families: int

    @property
    def taken_apart(self) -> Mapping[str, Optimism]:
        return {family: found for family, found in self.optimism.items() if found is not None}

    @property
    def has_more_data(self) -> bool:
        """Whether a finalist has final runs of their own, which learned from the validation images, too."""
        return any(found.more_data is not None for found in self.taken_apart.values())

    @property
    def luck(self) -> str:
        return precision.luck()

    @property
    def steps(self) -> list[Step]:
        return [step for family, found in self.taken_apart.items() for step in _steps(family, found)]


def _steps(family: str, found: Optimism) -> Iterator[Step]:
    b, c, d = found.fresh_validation, found.candidates_test, found.finals_test
    yield Step(family, _what_is_fresh(found), found.search, b, found.fresh_interval95)
    if c is not None and found.selection_interval95 is not None:
        yield Step(family, "the same networks read the test split", b, c, found.selection_interval95)
    if c is not None and d is not None and found.more_data_interval95 is not None:
        yield Step(family, "trained again, with the validation images too", c, d, found.more_data_interval95)


def _what_is_fresh(found: Optimism) -> str:
    """Where the two trained for different times or on other images, luck and training cannot be told apart."""
    if found.seed_luck is not None:
        return "trained again for as long, under fresh seeds: the luck of the search's seed"
    if not (found.search_examples and found.fresh_examples):
        return "trained again, under fresh seeds"
    images = "" if found.search_images is None else f" on all training images in place of {found.search_images:,},"
    times = found.fresh_examples / found.search_examples
    return f"trained again{images} for {times:.1f} times as many examples, under fresh seeds"


def numbers(study: StudyRecords, before: Report) -> Pairwise:
    return Pairwise(
        pairs=_pairs(study),
        optimism={family: _optimism(study, family) for family in study.families},
        exploratory=study.earlier_openings > 0,
        tested=tuple(study.correct),
        families=len(study.families),
    )


def _pairs(study: StudyRecords) -> tuple[FinalistPair, ...]:
    if len(study.correct) < 2:
        return ()
    planned = study.openings[0].hypotheses if study.openings else None
    # The one with the higher mean first: differences then have the sign of the answer's.
    ranked = sorted(study.correct.items(), key=lambda one: -float(one[1].mean()))
    found = []
    for pair in compare_pairs(dict(ranked), planned, study.groups):
        a, b = study.correct[pair.a], study.correct[pair.b]
        single = compare_networks(a[0], b[0], study.groups)
        ahead = p_a_better(a.mean(axis=1).tolist(), b.mean(axis=1).tolist())
        judged = (pair.comparison, pair.holm_p, pair.verdict)
        titles = (study.title(pair.a), study.title(pair.b))
        found.append(FinalistPair(pair.a, pair.b, pair.planned, *judged, single, ahead, *titles))
    return tuple(found)


def _optimism(study: StudyRecords, family: str) -> Optimism | None:
    chosen, n = study.finalists.of(family).chosen, study.settings.dataset.n_validation
    if chosen is None:
        return None
    trials = [trial for trial in study.records.of(family) if trial.number == chosen.trial]
    runs = [study.runs[name] for name in chosen.runs if name in study.runs]
    others = not set(chosen.runs) & set(study.finalists.of(family).final_runs)  # its final runs are runs of their own
    candidates, finals = _candidates_right(study, chosen), study.correct.get(family) if others else None
    return optimism(
        _on_validation(chosen.search_accuracy, n, trials[0].examples if trials else 0),
        _on_validation(chosen.mean_accuracy, n, runs[0].record.examples if runs else 0),
        _on_test(candidates, study.groups),
        _on_test(finals, study.groups),
        None
        if candidates is None or finals is None
        else compare_finalists(finals, candidates, study.groups).interval95,
        study.settings.families[family].ladder.images,
    )


def _candidates_right(study: StudyRecords, chosen: Candidate) -> Array | None:
    """Which of the candidate's runs are right on which test image, bool [S, N]; None of one that was not read."""
    known = study.candidate_logits | study.test_logits
    tested = [known[name] for name in chosen.runs if name in known]
    if not tested or study.test_labels is None:
        return None
    return np.stack([logits.argmax(axis=1) == study.test_labels for logits in tested])


def _on_validation(accuracy: float, n: int, examples: int) -> Read:
    return Read(accuracy, wilson(accuracy * n, n), examples)


def _on_test(correct: Array | None, groups: Groups | None) -> Read | None:
    if correct is None:
        return None
    found = family_accuracy(correct, groups)
    return Read(found.mean, found.interval95)


def finding(found: Pairwise, before: Report) -> str:
    if not found.pairs:
        if not found.tested:
            return "The test split has not been read, so no pair is tested."
        return "There is one finalist with predictions, so there is no pair to test."
    labels = [pair.verdict.label for pair in found.pairs]
    if len(labels) == 1:
        pair = f"{found.pairs[0].title_a} against {found.pairs[0].title_b}: {labels[0]}."
        return f"In search 1 alone, {pair}" if before[searches] else capital(pair)
    kinds = [f"{labels.count(label)} {label}" for label in dict.fromkeys(labels)]
    return f"{len(labels)} pairs of finalists are compared: {listing(kinds)}."


def charts(found: Pairwise) -> list[Chart]:
    if not found.pairs:
        return []
    names = [f"{pair.a} − {pair.b}" for pair in found.pairs]
    figure = forest.pairs([pair.comparison for pair in found.pairs], names)
    rows = [(name, *_cells(pair)) for name, pair in zip(names, found.pairs, strict=True)]
    columns = ("pair", "difference", "95 % interval", "p", "Holm p", "verdict")
    label = (
        "Differences of finalists with 95 % intervals. Chance alone seldom makes one that leaves out 0; one inside the "
        "band of ±0.2 points is too small to matter."
    )
    return [Chart("forest", label, figure, columns, rows, tells_finding=True)]


def _cells(pair: FinalistPair) -> tuple[str, ...]:
    tested = (p_cell(pair.comparison.p_value), p_cell(pair.holm_p))
    return (*forest.cells(pair.comparison), *tested, pair.verdict.label)
