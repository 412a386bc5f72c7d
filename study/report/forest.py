"""Differences with their 95 % intervals, one line each, before the band of ±0.2 points in which they count as equal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from study.report.charts import GREY, Figure, error_bars, layout, percents
from study.report.wording import point_interval, points
from study.statistics.intervals import Interval

LONGEST = 30  # characters of a pair's name on one line


class Difference(Protocol):
    @property
    def difference(self) -> float: ...
    @property
    def interval95(self) -> Interval: ...


def differences(rows: Sequence[Difference], names: Sequence[str], x: str) -> Figure:
    """The figure; the first row stands at the top."""
    middles = [row.difference for row in rows]
    error = error_bars(middles, [row.interval95 for row in rows], thickness=2)
    marker = {"size": 11, "color": GREY, "symbol": "diamond"}
    trace = {"type": "scatter", "mode": "markers", "x": percents(middles), "y": list(names)}
    axis = layout(x, "", 170 + (44 if len(rows) < 10 else 26) * len(rows), shapes=[_band()])
    axis["yaxis"] |= {"type": "category", "autorange": "reversed", "automargin": True}
    axis["xaxis"]["zeroline"] = True
    return {"data": [{**trace, "error_x": error, "marker": marker}], "layout": axis}


def _band() -> Figure:
    place = {"type": "rect", "xref": "x", "yref": "paper", "x0": -0.2, "x1": 0.2, "y0": 0, "y1": 1}
    return {**place, "fillcolor": "rgba(128,128,128,0.18)", "line": {"width": 0}, "layer": "below"}


def pairs(rows: Sequence[Difference], names: Sequence[str]) -> Figure:
    """Of pairs of finalists, each under a name of its own: 'a − b'."""
    # A long pair takes two lines beside the axis, which would else leave a phone no room for the chart.
    shown = [name if len(name) <= LONGEST else name.replace(" − ", "<br>− ", 1) for name in names]
    return differences(rows, shown, "difference of mean test accuracy, points")


def cells(row: Difference) -> tuple[str, str]:
    """The difference and its interval."""
    return points(row.difference, signed=True), point_interval(row.interval95)
