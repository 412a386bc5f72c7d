"""How far the test accuracy of a finalist spreads between the seeds of its final runs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from study.report.charts import Chart, boxes
from study.report.reading import Array, StudyRecords
from study.report.section import Report
from study.report.wording import listing, points
from study.statistics.result import Result


@dataclass(frozen=True, slots=True)
class SeedSpread(Result):
    """Test accuracy of each seed of a finalist; the standard deviation of one seed is None."""

    title: str
    accuracies: tuple[float, ...]
    mean: float
    sd: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Seeds(Result):
    families: Mapping[str, SeedSpread]


def numbers(study: StudyRecords, before: Report) -> Seeds:
    return Seeds({family: spread(study.title(family), correct) for family, correct in study.correct.items()})


def spread(title: str, correct: Array) -> SeedSpread:
    """Of whether each seed is right on each image, bool [S, N]."""
    values = correct.mean(axis=1).tolist()
    sd = statistics.stdev(values) if len(values) > 1 else None
    return SeedSpread(title, tuple(values), statistics.fmean(values), sd, min(values), max(values))


def finding(found: Seeds, before: Report) -> str:
    if not found.families:
        return "No final run has been read on the test split yet."
    known = [f"{family} {points(row.sd)}" for family, row in found.families.items() if row.sd is not None]
    if not known:
        return "One seed per finalist: the spread between seeds is unknown."
    return f"Standard deviation of test accuracy between seeds: {listing(known)}."


def charts(found: Seeds) -> list[Chart]:
    values = {family: dict(enumerate(row.accuracies)) for family, row in found.families.items()}
    return boxes(
        "seeds",
        "Test accuracy of each finalist, a dot per seed: how far chance in training moves it.",
        "seed",
        values,
        tells_finding=True,
    )
