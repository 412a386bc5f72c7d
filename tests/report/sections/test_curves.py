from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from made import page_of
from synthetic import Wanted, without_runs_of_their_own, write_study

from study.report.sections.curves import LearningCurve


def test_the_last_losses_are_those_that_were_taken_together() -> None:
    curve = LearningCurve("a", "candidate", (1.0, 2.0, 3.0), (0.5, 0.4, 0.3), (0.6, 0.5, None))
    assert curve.last_losses == (0.4, 0.5)
    assert LearningCurve("a", "final", (1.0,), (0.5,), (None,)).last_losses is None


def test_finalists_without_runs_of_their_own_have_a_validation_loss(
    tmp_path: Path, case_page: Callable[[str], str]
) -> None:
    no_loss = "Final runs have no validation loss"
    assert no_loss in case_page("clear win")
    page = page_of(without_runs_of_their_own(write_study(tmp_path / "short", Wanted(seeds=1, candidates=1))))
    assert no_loss not in page
    assert "dotted ones the validation loss" in page
