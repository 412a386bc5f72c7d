from __future__ import annotations

from collections.abc import Callable

from study.report.section import Report
from study.report.sections import robustness

Made = Callable[[str], Report]


def test_what_was_not_measured_is_said_to_be_missing(case_made: Made) -> None:
    report = case_made("clear win")
    assert robustness.finding(report[robustness], report).startswith("Not measured")
    assert robustness.charts(report[robustness]) == []


def test_the_blur_s_effects_are_put_in_words(case_made: Made) -> None:
    found = case_made("examined")[robustness]
    assert found.fallen("cnn") == "1 at 1.50"
    assert found.six_becomes("cnn") == "6 (29 % at 3)"
    assert found.skipped == ["fog 0.5"]
