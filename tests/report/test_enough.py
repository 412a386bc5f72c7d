from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from study.report import enough
from study.report.section import Report


def test_twice_the_budget_is_answered_with_an_interval_or_not_at_all(case_made: Callable[[str], Report]) -> None:
    found = case_made("clear win")[enough]
    assert found is not None
    assert found.doubling is not None
    assert "finalist cnn #11" in found.sentence
    assert "95 % interval" in found.sentence
    assert "Unknown" in replace(found, doubling=None).sentence
    assert case_made("searching")[enough] is None
