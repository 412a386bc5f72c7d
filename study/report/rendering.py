"""The page from the numbers: charts, Optuna's figures, plotly's script packed inside, Jinja2 with autoescape."""

from __future__ import annotations

import base64
import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from study.report import cells, evaluation_figures, figures, history, robustness_figures, wording
from study.report.figures import Chart

Record = dict[str, Any]

OPTUNA_TITLES = {
    "history": "Optimization history of {}: each completed trial and the best so far",
    "parallel": "Parallel coordinates of {}: one line per completed trial",
    "slice": "Slices of {}: validation accuracy against each parameter",
}
HEIGHTS = {"history": 360, "parallel": 420, "slice": 340}
# Section id, number, title, whether it stands open.
TITLES = (
    ("answer", 1, "Answer in brief", True),
    ("protocol", 2, "Question, data, protocol", False),
    ("families", 3, "Families and search spaces", False),
    ("leaderboard", 4, "Leaderboard", True),
    ("fair", 5, "Fair comparison of the searches", False),
    ("pairwise", 6, "Pairwise tests", True),
    ("seeds", 7, "Spread between seeds", False),
    ("cost", 8, "Accuracy against cost", False),
    ("classes", 9, "Per class", True),
    ("hardest", 10, "Hardest images", False),
    ("calibration", 11, "Calibration and abstention", False),
    ("robustness", 12, "Robustness", True),
    ("curves", 13, "Learning curves", False),
    ("mattered", 14, "What mattered", False),
    ("health", 15, "Health of the search", False),
    ("limits", 16, "Limits", False),
    ("conclusion", 17, "Conclusion and future work", True),
    ("reproduce", 18, "Reproduce", False),
)
# Tags that plotly needs; everything else between angle brackets came from outside and is shown as text.
KEPT_TAGS = ("<br>", "<extra></extra>")


def render(report: Record) -> str:
    """The whole page as one string; it draws on nothing but `report` and the installed plotly."""
    charts = all_charts(report)
    packed = {chart.id: escaped(chart.figure) for group in charts.values() for chart in group}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        name: getattr(wording, name)
        for name in ("percent", "points", "interval", "point_interval", "p_value", "integer", "compact", "duration")
    }
    environment.filters["shown"] = wording.plain
    environment.globals |= cells.FUNCTIONS
    return environment.get_template("page.html.j2").render(
        report=report,
        charts=charts,
        titles=TITLES,
        families=[row["family"] for row in report["families"]["families"]],
        plotly=packed_plotly() if packed else "",
        figures=pack(json.dumps(packed, allow_nan=False)),
        count=wording.count,
        listing=wording.listing,
    )


def all_charts(report: Record) -> dict[str, list[Chart]]:
    """Section -> its charts in order; those without data are left out."""
    classes = list(report["classes"]["families"])
    groups: dict[str, list[Chart | None]] = {
        "protocol": [figures.class_counts(report)],
        "fair": [figures.tuning(report, "seconds"), figures.tuning(report, "trials"), figures.expected_max(report)],
        "pairwise": [evaluation_figures.forest(report)],
        "seeds": [evaluation_figures.seeds(report)],
        "cost": [evaluation_figures.cost(report)],
        "classes": [evaluation_figures.confusion(report, family, place) for place, family in enumerate(classes)],
        "calibration": [evaluation_figures.reliability(report), evaluation_figures.risk(report)],
        "robustness": robustness_figures.charts(report),
        "curves": [figures.learning(report)],
        "health": [figures.timeline(report)],
    }
    for place, family in enumerate(report["mattered"]["families"]):
        groups[f"mattered-{place}"] = [figures.importance(report, family, place), *_optuna(report, family, place)]
    return {name: [chart for chart in group if chart is not None] for name, group in groups.items()}


def _optuna(report: Record, family: str, place: int) -> list[Chart]:
    entry = report["mattered"]["families"][family]
    drawn = history.figures(entry["trials"], entry["distributions"], list(entry["importances"] or []))
    columns, rows = _trial_table(entry)
    charts = []
    for kind, figure in drawn.items():
        figure["layout"]["height"] = HEIGHTS[kind]
        title = OPTUNA_TITLES[kind].format(family)
        # The trials' table is the data of all three figures; it stands under the first.
        charts.append(Chart(f"{kind}-{place}", title, figure, columns, rows if kind == "history" else []))
    return charts


def _trial_table(entry: Record) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    names = list(entry["distributions"])
    rows = [
        (
            f"#{trial['number']}",
            trial["state"],
            wording.percent(trial["value"]),
            *(wording.plain(trial["parameters"].get(name)) for name in names),
        )
        for trial in entry["trials"]
    ]
    return ("trial", "state", "validation", *names), rows


def escaped(value: Any) -> Any:
    """Strings of a figure with every angle bracket as text: plotly renders tags in labels, links included."""
    if isinstance(value, dict):
        return {escaped(key): escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [escaped(item) for item in value]
    return _escaped_text(value) if isinstance(value, str) else value


def _escaped_text(text: str) -> str:
    if "<" not in text and "&" not in text:
        return text
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for tag in KEPT_TAGS:
        text = text.replace(tag.replace("<", "&lt;").replace(">", "&gt;"), tag)
    return text


def pack(text: str) -> str:
    """gzip and base64: no angle bracket is left that could end a script element."""
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode("ascii")


@cache
def packed_plotly() -> str:
    from plotly.offline import get_plotlyjs

    return pack(get_plotlyjs())
