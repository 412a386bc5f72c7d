from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic import Wanted, write_study

from study.report.page import make
from study.report.section import Report
from study.report.sections import answer, limits

Made = Callable[[str], Report]


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("validation only", "not evaluated"),
        ("one family failed", "absent family"),
        ("two seeds", "few seeds"),
        ("test opened twice", "test reused"),
        ("unequal budgets", "unequal budget"),
        ("clear win", "one search"),
        ("two searches", "few searches"),
        ("five searches", "shared images"),
        ("too close", "small gap"),
        ("non-finite", "non-finite"),
    ],
)
def test_a_limit_is_raised_where_it_holds(name: str, flag: str, case_made: Made) -> None:
    assert flag in [item.flag for item in case_made(name)[limits].items]


def test_of_several_searches_the_gap_is_that_of_the_families(tmp_path: Path) -> None:
    accuracy = {"cnn": 0.99, "mlp": 0.988}  # over 0.2 points apart in search 1, under 0.1 in the second
    report = make(write_study(tmp_path / "two", Wanted(accuracy=accuracy, trials=6, repeats=2)))
    (text,) = [item.text for item in report[limits].items if item.flag == "small gap"]
    assert text.startswith("The gap of 0.1")


def test_an_empty_study_has_one_limit(case_made: Made) -> None:
    report = case_made("empty")
    assert "not evaluated" in [item.flag for item in report[limits].items]
    assert "few seeds" not in [item.flag for item in report[limits].items]


def test_a_small_gap_that_was_decided_is_no_limit(case_made: Made) -> None:
    report = case_made("small win")
    pair = report[answer].pair
    assert pair is not None
    assert pair.pair.verdict.better is not None
    assert "small gap" not in [item.flag for item in report[limits].items]
