"""Tests of the finalists against each other, and the way of each from its search score to the test split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from study.report import forest
from study.report.charts import Chart
from study.report.judged import verdict
from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.wording import count, listing, p_value
from study.statistics.comparison import Verdict, compare_pairs
from study.statistics.estimators import Optimism, ProbabilityBetter, optimism, p_a_better
from study.statistics.intervals import MatchedPair
from study.statistics.over_seeds import Comparison, compare_networks
from study.statistics.result import Result
from study.statistics.scores import accuracy


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
    found = []
    for pair in compare_pairs(study.correct, planned, study.groups):
        a, b = study.correct[pair.a], study.correct[pair.b]
        single = compare_networks(a[0], b[0], study.groups)
        ahead = p_a_better(a.mean(axis=1).tolist(), b.mean(axis=1).tolist())
        judged = (pair.comparison, pair.holm_p, pair.verdict)
        titles = (study.title(pair.a), study.title(pair.b))
        found.append(FinalistPair(pair.a, pair.b, pair.planned, *judged, single, ahead, *titles))
    return tuple(found)


def _optimism(study: StudyRecords, family: str) -> Optimism | None:
    chosen, labels = study.finalists.of(family).chosen, study.test_labels
    if chosen is None:
        return None
    tested = [study.candidate_logits[name] for name in chosen.runs if name in study.candidate_logits]
    on_test = [accuracy(logits, labels) for logits in tested] if labels is not None else []
    return optimism(
        chosen.search_accuracy,
        chosen.mean_accuracy,
        float(np.mean(on_test)) if on_test else None,
        float(study.correct[family].mean()) if family in study.correct else None,
    )


def finding(found: Pairwise, before: Report) -> str:
    if not found.pairs:
        if not found.tested:
            return "The test split has not been read, so no pair is tested."
        return "There is one finalist with predictions, so there is no pair to test."
    text = _verdict(found.pairs[0]) if len(found.pairs) == 1 else _verdicts(found)
    return f"Exploratory: {text[:1].lower()}{text[1:]}" if found.exploratory else text


def _verdict(pair: FinalistPair) -> str:
    return verdict(pair, pair.a if pair.comparison.difference >= 0 else pair.b)


def _verdicts(found: Pairwise) -> str:
    labels = [pair.verdict.label for pair in found.pairs]
    kinds = [f"{labels.count(label)} {label}" for label in dict.fromkeys(labels)]
    return f"{count(len(labels), 'pair')} of finalists: {listing(kinds)}."


def charts(found: Pairwise) -> list[Chart]:
    if not found.pairs:
        return []
    names = [f"{pair.a} − {pair.b}" for pair in found.pairs]
    figure = forest.pairs([pair.comparison for pair in found.pairs], names)
    rows = [(name, *_cells(pair)) for name, pair in zip(names, found.pairs, strict=True)]
    columns = ("pair", "difference", "95 % interval", "p", "Holm p", "verdict")
    label = "Differences of finalists with 95 % intervals; the band is ±0.2 points."
    return [Chart("forest", label, figure, columns, rows, tells_finding=True)]


def _cells(pair: FinalistPair) -> tuple[str, ...]:
    tested = (p_value(pair.comparison.p_value), p_value(pair.holm_p))
    return (*forest.cells(pair.comparison), *tested, pair.verdict.label)
