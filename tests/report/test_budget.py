from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import Wanted, write_study

from study.report import budget
from study.report.page import make


def test_budgets_one_trial_apart_are_equal(tmp_path: Path) -> None:
    found = make(write_study(tmp_path / "equal", Wanted(stage="searched")))[budget]
    assert (found.equalised, found.unequal) == ("seconds", False)
    uneven = Wanted(stage="searched", seconds={"cnn": 4.0, "mlp": 8.0})
    assert make(write_study(tmp_path / "uneven", uneven))[budget].unequal


@pytest.mark.parametrize("seconds", [4.0, 99.0])
def test_with_a_number_of_trials_alone_trials_are_what_is_equal(seconds: float, tmp_path: Path) -> None:
    wanted = Wanted(stage="searched", budget_s=None, n_trials=12, trials=12, seconds={"mlp": seconds})
    found = make(write_study(tmp_path / "counted", wanted))[budget]
    assert (found.equalised, found.gap, found.unequal) == ("trials", 0, False)
