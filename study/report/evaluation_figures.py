"""Charts of what the test split showed: differences, seeds, costs, confusions, calibration."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from study.report import wording
from study.report.charts import COLOURS, Chart, Figure, layout
from study.report.wording import percent, points

Record = dict[str, Any]


def forest_of(
    pairs: Sequence[Record],
    names: Sequence[str],
    finding: str,
    columns: tuple[str, ...],
    judged: Sequence[tuple[str, ...]],
) -> Chart | None:
    """One line per pair, each under a name of its own; `judged` holds the cells of `columns` for each pair."""
    if not pairs:
        return None
    # A long pair takes two lines beside the axis, which would else leave a phone no room for the chart.
    shown = [name if len(name) <= 30 else name.replace(" − ", "<br>− ", 1) for name in names]
    figure = dots([pair["comparison"] for pair in pairs], shown, "difference of mean test accuracy, points")
    cells = [_difference_cells(pair["comparison"]) for pair in pairs]
    rows = [(name, *cell, *more) for name, cell, more in zip(names, cells, judged, strict=True)]
    columns = ("pair", "difference", "95 % interval", *columns)
    label = f"Differences of finalists with 95 % intervals; the band is ±0.2 points. {finding}"
    return Chart("forest", label, figure, columns, rows)


def dots(rows: Sequence[Record], names: Sequence[str], x: str) -> Figure:
    """Differences with their 95 % intervals, one line each, before the band of ±0.2 points."""
    middle = [100 * row["difference"] for row in rows]
    bars = [[100 * bound for bound in row["interval95"]] for row in rows]
    error = {
        "type": "data",
        "symmetric": False,
        "array": [high - m for (_, high), m in zip(bars, middle, strict=True)],
        "arrayminus": [m - low for (low, _), m in zip(bars, middle, strict=True)],
        "thickness": 2,
    }
    marker = {"size": 11, "color": COLOURS[0], "symbol": "diamond"}
    trace = {"type": "scatter", "mode": "markers", "x": middle, "y": list(names), "error_x": error, "marker": marker}
    band = {"type": "rect", "xref": "x", "yref": "paper", "x0": -0.2, "x1": 0.2, "y0": 0, "y1": 1}
    band |= {"fillcolor": "rgba(128,128,128,0.18)", "line": {"width": 0}, "layer": "below"}
    axis = layout(x, "", 170 + (44 if len(rows) < 10 else 26) * len(rows), shapes=[band])
    axis["yaxis"] |= {"type": "category", "autorange": "reversed", "automargin": True}
    axis["xaxis"]["zeroline"] = True
    return {"data": [trace], "layout": axis}


def _difference_cells(row: Record) -> tuple[str, str]:
    return points(row["difference"], signed=True), wording.point_interval(row["interval95"])


COSTS = {"n_parameters": "parameters", "flops": "FLOPs per image", "latency_p50_ms": "CPU latency, ms"}


COST_COLUMNS = ("test accuracy", *COSTS.values(), "on the front of")


def cost_cells(point: Record) -> tuple[str, ...]:
    """The cells of COST_COLUMNS."""
    front = ", ".join(COSTS[key] for key in point["front"]) or wording.NONE
    return (percent(point["accuracy"], 3), *(wording.compact(point[key]) for key in COSTS), front)


def cost_figure(points: Sequence[Record], panel: Callable[[str, str, bool], list[Figure]]) -> Figure | None:
    """Side by side one panel for each cost that a point has; `panel(cost, axis, legend)` gives its traces. None where
    no point has a cost."""
    panels = [key for key in COSTS if any(point[key] is not None for point in points)]
    if not panels:
        return None
    data: list[Figure] = []
    axis: Figure = {"height": 360, "yaxis": {"title": {"text": "test accuracy, %"}}}
    width, gap = 1 / len(panels), 0.04
    for place, key in enumerate(panels, 1):
        tail = "" if place == 1 else str(place)
        domain = [(place - 1) * width + (gap if place > 1 else 0), place * width]
        ticks = decade_ticks([float(point[key]) for point in points if point[key]])
        scale = {"type": "log", "tickmode": "array", "tickvals": ticks, "ticktext": [wording.compact(t) for t in ticks]}
        scale["range"] = [math.log10(ticks[0]) - 0.05, math.log10(ticks[-1]) + 0.05]
        axis[f"xaxis{tail}"] = {"title": {"text": COSTS[key]}, "domain": domain, **scale}
        data += panel(key, f"x{tail}", place == 1)
    return {"data": data, "layout": axis}


def decade_ticks(values: Sequence[float]) -> list[float]:
    """1, 2 and 5 times the powers of ten that span the positive values, one step beyond at each end."""
    low, high = min(values), max(values)
    powers = range(math.floor(math.log10(low)) - 1, math.floor(math.log10(high)) + 2)
    steps = [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5)]
    first = max([step for step in steps if step <= low], default=steps[0])
    last = min([step for step in steps if step >= high], default=steps[-1])
    return [step for step in steps if first <= step <= last]


def front_line(points: Sequence[Record], key: str, axis: str, *, legend: bool) -> Figure:
    """The points on the Pareto front of one cost, joined."""
    front = sorted((p for p in points if key in p["front"]), key=lambda p: float(p[key]))
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "Pareto front",
        "x": [p[key] for p in front],
        "y": [100 * p["accuracy"] for p in front],
        "xaxis": axis,
        "line": {"color": "rgba(128,128,128,0.8)", "dash": "dot", "width": 1.5, "shape": "hv"},
        "showlegend": legend,
        "hoverinfo": "skip",
    }
