"""Section 12's charts: accuracy under Gaussian blur, every corruption at once, and what a six becomes."""

from __future__ import annotations

from typing import Any

from study.report.charts import Chart, Figure, family_style, layout
from study.report.wording import interval, percent, plain

Record = dict[str, Any]
BLURRED = ("clean", "gaussian blur")


def charts(report: Record) -> list[Chart | None]:
    measured = report["robustness"]["measured"]
    if measured is None:
        return []
    families = list(measured["half_accuracy_sigma"])
    maps: list[Chart | None] = [_heatmap(measured, family, place) for place, family in enumerate(families)]
    return [_blur(report, measured, families), *maps, _sixes(measured, families)]


def _blur(report: Record, measured: Record, families: list[str]) -> Chart | None:
    levels = [row for row in measured["levels"] if row["kind"] in BLURRED]
    if len(levels) < 2:
        return None
    data: list[Figure] = []
    for family in families:
        colour, symbol, dash = family_style(families, family)
        found = [row["families"][family] for row in levels]
        ys = [100 * entry["accuracy"] for entry in found]
        error = {
            "type": "data",
            "symmetric": False,
            "array": [100 * entry["interval95"][1] - y for entry, y in zip(found, ys, strict=True)],
            "arrayminus": [y - 100 * entry["interval95"][0] for entry, y in zip(found, ys, strict=True)],
        }
        shape = {"line": {"color": colour, "dash": dash}, "marker": {"symbol": symbol, "size": 8}, "error_y": error}
        xs = [row["level"] for row in levels]
        data.append({"type": "scatter", "mode": "lines+markers", "name": family, "x": xs, "y": ys, **shape})
    rows = [
        (
            family,
            plain(row["level"]),
            percent(row["families"][family]["accuracy"]),
            interval(row["families"][family]["interval95"]),
            f"{row['families'][family]['ece']:.4f}",
            f"{row['families'][family]['ece_noise_floor']:.4f}",
        )
        for family in families
        for row in levels
    ]
    figure = {"data": data, "layout": layout("Gaussian blur, sigma in px", "test accuracy, %")}
    label = f"Accuracy under Gaussian blur. {report['findings']['robustness']}"
    columns = ("family", "sigma", "accuracy", "95 % interval", "ECE", "its noise floor")
    return Chart("blur", label, figure, columns, rows)


def _heatmap(measured: Record, family: str, place: int) -> Chart:
    """Kinds as rows, levels from mild to strong as columns; each cell says its level and accuracy."""
    rows = [row for row in measured["levels"] if row["kind"] != "clean"]
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    by_kind = {kind: [row for row in rows if row["kind"] == kind] for kind in kinds}
    width = max((len(found) for found in by_kind.values()), default=0)
    values = [[100 * row["families"][family]["accuracy"] for row in by_kind[kind]] for kind in kinds]
    steps = [f"level {step}" for step in range(1, width + 1)]
    trace = {
        "type": "heatmap",
        "z": [row + [None] * (width - len(row)) for row in values],
        "x": steps,
        "y": kinds,
        "zmin": 0,
        "zmax": 100,
        "colorscale": "Cividis",
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
        "hovertext": [[f"{row['unit']} {plain(row['level'])}" for row in by_kind[kind]] for kind in kinds],
    }
    notes = [
        {
            "x": steps[j],
            "y": kind,
            "text": f"{value:.1f}",
            "showarrow": False,
            "font": {"size": 10.5, "color": "#000" if value > 55 else "#fff"},
        }
        for kind, row in zip(kinds, values, strict=True)
        for j, value in enumerate(row)
    ]
    axis = layout("", "", 120 + 25 * len(kinds), annotations=notes)
    axis["yaxis"] |= {"type": "category", "autorange": "reversed", "automargin": True, "showgrid": False}
    axis["xaxis"] |= {"type": "category", "showgrid": False, "side": "top"}
    table = [
        (row["kind"], row["unit"], plain(row["level"]), percent(entry["accuracy"]), interval(entry["interval95"]))
        for row in rows
        for entry in (row["families"][family],)
    ]
    label = f"Accuracy of {family} under every corruption, from mild to strong"
    columns = ("corruption", "unit", "level", "accuracy", "95 % interval")
    return Chart(f"corruptions-{place}", label, {"data": [trace], "layout": axis}, columns, table)


def _sixes(measured: Record, families: list[str]) -> Chart | None:
    """Shares of the answers to all sixes at each blur, stacked, one panel per family."""
    sixes = measured["sixes"]
    if not sixes or not sixes["families"]:
        return None
    classes, data = measured["classes"], []
    axis: Figure = {"height": 360, "barmode": "stack", "yaxis": {"title": {"text": "answers to a 6, %"}}}
    width = 1 / len(families)
    rows = []
    for place, family in enumerate(families):
        tail = "" if place == 0 else str(place + 1)
        domain = [place * width + 0.02 * (place > 0), (place + 1) * width - 0.02]
        axis[f"xaxis{tail}"] = {"title": {"text": f"{family}: blur, px"}, "type": "category", "domain": domain}
        found = sixes["families"].get(family, [])
        for answer, name in enumerate(classes):
            shares = [100 * entry["counts"][answer] / max(sum(entry["counts"]), 1) for entry in found]
            if any(shares):
                data.append(_stack(name, answer, shares, found, f"x{tail}", first=place == 0))
        rows += [(family, plain(e["sigma"]), *(str(count) for count in e["counts"])) for e in found]
    label = "What each finalist answers to the test split's sixes as they blur"
    return Chart("sixes", label, {"data": data, "layout": axis}, ("family", "sigma", *classes), rows)


PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C8C", "#F0E442", "#B15928", "#6A3D9A")
PATTERNS = ("", "/", "\\", "x", "-", "|", "", "+", ".", "/")


def _stack(name: str, answer: int, shares: list[float], found: list[Record], axis: str, *, first: bool) -> Figure:
    marker = {"color": PALETTE[answer % 10], "pattern": {"shape": PATTERNS[answer % 10]}}
    xs = [plain(entry["sigma"]) for entry in found]
    legend = {"legendgroup": name, "showlegend": first}
    return {"type": "bar", "name": name, "x": xs, "y": shares, "xaxis": axis, "marker": marker, **legend}
