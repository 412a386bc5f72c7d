"""The report's page from its numbers: which charts stand in which section, Optuna's figures among them."""

from __future__ import annotations

from typing import Any

from study.report.charts import Chart
from study.report.section import Place, Report
from study.report.template import Shown, body, fill, macros

Record = dict[str, Any]


def render(report: Report) -> str:
    """The whole page as one string, with the installed plotly inside."""
    old = _old_sections(report)
    top, *others = [_shown(report, place, old) for place in report.places if report.old[place.name] is not None]
    return fill(f"{report.study.settings.name} – study report", top.body, others, "report.json")


def _shown(report: Report, place: Place, old: Any) -> Shown:
    finding, charts = report.finding(place), report.charts(place)
    if place.section is None:
        text = getattr(old, place.name)()
    else:
        values = {"found": report[place.section], "finding": finding, "charts": charts, "report": report.old}
        text = body(f"sections/{place.name}.html.j2", **values)
    return Shown(place.name, report.number(place.name), place.title, place.is_open, finding, text, charts)


def _old_sections(report: Report) -> Any:
    return macros(
        "sections.html.j2",
        {},
        report=report.old,
        findings=report.old["findings"],
        families=[row["family"] for row in report.old["families"]["families"]],
    )


def all_charts(report: Report) -> dict[str, list[Chart]]:
    """Section -> its charts in order; those without data are left out."""
    return {place.name: report.charts(place) for place in report.places}
