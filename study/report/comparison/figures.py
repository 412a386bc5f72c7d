"""Charts of a comparison: one colour and symbol a study, filled for its winner and open for its other finalists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.report import forest, wording
from study.report.charts import Chart, Figure, error_bars, family_style, percents
from study.report.pareto import COLUMNS, COSTS, Cost, cells, front_line, panels

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    difference: float
    interval95: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Point:
    accuracy: float
    costs: Mapping[Cost, float | None]
    front: tuple[Cost, ...]


DRAWN_PAIRS = 30
LONGEST = 22  # characters of a study's name beside an axis


def charts(comparison: Record) -> dict[str, list[Chart]]:
    """Section -> its charts; those without data are left out."""
    costs = [cost(comparison, place) for place in range(len(comparison["groups"]))]
    return {
        "pairwise": pairs(comparison),
        "cost": [chart for chart in costs if chart is not None],
    }


def short_labels(comparison: Record) -> dict[str, str]:
    """Study -> a name that fits beside an axis; a shortened one carries its place, so that no two are alike."""
    labels = [entry["label"] for entry in comparison["studies"]]
    return {
        label: label if len(label) <= LONGEST else f"{label[: LONGEST - 5]}… ({place})"
        for place, label in enumerate(labels, 1)
    }


def pairs(comparison: Record) -> list[Chart]:
    """Differences of the first pairs, winners of the studies first."""
    found = comparison["pairwise"]["pairs"][:DRAWN_PAIRS]
    if not found:
        return []
    short = short_labels(comparison)
    names = [" − ".join(f"{short[study]}: {family}" for study, family in _sides(pair)) for pair in found]
    seen = [Seen(pair["comparison"]["difference"], tuple(pair["comparison"]["interval95"])) for pair in found]
    read = [pair["reading"]["label"] for pair in found]
    rows = [(name, *forest.cells(one), label) for name, one, label in zip(names, seen, read, strict=True)]
    label = (
        f"Differences of finalists with 95 % intervals; the band is ±0.2 points. {comparison['findings']['pairwise']}"
    )
    columns = ("pair", "difference", "95 % interval", "reading")
    return [Chart("forest", label, forest.pairs(seen, names), columns, rows)]


def _sides(pair: Record) -> list[tuple[str, str]]:
    return [(study, pair[side].removeprefix(f"{study}/")) for side, study in zip("ab", pair["studies"], strict=True)]


def cost(comparison: Record, group: int) -> Chart | None:
    """Accuracy with its interval against each cost, for the studies that were read on one group's images."""
    found = [point for point in comparison["cost"]["points"] if point["group"] == group]
    short = short_labels(comparison)

    drawn = [_drawn(point) for point in found]

    def panel(key: Cost, axis: str, legend: bool) -> list[Figure]:
        here = {"xaxis": axis, "showlegend": legend}
        traces = [{**trace, **here} for trace in _traces(found, key, short)]
        return [front_line(drawn, key, axis, legend=legend), *traces]

    figure = panels(drawn, panel, 420)
    if figure is None:
        return None
    rows = [
        (point["study"], f"{point['family']} #{point['trial']}", _interval(point), *cells(one))
        for point, one in zip(found, drawn, strict=True)
    ]
    images = wording.listing(comparison["groups"][group]["datasets"])
    label = f"Test accuracy on {images} against cost, with 95 % intervals; filled is a study's winner on validation"
    columns = ("study", "finalist", "95 % interval", *COLUMNS)
    return Chart(f"cost-{group}", label, figure, columns, rows)


def _drawn(point: Record) -> Point:
    return Point(point["accuracy"], {cost: point[cost] for cost in COSTS}, tuple(point["front"]))


def _interval(point: Record) -> str:
    return wording.interval(point["interval95"])


def _traces(found: Sequence[Record], key: str, short: dict[str, str]) -> list[Figure]:
    """Two traces a study: its winner, filled, and its other finalists, open."""
    known = [float(point[key]) for point in found if point[key] is not None]
    traces = []
    for label in short:
        colour, symbol, _ = family_style(list(short), label)
        for winner, marker in ((True, symbol), (False, f"{symbol}-open")):
            inside = [p for p in found if p["study"] == label and p["winner"] == winner and p[key] is not None]
            if inside:
                name = f"{short[label]}, {'winner' if winner else 'other finalists'}"
                about = {"name": name, "legendgroup": name, "marker": {"color": colour, "symbol": marker, "size": 12}}
                traces.append({**about, **_places(inside, key, known, colour)})
    return traces


def _places(inside: Sequence[Record], key: str, known: Sequence[float], colour: str) -> Figure:
    right = [point["accuracy"] for point in inside]
    error = error_bars(right, [point["interval95"] for point in inside], color=colour, thickness=1.2)
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": [point[key] for point in inside],
        "y": percents(right),
        "text": [point["family"] for point in inside],
        "textposition": [_side(point[key], known) for point in inside],
        "error_y": error,
    }


def _side(value: float, known: Sequence[float]) -> str:
    """A point's name stands towards the middle of the panel's log scale, where there is room."""
    return "middle left" if value * value > min(known) * max(known) else "middle right"
