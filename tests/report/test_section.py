from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from study.report.charts import Chart
from study.report.page import SECTIONS
from study.report.section import Place, Report


def section(asked: list[str], name: str, other: Any = None) -> Any:
    """A section that notes when it is asked for its numbers, and asks another one first."""

    def numbers(study: Any, before: Report) -> str:
        asked.append(name)
        return name if other is None else f"{name} after {before[other]}"

    chart = Chart(name, "A chart.", {}, (), [], tells_finding=True)
    made: Any = ModuleType(name)
    made.numbers, made.finding, made.charts = numbers, lambda found, before: f"found {found}", lambda found: [chart]
    return made


def test_a_section_is_computed_once_when_it_is_first_asked_for() -> None:
    asked: list[str] = []
    last = section(asked, "last")
    report = Report(None, [Place("first", section(asked, "first", last), "First"), Place("last", last, "Last")])  # type: ignore[arg-type]
    assert [report.finding(place) for place in report.shown] == ["found first after last", "found last"]
    assert asked == ["first", "last"]


def test_a_chart_that_tells_the_finding_ends_with_it() -> None:
    place = Place("one", section([], "one"), "One")
    (chart,) = Report(None, [place]).charts(place)  # type: ignore[arg-type]
    assert chart.label == "A chart. found one"


def test_a_section_is_cited_by_name_with_its_place() -> None:
    report = Report(None, SECTIONS)  # type: ignore[arg-type]
    assert [report.section(name) for name in ("header", "answer", "mattered")] == [
        "top of the page",
        "section 1",
        "section 14",
    ]
    with pytest.raises(StopIteration):
        report.number("no such section")


@pytest.mark.parametrize("place", SECTIONS, ids=lambda place: place.name)
def test_a_section_is_a_module_of_its_name_with_a_template_beside_it(place: Place) -> None:
    source = Path(inspect.getfile(place.section))  # type: ignore[arg-type]
    assert source.stem == place.name
    assert source.with_suffix(".html.j2").is_file()
