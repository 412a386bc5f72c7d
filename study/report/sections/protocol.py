"""What was asked of every family alike: the question, the data, and what was kept equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from study.records.settings import RetrainSettings
from study.report import budget, repeated
from study.report.budget import Budget
from study.report.charts import COLOURS, Chart, layout
from study.report.reading import StudyRecords
from study.report.section import Report
from study.statistics.result import PAGE_ONLY, Result

PARTS = ("train", "validation")
PATTERNS = ("", "/", ".")


@dataclass(frozen=True, slots=True)
class Schedule(Result):
    examples_per_run: int | None


@dataclass(frozen=True, slots=True)
class StudyProtocol(Result):
    """`counts` are images of each class by part, as far as they are known; `inverted`, `levels` and `transposed` say
    what was done to the pictures on loading. `budget_s` is seconds of the whole study, `stages` seconds by stage;
    `retrain_seconds` and `schedules` are None of a family before retraining. `planned` are the pairs to be tested,
    `copies` what there is to say of images that two parts share."""

    n_train: int
    n_validation: int
    n_test: int | None
    test_groups: int | None
    classes: tuple[str, ...]
    counts: Mapping[str, Sequence[int]]
    mean: float
    std: float
    inverted: bool
    levels: tuple[int, int] | None
    transposed: bool
    split_seed: int
    retrain: RetrainSettings
    budget: Budget
    budget_s: float | None
    n_trials: int | None
    stages: Mapping[str, float]
    retrain_seconds: Mapping[str, float | None]
    schedules: Mapping[str, Schedule | None]
    planned: Sequence[Sequence[str]]
    samples_shown: bool
    dataset: str = field(metadata=PAGE_ONLY)
    copies: Sequence[str] = field(metadata=PAGE_ONLY)

    def to_dict(self) -> dict[str, Any]:
        return Result.to_dict(self) | {"retrain": self.retrain.model_dump()}

    def examples(self, family: str) -> int | None:
        """Of each final run."""
        schedule = self.schedules[family]
        return None if schedule is None else schedule.examples_per_run


def numbers(study: StudyRecords, before: Report) -> StudyProtocol:
    data, retrained = study.settings.dataset, study.finalists.families
    return StudyProtocol(
        n_train=data.n_train,
        n_validation=data.n_validation,
        n_test=None if study.test_labels is None else len(study.test_labels),
        test_groups=None if study.groups is None else len(study.groups),
        classes=data.classes,
        counts=_class_counts(study),
        mean=data.mean,
        std=data.std,
        inverted=data.inverted,
        levels=data.levels,
        transposed=data.was_transposed,
        split_seed=data.split_seed,
        retrain=study.settings.retrain,
        budget=before[budget],
        budget_s=study.ledger.budget,
        n_trials=study.ledger.n_trials,
        stages=study.ledger.stages,
        retrain_seconds={name: retrained[name].seconds if name in retrained else None for name in study.families},
        schedules={name: Schedule(retrained[name].examples) if name in retrained else None for name in study.families},
        planned=study.openings[0].hypotheses if study.openings else _pairs(study.families),
        samples_shown="images" in study.samples,
        dataset=data.name,
        copies=tuple(before[repeated].texts.values()),
    )


def _pairs(families: Sequence[str]) -> list[list[str]]:
    return [[a, b] for place, a in enumerate(families) for b in families[place + 1 :]]


def _class_counts(study: StudyRecords) -> dict[str, list[int]]:
    n_classes = len(study.settings.dataset.classes)
    found = {part: study.samples[f"{part}_counts"].tolist() for part in PARTS if f"{part}_counts" in study.samples}
    if study.test_labels is not None:
        found["test"] = np.bincount(study.test_labels, minlength=n_classes).tolist()
    return found


def finding(found: StudyProtocol, before: Report) -> str:
    got = found.budget
    if not any(got.trials.values()):
        return "No trial has run yet; the protocol below is what will be kept."
    if len(got.trials) < 2:
        return "One family was searched, so there was nothing to make equal."
    what = "worker-seconds of search" if got.equalised == "seconds" else "trials"
    judged = "were not equal" if got.unequal else "were made equal for every family"
    return f"The {what} {judged}: {got.imbalance}"


def charts(found: StudyProtocol) -> list[Chart]:
    if not found.counts:
        return []
    data = [
        {"type": "bar", "name": part, "x": found.classes, "y": counts, "marker": {"color": c, "pattern": {"shape": p}}}
        for (part, counts), c, p in zip(found.counts.items(), COLOURS, PATTERNS, strict=False)
    ]
    counted = zip(*found.counts.values(), strict=True)
    rows = [(name, *(f"{n:,}" for n in counts)) for name, counts in zip(found.classes, counted, strict=False)]
    axis = layout("class", "images", 280, barmode="group")
    axis["xaxis"]["type"] = "category"
    figure = {"data": data, "layout": axis}
    return [Chart("class-counts", "Images per class and part", figure, ("class", *found.counts), rows)]
