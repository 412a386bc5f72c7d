"""The report of a study's folder, as tests look at it."""

from __future__ import annotations

from typing import Any

from study.records.paths import StudyFiles
from study.report.charts import Chart
from study.report.page import make, numbers_of
from study.report.rendering import all_charts, render
from study.report.section import Report


def build(files: StudyFiles) -> dict[str, Any]:
    """Its numbers, as report.json has them."""
    return numbers_of(make(files))


def page_of(files: StudyFiles) -> str:
    return render(make(files))


def charts_of(report: Report) -> list[Chart]:
    return [chart for group in all_charts(report).values() for chart in group]
