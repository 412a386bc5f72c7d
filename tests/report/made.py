"""The report of a study's folder, as tests look at it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from study.records.paths import StudyFiles
from study.report.charts import Chart
from study.report.comparison.entries import read_entries
from study.report.comparison.page import make as make_comparison
from study.report.comparison.page import numbers_of as compared_numbers
from study.report.page import make, numbers_of
from study.report.rendering import render
from study.report.section import Report


def build(files: StudyFiles) -> dict[str, Any]:
    """Its numbers, as report.json has them."""
    return numbers_of(make(files))


def page_of(files: StudyFiles) -> str:
    return render(make(files))


def charts_of(report: Report) -> list[Chart]:
    return [chart for place in report.shown for chart in report.charts(place)]


def compare(studies: Sequence[StudyFiles]) -> dict[str, Any]:
    """The numbers of a comparison, as its JSON has them."""
    return compared_numbers(make_comparison(read_entries(studies)))


def right(files: StudyFiles, family: str) -> NDArray[np.bool_]:
    """bool [S, N]: which seed of the finalist is right on which test image."""
    with np.load(files.predictions) as arrays:
        seeds = [arrays[name] for name in sorted(arrays.files) if name.startswith(f"{family}-final")]
        return np.stack([logits.argmax(axis=1) == arrays["labels"] for logits in seeds])
