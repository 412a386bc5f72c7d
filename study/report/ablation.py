"""What one swapped choice changes in a family's finalist on validation: its sentence and its chart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from study.records.examined import Ablated, Swap
from study.report import forest
from study.report.charts import Chart
from study.report.reading import StudyRecords
from study.report.wording import NONE, capital, count, listing, percent, point_interval, points, setting
from study.statistics.intervals import Interval
from study.statistics.result import Result

NAMED = 3  # swaps told in words; the table has all


@dataclass(frozen=True, slots=True)
class Measured:
    """A swap that has a score."""

    swap: Swap
    accuracies: tuple[float, ...]
    difference: float
    interval95: Interval

    @property
    def beyond(self) -> int:
        """1 where the 95 % interval lies above zero, -1 below, 0 where it holds it."""
        low, high = self.interval95
        return int(low > 0) - int(high < 0)

    @property
    def told(self) -> str:
        return f"{title(self.swap)} by {points(self.difference, signed=True)} ({point_interval(self.interval95)})"


@dataclass(frozen=True, slots=True)
class FamilyAblation(Result):
    """The swaps of a finalist, read on so many validation images, and what they showed."""

    ablated: Ablated
    title: str
    n_validation: int

    @property
    def measured(self) -> list[Measured]:
        rows = self.ablated.rows
        return [
            Measured(row, row.accuracies, row.difference, row.interval95)
            for row in rows
            if row.accuracies is not None and row.difference is not None and row.interval95 is not None
        ]

    @property
    def failed(self) -> list[tuple[str, str]]:
        """Swaps without a score, and why."""
        return [(title(row), row.failed) for row in self.ablated.rows if row.failed is not None]

    @property
    def left_out(self) -> str:
        """'activation tanh or elu; optimizer sgd'."""
        by_parameter: dict[str, list[str]] = {}
        for row in self.ablated.left_out:
            by_parameter.setdefault(row.parameter, []).append(setting(row.value))
        return "; ".join(f"{name} {' or '.join(values)}" for name, values in by_parameter.items())

    @property
    def sentence(self) -> str:
        """What the swaps showed: those whose interval leaves out zero, the largest first."""
        known = sorted(self.measured, key=lambda row: -abs(row.difference))
        if not known:
            return f"No swap of {self.title} has been trained with all its seeds yet."
        better, worse = ([row for row in known if row.beyond == sign] for sign in (1, -1))
        open_ = [row for row in known if row.beyond == 0]
        parts = [_told(rows, verb) for rows, verb in ((better, "raise"), (worse, "lower")) if rows]
        if open_:
            has = "has an interval that holds" if len(open_) == 1 else "have intervals that hold"
            first = "" if better or worse else f", the largest {known[0].told}"
            parts.append(f"{count(len(open_), 'swap')} {has} zero{first}")
        return f"{capital(self.title)} on validation: {'; '.join(parts)}."

    def to_dict(self) -> dict[str, Any]:
        about = {"title": self.title, "n_validation": self.n_validation, "sentence": self.sentence}
        return self.ablated.to_dict() | about


def of_family(study: StudyRecords, family: str) -> FamilyAblation | None:
    """None where none was made of the family's present finalist."""
    ablation = study.examined.ablation
    if ablation is None or family not in ablation.families:
        return None
    return FamilyAblation(ablation.families[family], study.title(family), ablation.n_validation)


def title(row: Swap) -> str:
    """'activation gelu in place of relu'."""
    return f"{row.parameter} {setting(row.value)} in place of {setting(row.replaced)}"


def _beside(row: Swap) -> str:
    """What a swap had to change beside it: 'learning_rate 0.1, momentum 0.9, warmup dropped'."""
    told = [f"{key} dropped" if value is None else f"{key} {setting(value)}" for key, value in row.also.items()]
    return ", ".join(told) or NONE


def _told(rows: list[Measured], verb: str) -> str:
    lead = f"{count(len(rows), 'swap')} {verb}{'s' if len(rows) == 1 else ''} its accuracy"
    most = ", most of all" if len(rows) > NAMED else ":"
    return f"{lead}{most} {listing([row.told for row in rows[:NAMED]])}"


def charts(found: FamilyAblation | None, place: int, group: str) -> list[Chart]:
    rows = found.measured if found else []
    if not found or not rows:
        return []
    names = [title(row.swap) for row in rows]
    figure = forest.differences(rows, names, "change of mean validation accuracy, points")
    label = f"What one swapped choice changes in {found.title} on validation, with 95 % intervals; band ±0.2 points"
    table = [
        (name, ", ".join(percent(value) for value in row.accuracies), *forest.cells(row), _beside(row.swap))
        for name, row in zip(names, rows, strict=True)
    ]
    columns = ("swap", "validation accuracy of each seed", "difference", "95 % interval", "changed beside it")
    return [Chart(f"ablation-{place}", label, figure, columns, table, group=group)]
