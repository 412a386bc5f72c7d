"""Accuracy against what a network costs: which points no other one beats in both, and their charts side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from study.report.charts import GREY, Figure, percents
from study.report.wording import NONE, compact, percent

Cost = Literal["n_parameters", "flops", "latency_p50_ms"]
COSTS: tuple[Cost, ...] = ("n_parameters", "flops", "latency_p50_ms")
SHORT: Mapping[Cost, str] = {"n_parameters": "parameters", "flops": "FLOPs", "latency_p50_ms": "latency"}
AXES: Mapping[Cost, str] = {
    "n_parameters": "parameters",
    "flops": "FLOPs per image",
    "latency_p50_ms": "CPU latency, ms",
}
COLUMNS = ("test accuracy", *AXES.values(), "on the front of")

Point = tuple[float, Mapping[Cost, float | None]]  # accuracy, and the costs that are known


def fronts(points: Sequence[Point]) -> list[tuple[Cost, ...]]:
    """For each point the costs on whose Pareto front it is: no other one is as accurate and as cheap, and better in one
    of the two."""
    return [tuple(cost for cost in COSTS if _on_front(point, points, cost)) for point in points]


def _on_front(point: Point, points: Sequence[Point], cost: Cost) -> bool:
    mine = point[1][cost]
    if mine is None:
        return False
    others = [(accuracy, price) for accuracy, costs in points if (price := costs[cost]) is not None]
    return not any(other != (point[0], mine) and other[0] >= point[0] and other[1] <= mine for other in others)


class Drawn(Protocol):
    """A point of a chart."""

    @property
    def accuracy(self) -> float: ...
    @property
    def costs(self) -> Mapping[Cost, float | None]: ...
    @property
    def front(self) -> tuple[Cost, ...]: ...


def cells(point: Drawn) -> tuple[str, ...]:
    """The cells of COLUMNS."""
    front = ", ".join(AXES[cost] for cost in point.front) or NONE
    return (percent(point.accuracy, 3), *(compact(point.costs[cost]) for cost in COSTS), front)


def panels(points: Sequence[Drawn], panel: Callable[[Cost, str, bool], list[Figure]], height: int) -> Figure | None:
    """Side by side one panel for each cost that a point has above 0, on a logarithmic axis; `panel(cost, axis, legend)`
    gives its traces. None where no point has such a cost."""
    shown = [cost for cost in COSTS if any(point.costs[cost] for point in points)]
    if not shown:
        return None
    data: list[Figure] = []
    axes: Figure = {"height": height, "yaxis": {"title": {"text": "test accuracy, %"}}}
    width, gap = 1 / len(shown), 0.04
    for place, cost in enumerate(shown, 1):
        tail = "" if place == 1 else str(place)
        domain = [(place - 1) * width + (gap if place > 1 else 0), place * width]
        known = [float(price) for point in points if (price := point.costs[cost])]
        axes[f"xaxis{tail}"] = {"title": {"text": AXES[cost]}, "domain": domain, **_log_axis(known)}
        data += panel(cost, f"x{tail}", place == 1)
    return {"data": data, "layout": axes}


def _log_axis(values: Sequence[float]) -> Figure:
    ticks = decade_ticks(values)
    scale = {"type": "log", "tickmode": "array", "tickvals": ticks, "ticktext": [compact(tick) for tick in ticks]}
    return {**scale, "range": [math.log10(ticks[0]) - 0.05, math.log10(ticks[-1]) + 0.05]}


def decade_ticks(values: Sequence[float]) -> list[float]:
    """1, 2 and 5 times the powers of ten that span the positive values, one step beyond at each end."""
    low, high = min(values), max(values)
    powers = range(math.floor(math.log10(low)) - 1, math.floor(math.log10(high)) + 2)
    steps = [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5)]
    first = max([step for step in steps if step <= low], default=steps[0])
    last = min([step for step in steps if step >= high], default=steps[-1])
    return [step for step in steps if first <= step <= last]


def front_line(points: Sequence[Drawn], cost: Cost, axis: str, *, legend: bool) -> Figure:
    """The points on the Pareto front of one cost, joined."""
    front = sorted(
        ((price, p.accuracy) for p in points if cost in p.front and (price := p.costs[cost]) is not None),
        key=lambda point: point[0],
    )
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "Pareto front",
        "x": [price for price, _ in front],
        "y": percents([accuracy for _, accuracy in front]),
        "xaxis": axis,
        "line": {"color": GREY, "dash": "dot", "width": 1.5, "shape": "hv"},
        "showlegend": legend,
        "hoverinfo": "skip",
    }
