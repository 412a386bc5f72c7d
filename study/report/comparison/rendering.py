"""The comparison's page: each section's template with what the section found."""

from __future__ import annotations

from study.report.comparison.compared import Compared
from study.report.section import Place
from study.report.template import Shown, body, fill
from study.report.wording import listing


def render(compared: Compared, numbers_file: str) -> str:
    """The whole page as one string; `numbers_file` is the name of the file beside it that holds its numbers."""
    names = compared.labels
    masthead = body("comparison/masthead.html.j2", names=names, written=compared.written)
    parts = [_shown(compared, place) for place in compared.places]
    return fill(f"{listing(names)} – comparison of studies", masthead, parts, numbers_file)


def _shown(compared: Compared, place: Place) -> Shown:
    finding, charts = compared.finding(place), compared.charts(place)
    values = {"found": compared[place.section], "finding": finding, "charts": charts}
    text = body(f"comparison/sections/{place.name}.html.j2", **values)
    return Shown(place.name, compared.number(place.name), place.title, place.is_open, finding, text, charts)
