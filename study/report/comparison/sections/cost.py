"""Test accuracy of all finalists against what they cost, one front for each set of test images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from study.report.charts import Chart, Figure, error_bars, family_style, percents
from study.report.comparison import groups
from study.report.comparison.compared import Compared, short_labels
from study.report.comparison.entries import Entry
from study.report.comparison.sections import leaderboard
from study.report.comparison.sections.leaderboard import ComparedFinalist, costs_of, latency_comparable
from study.report.pareto import COLUMNS, Cost, cells, front_line, panels
from study.report.wording import interval, listing
from study.statistics.intervals import Interval
from study.statistics.result import PAGE_ONLY, Result

HEIGHT = 420
NAMES: Mapping[Cost, str] = {"n_parameters": "parameters", "flops": "FLOPs"}


@dataclass(frozen=True, slots=True)
class ComparedPoint(Result):
    """A finalist that was read on the test split, as the leaderboard has it."""

    id: str
    study: str
    group: int
    family: str
    trial: int
    winner: bool
    n_parameters: float | None
    flops: float | None
    front: tuple[Cost, ...]
    latency_p50_ms: float | None
    accuracy: float
    interval95: Interval

    @property
    def costs(self) -> Mapping[Cost, float | None]:
        return {"n_parameters": self.n_parameters, "flops": self.flops, "latency_p50_ms": self.latency_p50_ms}


@dataclass(frozen=True, slots=True)
class ComparedCosts(Result):
    """`latency_comparable` where all studies were measured on one kind of processor; else no point has a latency."""

    points: tuple[ComparedPoint, ...]
    latency_comparable: bool
    groups: tuple[str, ...] = field(metadata=PAGE_ONLY)
    labels: tuple[str, ...] = field(metadata=PAGE_ONLY)

    def inside(self, group: int) -> list[ComparedPoint]:
        return [point for point in self.points if point.group == group]


def numbers(entries: Sequence[Entry], before: Compared) -> ComparedCosts:
    latency = latency_comparable(entries)
    return ComparedCosts(
        points=tuple(_point(row, latency=latency) for row in before[leaderboard].tested),
        latency_comparable=latency,
        groups=tuple(group.name for group in before[groups]),
        labels=tuple(before.labels),
    )


def _point(row: ComparedFinalist, *, latency: bool) -> ComparedPoint:
    own, costs = row.finalist, costs_of(row, latency=latency)
    assert own.test is not None  # only of those that were tested
    return ComparedPoint(
        id=row.id,
        study=row.study,
        group=row.group,
        family=own.family,
        trial=own.trial,
        winner=row.winner,
        n_parameters=own.n_parameters,
        flops=own.flops,
        front=row.front,
        latency_p50_ms=costs["latency_p50_ms"],
        accuracy=own.test.accuracy.mean,
        interval95=own.test.accuracy.interval95,
    )


def finding(found: ComparedCosts, before: Compared) -> str:
    if not found.points:
        return "No accuracy on the test split yet, so there is no front."
    told = []
    for place in dict.fromkeys(point.group for point in found.points):
        where = f" on {found.groups[place]}" if len(found.groups) > 1 else ""
        for cost, name in NAMES.items():
            front = [f"{p.family} #{p.trial} of {p.study}" for p in found.inside(place) if cost in p.front]
            told.append(f"against {name}{where}: {listing(front) or 'none'}")
    return f"On the front of accuracy {'; '.join(told)}."


def charts(found: ComparedCosts) -> list[Chart]:
    """One for each set of test images."""
    drawn = [_chart(found, place) for place in range(len(found.groups))]
    return [chart for chart in drawn if chart is not None]


def _chart(found: ComparedCosts, place: int) -> Chart | None:
    """Accuracy with its interval against each cost; one colour and symbol a study."""
    points, short = found.inside(place), short_labels(found.labels)

    def panel(cost: Cost, axis: str, legend: bool) -> list[Figure]:
        here = {"xaxis": axis, "showlegend": legend}
        traces = [{**trace, **here} for trace in _traces(points, cost, short)]
        return [front_line(points, cost, axis, legend=legend), *traces]

    figure = panels(points, panel, HEIGHT)
    if figure is None:
        return None
    rows = [(p.study, f"{p.family} #{p.trial}", interval(p.interval95), *cells(p)) for p in points]
    images = found.groups[place]
    label = f"Test accuracy on {images} against cost, with 95 % intervals; filled is a study's winner on validation"
    return Chart(f"cost-{place}", label, figure, ("study", "finalist", "95 % interval", *COLUMNS), rows)


def _traces(points: Sequence[ComparedPoint], cost: Cost, short: Mapping[str, str]) -> list[Figure]:
    """Two traces a study: its winner, filled, and its other finalists, open."""
    known = [price for point in points if (price := point.costs[cost]) is not None]
    traces = []
    for label in short:
        colour, symbol, _ = family_style(list(short), label)
        for winner, marker in ((True, symbol), (False, f"{symbol}-open")):
            inside = [p for p in points if (p.study, p.winner) == (label, winner) and p.costs[cost] is not None]
            if inside:
                name = f"{short[label]}, {'winner' if winner else 'other finalists'}"
                about = {"name": name, "legendgroup": name, "marker": {"color": colour, "symbol": marker, "size": 12}}
                traces.append({**about, **_places(inside, cost, known, colour)})
    return traces


def _places(inside: Sequence[ComparedPoint], cost: Cost, known: Sequence[float], colour: str) -> Figure:
    middles = [point.accuracy for point in inside]
    prices = [price for point in inside if (price := point.costs[cost]) is not None]
    error = error_bars(middles, [point.interval95 for point in inside], color=colour, thickness=1.2)
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": prices,
        "y": percents(middles),
        "text": [point.family for point in inside],
        "textposition": [_side(price, known) for price in prices],
        "error_y": error,
    }


def _side(value: float, known: Sequence[float]) -> str:
    """A point's name stands towards the middle of the panel's log scale, where there is room."""
    return "middle left" if value * value > min(known) * max(known) else "middle right"
