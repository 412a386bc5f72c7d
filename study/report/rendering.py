"""The report's page from its numbers: which charts stand in which section, Optuna's figures among them."""

from __future__ import annotations

from typing import Any

from study.report import cells, evaluation_figures, figures, history, wording
from study.report.charts import Chart
from study.report.section import Place, Report
from study.report.template import Shown, body, fill, macros

Record = dict[str, Any]

OPTUNA_TITLES = {
    "history": "Optimization history of {}: each completed trial and the best so far",
    "parallel": "Parallel coordinates of {}: one line per {}",
    "slice": "Slices of {}: validation accuracy against each parameter, one point per {}",
}
HEIGHTS = {"history": 360, "parallel": 420, "slice": 340}


def render(report: Report) -> str:
    """The whole page as one string, with the installed plotly inside."""
    old, charts = _old_sections(report), all_charts(report)
    parts = [
        _shown(report, place, old, charts[place.name])
        for place in report.places[1:]
        if report.old[place.name] is not None
    ]
    return fill(f"{report.old['header']['name']} – study report", old.masthead(), parts, "report.json")


def _shown(report: Report, place: Place, old: Any, charts: list[Chart]) -> Shown:
    finding = report.finding(place)
    if place.section is None:
        text = getattr(old, place.name)()
    else:
        values = {"found": report[place.section], "finding": finding, "charts": charts, "report": report.old}
        text = body(f"sections/{place.name}.html.j2", **values)
    return Shown(place.name, report.number(place.name), place.title, place.is_open, finding, text, charts)


def _old_sections(report: Report) -> Any:
    return macros(
        "sections.html.j2",
        cells.FUNCTIONS,
        charts=_old_charts(report.old),
        report=report.old,
        findings=report.old["findings"],
        families=[row["family"] for row in report.old["families"]["families"]],
    )


def all_charts(report: Report) -> dict[str, list[Chart]]:
    """Section -> its charts in order; those without data are left out."""
    old = _old_charts(report.old)
    found = {place.name: report.charts(place) or old.get(place.name, []) for place in report.places}
    for name, charts in old.items():
        if name.startswith(("mattered-", "ablation-")):
            found["mattered"] += charts
    return found


def _old_charts(report: Record) -> dict[str, list[Chart]]:
    """Section -> its charts in order; those without data are left out."""
    groups: dict[str, list[Chart | None]] = {
        "protocol": [figures.class_counts(report)],
        "fair": [figures.tuning(report, "seconds"), figures.tuning(report, "trials"), figures.expected_max(report)],
        "health": [figures.timeline(report)],
        "searches": [evaluation_figures.searches(report)],
    }
    for place, family in enumerate(report["mattered"]["families"]):
        groups[f"mattered-{place}"] = [figures.importance(report, family, place), *_optuna(report, family, place)]
        groups[f"ablation-{place}"] = [evaluation_figures.ablation(report, family, place)]
    return {name: [chart for chart in group if chart is not None] for name, group in groups.items()}


def _optuna(report: Record, family: str, place: int) -> list[Chart]:
    entry = report["mattered"]["families"][family]
    rung = entry["importance_examples"]
    trials = [history.Shown(row["state"], row["value"], row["parameters"]) for row in entry["trials"]]
    at_rung = [history.Shown("COMPLETE", row["rung_accuracy"], row["parameters"]) for row in entry["trials"]]
    reached = trials if rung is None else [trial for trial in at_rung if trial.value is not None]
    each = "completed trial" if rung is None else f"trial, its value after {wording.integer(rung)} examples"
    drawn = history.figures(trials, reached, entry["distributions"], list(entry["importances"] or []))
    columns, rows = _trial_table(entry)
    charts = []
    for kind, figure in drawn.items():
        figure["layout"]["height"] = HEIGHTS[kind]
        title = OPTUNA_TITLES[kind].format(family, each)
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
