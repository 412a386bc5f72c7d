"""Test accuracy of finalists and candidates against what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from study.report.charts import Chart, Figure, family_style, percents
from study.report.pareto import COLUMNS, Cost, cells, front_line, panels
from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.sections import leaderboard
from study.report.sections.leaderboard import Finalist
from study.report.wording import capital, compact, listing
from study.statistics.result import PAGE_ONLY, Result
from study.statistics.scores import accuracy


@dataclass(frozen=True, slots=True)
class CostPoint(Result):
    """A finalist, mean over its seeds, or a candidate, one seed that saw the training part alone, which is on no
    front; `front` names the costs on whose Pareto front a finalist is among the finalists."""

    family: str
    label: str
    kind: Literal["finalist", "candidate"]
    accuracy: float
    n_parameters: float | None
    flops: float | None
    latency_p50_ms: float | None = None
    front: tuple[Cost, ...] = ()

    @property
    def costs(self) -> Mapping[Cost, float | None]:
        return {"n_parameters": self.n_parameters, "flops": self.flops, "latency_p50_ms": self.latency_p50_ms}


@dataclass(frozen=True, slots=True)
class Costs(Result):
    points: tuple[CostPoint, ...]
    families: tuple[str, ...] = field(metadata=PAGE_ONLY)


def numbers(study: StudyRecords, before: Report) -> Costs:
    points = (*(_of_finalist(row) for row in before[leaderboard].tested), *_candidates(study))
    return Costs(points, tuple(study.families))


def _of_finalist(row: Finalist) -> CostPoint:
    assert row.test_mean is not None  # only of those that were tested
    costs = (row.n_parameters, row.flops, row.latency_p50_ms)
    return CostPoint(row.family, row.title, "finalist", row.test_mean, *costs, front=row.front or ())


def _candidates(study: StudyRecords) -> list[CostPoint]:
    points = []
    for name, logits in study.candidate_logits.items():
        run = study.runs.get(name)
        if run is not None and run.record.role != "last stage" and study.test_labels is not None:
            costs = (run.metrics.n_parameters, run.metrics.flops) if run.metrics else (None, None)
            right = accuracy(logits, study.test_labels)
            points.append(CostPoint(run.record.family, name, "candidate", right, *costs))
    return points


def finding(found: Costs, before: Report) -> str:
    finalists = before[leaderboard].tested
    if not finalists:
        return "No accuracy on the test split yet, so there is no front."
    front = [row.title for row in finalists if "n_parameters" in (row.front or ())]
    if not front:
        return "The sizes of the finalists are not known."
    if len(finalists) == 1:
        return f"One finalist was read: {compact(finalists[0].n_parameters)} parameters."
    if len(front) == 1:
        return f"{capital(front[0])} is more accurate than the other finalists with no more parameters."
    return f"No finalist is both smaller and more accurate than one of these: {listing(front)}."


def charts(found: Costs) -> list[Chart]:
    """Accuracy against each cost, one panel each; the Pareto front joined by a line."""

    def panel(cost: Cost, axis: str, legend: bool) -> list[Figure]:
        return [front_line(found.points, cost, axis, legend=legend), *_traces(found, cost, axis, legend=legend)]

    figure = panels(found.points, panel, 360)
    if figure is None:
        return []
    rows = [(point.label, point.kind, *cells(point)) for point in found.points]
    return [
        Chart(
            "cost",
            "Test accuracy against cost: further up and to the left is better.",
            figure,
            ("network", "role", *COLUMNS),
            rows,
            True,
        )
    ]


def _traces(found: Costs, cost: Cost, axis: str, *, legend: bool) -> list[Figure]:
    """A trace for the finalist and one for the candidates of each family."""
    traces = []
    for family in found.families:
        for kind in ("finalist", "candidate"):
            inside = [p for p in found.points if (p.family, p.kind) == (family, kind) and p.costs[cost] is not None]
            if inside:
                here = {"xaxis": axis, "showlegend": legend and kind == "finalist"}
                traces.append({**_trace(inside, cost, found.families), **here})
    return traces


def _trace(inside: Sequence[CostPoint], cost: Cost, families: Sequence[str]) -> Figure:
    first = inside[0]
    colour, symbol, _ = family_style(families, first.family)
    marker = {"symbol": symbol, "size": 13} if first.kind == "finalist" else {"symbol": f"{symbol}-open", "size": 8}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": first.family,
        "legendgroup": first.family,
        "x": [point.costs[cost] for point in inside],
        "y": percents([point.accuracy for point in inside]),
        "text": [point.label for point in inside],
        "marker": {"color": colour, **marker},
    }
