from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from study.report.section import Report
from study.report.sections import header

Made = Callable[[str], Report]


def test_how_often_the_test_split_was_opened_names_who_opened_it(case_made: Made) -> None:
    found = case_made("clear win")[header]
    assert (found.opened, found.why_exploratory) == ("this study opened it once.", None)
    others = replace(found, openings_elsewhere=2, openings_of_user=5, exploratory=True)
    assert others.opened == (
        "this study opened it once, other studies of this results folder twice, all studies of this user 5 times with "
        "this one."
    )
    assert others.why_exploratory == f"Exploratory, because the test split had been opened before: {others.opened}"


def test_the_machine_is_written_as_far_as_it_is_known(case_made: Made) -> None:
    assert "gpu" not in case_made("clear win")[header].to_dict()["machine"]
