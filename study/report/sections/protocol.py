"""The question, the data and the rules that were fixed before the search; what each family was given and spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from study.records.finalists import READING_NOISE
from study.records.settings import RetrainSettings
from study.report import added, budget
from study.report.budget import Budget
from study.report.charts import GREYS, Chart, layout
from study.report.reading import StudyRecords
from study.report.section import Report
from study.statistics.result import PAGE_ONLY, Result

PARTS = ("train", "validation")


@dataclass(frozen=True, slots=True)
class Protocol(Result):
    """`counts` are images per class by part, as far as the study's files tell them; `test_groups` is how many groups,
    such as writers, the test images come in, None where nobody knows. `budget_s` is of the whole study; `planned` are
    the pairs to be tested. `final_examples` are those of each final run of a family, None before retraining.
    `given_beside`: what was given is trained again beside what was found; it ships if better by `given_margin`;
    `first_drawn` whether that is the first configuration that each search drew, too. `own_validation`: whether each
    further search has another validation part."""

    n_train: int
    n_validation: int
    n_test: int | None
    test_groups: int | None
    classes: tuple[str, ...]
    counts: Mapping[str, list[int]]
    mean: float
    std: float
    inverted: bool
    levels: Sequence[int] | None
    transposed: bool
    split_seed: int
    retrain: RetrainSettings
    budget: Budget
    budget_s: float | None
    n_trials: int | None
    stages: Mapping[str, float]
    retrain_seconds: Mapping[str, float | None]
    final_examples: Mapping[str, int | None] = field(metadata={"key": None})
    planned: list[list[str]]
    samples_shown: bool
    given_beside: bool = field(metadata=PAGE_ONLY)
    given_margin: float = field(metadata=PAGE_ONLY)
    first_drawn: bool = field(metadata=PAGE_ONLY)
    own_validation: bool = field(metadata=PAGE_ONLY)

    def examples(self, family: str) -> int | None:
        """Of each final run of a family."""
        return self.final_examples[family]

    def to_dict(self) -> dict[str, Any]:
        lengths = self.final_examples.items()
        schedules = {name: None if n is None else {"examples_per_run": n} for name, n in lengths}
        return Result.to_dict(self) | {"retrain": self.retrain.model_dump(), "schedules": schedules}


def numbers(study: StudyRecords, before: Report) -> Protocol:
    data, ledger, known = study.settings.dataset, study.ledger, study.finalists.families
    return Protocol(
        n_train=data.n_train,
        n_validation=data.n_validation,
        n_test=None if study.test_labels is None else len(study.test_labels),
        test_groups=None if study.groups is None else len(study.groups),
        classes=tuple(data.classes),
        counts=_class_counts(study),
        mean=data.mean,
        std=data.std,
        inverted=data.inverted,
        levels=data.levels,
        transposed=data.was_transposed,
        split_seed=data.split_seed,
        retrain=study.settings.retrain,
        budget=before[budget],
        budget_s=ledger.budget,
        n_trials=ledger.n_trials,
        stages=ledger.stages,
        retrain_seconds={name: known[name].seconds if name in known else None for name in study.families},
        final_examples={name: known[name].examples if name in known else None for name in study.families},
        planned=study.openings[0].hypotheses if study.openings else [list(p) for p in combinations(study.families, 2)],
        samples_shown="images" in study.samples,
        given_beside=study.n_searches > 1,
        given_margin=READING_NOISE,
        own_validation=study.n_searches > 1 and study.settings.validation == "own",
        first_drawn=study.n_searches > 1 and any(row.against == "first drawn" for row in before[added]),
    )


def _class_counts(study: StudyRecords) -> dict[str, list[int]]:
    n_classes = len(study.settings.dataset.classes)
    found = {part: study.samples[f"{part}_counts"].tolist() for part in PARTS if f"{part}_counts" in study.samples}
    if study.test_labels is not None:
        found["test"] = np.bincount(study.test_labels, minlength=n_classes).tolist()
    return found


def finding(found: Protocol, before: Report) -> str:
    given = found.budget
    if not any(given.trials.values()):
        given_alone = bool(before.study.records.counted)
        return (
            "The search has drawn no trial: only what was given was trained."
            if given_alone
            else "No trial has run yet; the protocol below is what will be kept."
        )
    if len(given.trials) < 2:
        return "One family was searched, so there was nothing to make equal."
    what = "worker-seconds of search" if given.equalised == "seconds" else "trials"
    judged = "were not equal" if given.unequal else "were made equal for every family"
    return f"The {what} {judged}: {given.imbalance}"


def charts(found: Protocol) -> list[Chart]:
    if not found.counts:
        return []
    data = [
        {
            "type": "bar",
            "name": part,
            "x": found.classes,
            "y": counts,
            "marker": {"color": colour, "pattern": {"shape": shape}},
        }
        for (part, counts), colour, shape in zip(found.counts.items(), GREYS, ("", "/", "."), strict=False)
    ]
    counted = zip(*found.counts.values(), strict=True)
    rows = [(name, *(f"{n:,}" for n in counts)) for name, counts in zip(found.classes, counted, strict=False)]
    axis = layout("class", "images", 280, barmode="group")
    axis["xaxis"]["type"] = "category"
    figure = {"data": data, "layout": axis}
    return [
        Chart(
            "class-counts",
            "Images per class and part: bars of one height are balanced classes.",
            figure,
            ("class", *found.counts),
            rows,
        )
    ]
