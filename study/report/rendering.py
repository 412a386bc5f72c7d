"""The report's page, section by section: each one's template with what the section found."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from study.report import explorer, halfway, pictures, repeated
from study.report.charts import Chart
from study.report.section import Place, Report
from study.report.template import Shown, body, fill


def render(report: Report) -> str:
    """The whole page as one string, with the installed plotly inside."""
    top, *sections = report.shown
    about = _about(report)
    parts = [_shown(report, place, about) for place in sections]
    title = f"{report.study.settings.name} – study report"
    return fill(title, _body(report, top, [], about), parts, "report.json")


def _about(report: Report) -> dict[str, Any]:
    """What every template may use beside its own section: what all sections found, by name."""
    parts: dict[str, Any] = {"pictures": report[pictures], "repeated": report[repeated], "explorer": report[explorer]}
    parts["halfway"] = report[halfway]
    found = {place.name: report[place.section] for place in report.places}
    findings = {place.name: report.finding(place) for place in report.shown}
    return {"report": {**parts, **found}, "findings": findings, "written": report.written}


def _shown(report: Report, place: Place, about: dict[str, Any]) -> Shown:
    charts = report.charts(place)
    text = _body(report, place, charts, about)
    return Shown(place.name, report.number(place.name), place.title, place.is_open, report.finding(place), text, charts)


def _body(report: Report, place: Place, charts: list[Chart], about: dict[str, Any]) -> Markup:
    own = {"found": report[place.section], "finding": report.finding(place), "charts": charts}
    return body(f"sections/{place.name}.html.j2", **own, **about)
