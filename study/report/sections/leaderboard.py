"""The finalists by mean test accuracy, with what each costs; beside them baselines, ensembles and all candidates."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from study.records.examined import Latency
from study.records.run import Run, RunMetrics
from study.records.shifts import Gain
from study.records.trial import Role, origin_in_words
from study.report.charts import Chart
from study.report.pareto import SHORT, Cost, fronts
from study.report.reading import Array, StudyRecords
from study.report.section import Report
from study.report.shipped import Shipped, Stage, shipped, stage
from study.report.wording import capital, count, interval, percent
from study.statistics.estimators import Bootstrap, bootstrap_macro_f1
from study.statistics.intervals import wilson
from study.statistics.over_seeds import FamilyAccuracy, family_accuracy, family_halves
from study.statistics.result import OPTIONAL, PAGE_ONLY, Result
from study.statistics.scores import confusion_matrix, nll, per_class


@dataclass(frozen=True, slots=True)
class TestScores(Result):
    """A finalist on the test split: means over its seeds, intervals over images and seeds; `halves` are accuracies on
    the first and the second half of the images."""

    __test__ = False  # no test, whatever pytest makes of its name

    accuracy: FamilyAccuracy
    halves: tuple[FamilyAccuracy, FamilyAccuracy]
    macro_precision: float
    macro_recall: float
    macro_f1: Bootstrap
    nll: float
    images: int


@dataclass(frozen=True, slots=True)
class Finalist(Result):
    """Validation is of the candidate runs under fresh seeds. `front` names the costs on whose Pareto front it is among
    the finalists, None where it was not read on the test split; latency is of one image, the model alone."""

    family: str
    title: str
    trial: int
    validation_mean: float
    validation_sd: float | None
    validation_seeds: int
    search_accuracy: float
    final_seeds: int
    test: TestScores | None
    n_parameters: float | None
    flops: float | None
    training_seconds: float | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    front: tuple[Cost, ...] | None = field(default=None, metadata=OPTIONAL)
    kind: Literal["finalist"] = "finalist"

    @property
    def test_mean(self) -> float | None:
        return None if self.test is None else self.test.accuracy.mean

    @property
    def seeds(self) -> int:
        """That were read on the test split."""
        return 0 if self.test is None else self.test.accuracy.seeds

    @property
    def costs(self) -> Mapping[Cost, float | None]:
        return {"n_parameters": self.n_parameters, "flops": self.flops, "latency_p50_ms": self.latency_p50_ms}

    @property
    def front_names(self) -> list[str]:
        return [SHORT[cost] for cost in self.front or ()]

    @property
    def order(self) -> tuple[float, float]:
        """Smaller is better: mean test accuracy, then validation."""
        return -(self.test_mean or 0.0), -self.validation_mean


@dataclass(frozen=True, slots=True)
class Other(Result):
    """One named predictor, shown beside the finalists; no test is made with it."""

    kind: Literal["baseline", "ensemble"]
    name: str
    accuracy: float
    interval95: tuple[float, float]
    note: str
    n_parameters: int | None = None
    training_seconds: float | None = None
    test: None = None


@dataclass(frozen=True, slots=True)
class CandidateRow(Result):
    """A trial that was trained again under fresh seeds."""

    family: str
    trial: int
    search_accuracy: float
    mean_accuracy: float
    mean_nll: float
    seeds: int
    role: Role | None
    finalist: bool
    best_overall: bool

    @property
    def notes(self) -> str:
        told = {
            "finalist": self.finalist,
            "best score in the search": self.best_overall,
        }
        origin = [] if self.role is None else [origin_in_words(self.role)]
        return ", ".join([*origin, *(note for note, holds in told.items() if holds)])


@dataclass(frozen=True, slots=True)
class Leaderboard(Result):
    """`winner` is the family that validation chose; `validation_half_width` the Wilson half-width of one network's
    validation accuracy: what two trials must differ by at least; `missing` what was not measured. `shipped` is the
    model's own reading, and `gains` what it would add to each family, of a study that ships one with shifts; `stage` is
    what became of the shipped network's last stage."""

    rows: tuple[Finalist | Other, ...]
    candidates: tuple[CandidateRow, ...]
    validation_half_width: float
    missing: tuple[str, ...]
    winner: str | None = field(default=None, metadata=PAGE_ONLY)
    shipped: Shipped | None = field(default=None, metadata=OPTIONAL)
    gains: tuple[Gain, ...] | None = field(default=None, metadata=OPTIONAL)
    stage: Stage | None = field(default=None, metadata=OPTIONAL)

    @property
    def finalists(self) -> list[Finalist]:
        return [row for row in self.rows if isinstance(row, Finalist)]

    @property
    def tested(self) -> list[Finalist]:
        return [row for row in self.finalists if row.test]

    @property
    def others(self) -> list[Other]:
        return [row for row in self.rows if isinstance(row, Other)]


def numbers(study: StudyRecords, before: Report) -> Leaderboard:
    return of_study(study)


def of_study(study: StudyRecords) -> Leaderboard:
    rows = sorted(with_fronts(finalists(study)), key=lambda row: row.order)
    best = max((row.validation_mean for row in rows), default=0.0)
    found = study.examined
    measured = {"baselines": found.baselines, "ensemble": found.ensembles, "latency": found.latencies}
    return Leaderboard(
        rows=(*rows, *_others(study)),
        candidates=tuple(_candidates(study)),
        validation_half_width=half_width(best, study.settings.dataset.n_validation),
        missing=tuple(name for name, value in measured.items() if value is None),
        winner=study.finalists.winner,
        shipped=_shipped(study),
        gains=study.gains or None,
        stage=stage(study),
    )


def _shipped(study: StudyRecords) -> Shipped | None:
    chosen = study.shipped[1]
    latency = None if chosen is None or chosen.given else _latency(study, chosen.family)
    return shipped(study, None if latency is None else latency.median)


def half_width(accuracy: float, n: int) -> float:
    """Of Wilson's interval for one network's accuracy on n images."""
    low, high = wilson(round(accuracy * n), n)
    return (high - low) / 2


def finalists(study: StudyRecords) -> list[Finalist]:
    """One of each family that was retrained."""
    return [row for family in study.families if (row := _finalist(study, family)) is not None]


def _finalist(study: StudyRecords, family: str) -> Finalist | None:
    chosen = study.finalists.of(family).chosen
    if chosen is None:
        return None
    runs = study.final_runs(family)
    costs = _metrics(runs or [study.runs[name] for name in chosen.runs if name in study.runs])
    latency = _latency(study, family)
    accuracies = chosen.accuracies
    return Finalist(
        family=family,
        title=study.title(family),
        trial=chosen.trial,
        validation_mean=chosen.mean_accuracy,
        validation_sd=statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        validation_seeds=len(accuracies),
        search_accuracy=chosen.search_accuracy,
        final_seeds=len(runs),
        test=_test_scores(study, family) if family in study.correct else None,
        n_parameters=_mean([metrics.n_parameters for metrics in costs]),
        flops=_mean([metrics.flops for metrics in costs]),
        training_seconds=_mean([metrics.training_seconds for metrics in costs]),
        latency_p50_ms=latency.median if latency else None,
        latency_p95_ms=latency.p95 if latency else None,
    )


def _metrics(runs: Sequence[Run]) -> list[RunMetrics]:
    return [run.metrics for run in runs if run.metrics is not None]


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _latency(study: StudyRecords, family: str) -> Latency | None:
    """The measurement of one image, the model alone."""
    rows = study.examined.latencies.measurements if study.examined.latencies else ()
    alone = (row for row in rows if (row.family, row.batch_size, row.order) == (family, 1, "alone"))
    return next(alone, None)


def _test_scores(study: StudyRecords, family: str) -> TestScores:
    labels, logits = study.test_labels, study.final_logits(family)
    assert labels is not None  # it has predictions, so there were labels
    answers, n_classes = np.stack([seed.argmax(axis=1) for seed in logits]), logits[0].shape[1]
    per_seed = [per_class(confusion_matrix(labels, seed, n_classes)) for seed in answers]
    correct: Array = study.correct[family]
    return TestScores(
        accuracy=family_accuracy(correct, study.groups),
        halves=family_halves(correct, study.groups),
        macro_precision=statistics.fmean(seed.macro_precision for seed in per_seed),
        macro_recall=statistics.fmean(seed.macro_recall for seed in per_seed),
        macro_f1=bootstrap_macro_f1(labels, answers, n_classes, resamples=1000, groups=study.groups),
        nll=statistics.fmean(nll(seed, labels) for seed in logits),
        images=len(labels),
    )


def with_fronts(rows: Sequence[Finalist]) -> list[Finalist]:
    """The same rows; those that were read on the test split with the costs on whose front they are among themselves."""
    tested = [(row.test_mean, row.costs) for row in rows if row.test_mean is not None]
    found = iter(fronts([(mean, costs) for mean, costs in tested if mean is not None]))
    return [replace(row, front=next(found)) if row.test else row for row in rows]


def _others(study: StudyRecords) -> list[Other]:
    """What `study examine` measured beside the finalists."""
    baselines = study.examined.baselines.baselines if study.examined.baselines else ()
    ensembles = study.examined.ensembles.ensembles if study.examined.ensembles else ()
    rows = []
    for one in baselines:
        note = f"{one.n_train:,} training images, {one.note}"
        rows.append(Other("baseline", one.name, one.accuracy, one.interval95, note, one.parameters, one.seconds))
    for both in (one for one in ensembles if len(one.runs) > 1):
        note = f"mean probability of {len(both.runs)} networks"
        rows.append(Other("ensemble", both.name, both.accuracy, both.interval95, note))
    return rows


def _candidates(study: StudyRecords) -> list[CandidateRow]:
    roles = {(trial.family, trial.number): trial.role for trial in study.records}
    return [
        CandidateRow(
            family=family,
            trial=row.trial,
            search_accuracy=row.search_accuracy,
            mean_accuracy=row.mean_accuracy,
            mean_nll=row.mean_nll,
            seeds=len(row.runs),
            role=roles.get((family, row.trial)),
            finalist=row.trial == study.finalists.of(family).finalist,
            best_overall=row.best_overall,
        )
        for family in study.families
        for row in study.finalists.of(family).candidates
    ]


def finding(found: Leaderboard, before: Report) -> str:
    if not found.finalists:
        return "There are no finalists yet."
    if not found.tested:
        return f"{count(len(found.finalists), 'finalist')} trained, none read on the test split yet."
    return f"{capital(found.tested[0].title)} has the highest mean test accuracy, {told(found.tested[0])}."


def told(row: Finalist) -> str:
    """Its test accuracy in words; of one that was read on the test split."""
    assert row.test is not None
    return f"{percent(row.test.accuracy.mean)} (95 % interval {interval(row.test.accuracy.interval95)})"


def charts(found: Leaderboard) -> list[Chart]:
    return []
