"""The report's page from its numbers: which charts stand in which section, Optuna's figures among them."""

from __future__ import annotations

from typing import Any

from study.report import cells, evaluation_figures, figures
from study.report.charts import Chart
from study.report.section import Place, Report
from study.report.template import Shown, body, fill, macros

Record = dict[str, Any]


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
    return {place.name: report.charts(place) or old.get(place.name, []) for place in report.places}


def _old_charts(report: Record) -> dict[str, list[Chart]]:
    """Section -> its charts in order; those without data are left out."""
    groups: dict[str, list[Chart | None]] = {
        "protocol": [figures.class_counts(report)],
        "searches": [evaluation_figures.searches(report)],
    }
    return {name: [chart for chart in group if chart is not None] for name, group in groups.items()}
