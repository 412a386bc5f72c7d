"""What charts are made of: plotly's figures as dictionaries, drawn from numbers alone, each with its data table.

Families keep one colour, symbol and dash throughout (Okabe & Ito's palette), so that colour never carries alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from study.report.wording import percent

Figure = dict[str, Any]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
OWN = ("mlp", "cnn", "mixer")  # whose colours are the same in every study
GREY = "rgba(128,128,128,0.8)"
GREYS = ("#4d5761", "#8b96a1", "#c3cad1")  # for what is no family


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure, what it shows in words, and its data table. The label of one that `tells_finding` ends with the finding
    of its section; `group` tells apart charts that a section shows in several places."""

    id: str
    label: str
    figure: Figure
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    tells_finding: bool = False
    group: str = ""
    caption: str = ""  # what stands below it, where its label says more


class Style(NamedTuple):
    colour: str
    symbol: str
    dash: str


def family_style(families: Sequence[str], family: str) -> Style:
    """Colour, symbol and dash of a family: the same in every figure, whoever else is in it."""
    others = [name for name in families if name not in OWN]
    place = OWN.index(family) if family in OWN else len(OWN) + (others.index(family) if family in others else 0)
    return Style(COLOURS[place % len(COLOURS)], SYMBOLS[place % len(SYMBOLS)], DASHES[place % len(DASHES)])


def layout(x: str, y: str, height: int = 340, **more: Any) -> Figure:
    return {"height": height, "xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}, **more}


TICKS = tuple(digit * 10.0**power for power in range(-4, 4) for digit in (1, 2, 5))


def log_axis(low: float, high: float) -> Figure:
    """A logarithmic axis about values from `low` to `high`, with a number at 1, 2 and 5 of each decade."""
    ticks = [tick for tick in TICKS if low / 1.2 <= tick <= high * 1.2] or list(TICKS)
    shown = {"tickmode": "array", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}
    return {"type": "log", **shown, "range": [math.log10(low / 1.15), math.log10(high * 1.15)]}


def percents(shares: Sequence[float]) -> list[float]:
    return [100 * share for share in shares]


def line(name: str, x: Sequence[Any], y: Sequence[Any], style: Style, *, size: int = 0, **shape: Any) -> Figure:
    """A trace through points, with markers of a `size` other than 0; `shape` is plotly's, of the line."""
    trace: Figure = {"type": "scatter", "mode": "lines", "name": name, "x": list(x), "y": list(y)}
    trace["line"] = {"color": style.colour, "dash": style.dash, **shape}
    if size:
        trace |= {"mode": "lines+markers", "marker": {"symbol": style.symbol, "size": size}}
    return trace


def error_bars(middles: Sequence[float], intervals: Sequence[Sequence[float]], **more: Any) -> Figure:
    """Bars from the low to the high end of each interval, which may lie unevenly about its middle; shares are drawn as
    percentages, differences of shares as points."""
    ends = list(zip(middles, intervals, strict=True))
    return {
        "type": "data",
        "symmetric": False,
        "array": [100 * interval[1] - 100 * middle for middle, interval in ends],
        "arrayminus": [100 * middle - 100 * interval[0] for middle, interval in ends],
        **more,
    }


def heatmap(
    z: Sequence[Sequence[float | None]], x: Sequence[str], y: Sequence[str], hover: list[list[str]], **more: Any
) -> Figure:
    """A trace of one coloured cell for each value, the rows of `z` from top to bottom; see `heatmap_layout`."""
    cells = {"type": "heatmap", "z": z, "x": x, "y": y, "hovertext": hover}
    return {**cells, "showscale": False, "xgap": 1, "ygap": 1, **more}


def heatmap_layout(x: str, y: str, height: int, notes: list[Figure]) -> Figure:
    """Axes of categories, the first row at the top; `notes` are the texts in the cells, see `note`."""
    axis = layout(x, y, height, annotations=notes)
    axis["xaxis"] |= {"type": "category", "showgrid": False}
    axis["yaxis"] |= {"type": "category", "autorange": "reversed", "showgrid": False}
    return axis


def note(x: str, y: str, text: str, **font: Any) -> Figure:
    """A text in a cell."""
    return {"x": x, "y": y, "text": text, "showarrow": False, "font": font}


def boxes(
    name: str, label: str, unit: str, found: Mapping[str, Mapping[int, float]], *, tells_finding: bool = False
) -> list[Chart]:
    """Family -> number of the seed or search -> test accuracy, as points over a box for each family."""
    if not found:
        return []
    data = []
    for family, values in found.items():
        colour, symbol, _ = family_style(list(found), family)
        marker = {"color": colour, "symbol": symbol, "size": 9}
        box = {"boxpoints": "all", "jitter": 0.3, "pointpos": 0, "fillcolor": "rgba(128,128,128,0.12)"}
        y = percents(list(values.values()))
        data.append({"type": "box", "name": family, "y": y, "marker": marker, "line": {"color": colour}, **box})
    rows = [(family, str(n), percent(value, 3)) for family, values in found.items() for n, value in values.items()]
    figure = {"data": data, "layout": layout("", "test accuracy, %", showlegend=False)}
    return [Chart(name, label, figure, ("family", unit, "test accuracy"), rows, tells_finding=tells_finding)]
