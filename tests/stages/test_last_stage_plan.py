"""What a budget has for a last stage."""

from __future__ import annotations

import pytest

from study.records.ledger import Goal
from study.stages.agenda import Agenda
from study.stages.last_stage_plan import last_stage_examples, last_stage_seconds
from study.stages.plan import SearchPlan


def test_short_budgets_have_none_and_long_ones_no_more_than_it_needs() -> None:
    seconds = [last_stage_seconds(budget) for budget in (None, 60.0, 239.0, 240.0, 300.0, 36_000.0)]
    assert seconds == pytest.approx([0, 0, 0, 48, 60, 1800])


def test_its_length_follows_the_run_the_budget_and_the_speed() -> None:
    most = 10_000_000.0
    assert last_stage_examples(None, 1_000_000, 1.0, 2, most) == 2_000_000
    assert last_stage_examples(None, 9_999, 9_000.0, 1, most) == 0  # of a run too short to tell
    assert last_stage_examples(None, 1_000_000, 9_000.0, 1, 1_500_000.0) == 1_500_000
    assert last_stage_examples(None, 1_000_000, 9_000.0, 1, 1_000_000.0) == 1_200_000  # longer than the run in any case
    assert (
        last_stage_examples(60.0, 100_000, 9_000.0, 1, most) == last_stage_examples(300.0, 90_000, 500.0, 1, most) == 0
    )
    found = [last_stage_examples(400.0, 100_000, 6_000.0, rounds, most) for rounds in (1, 2)]
    assert found == pytest.approx([0.85 * 80 / rounds / (1 / 6_000 + 1.5e-5) for rounds in (1, 2)], abs=1)


def test_the_plan_keeps_its_seconds_and_the_clock_knows_of_them() -> None:
    goal = Goal(budget=300.0, n_searches=3)
    without, keeping = (SearchPlan(goal, last_stage=kept).closing_seconds or 0.0 for kept in (False, True))
    assert keeping - without == pytest.approx(last_stage_seconds(300.0) / 3)
    agenda = Agenda(goal, evaluates=True, last_stage=True)
    assert agenda.after_retraining(3) == pytest.approx(3 * keeping)
    assert agenda.after_last_stage() == pytest.approx(3 * without)
    assert Agenda(goal, evaluates=None, last_stage=True).after_last_stage() == 0.0
