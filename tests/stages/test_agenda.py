"""What follows a stage, by the budget's plan."""

from __future__ import annotations

import pytest

from study.records.ledger import Goal
from study.stages import plan as planner
from study.stages.agenda import Agenda
from study.stages.plan import SearchPlan, Used


def test_a_command_ends_with_its_budget_whatever_stage_it_is_in() -> None:
    agenda, budget = Agenda(Goal(budget=300.0), evaluates=True), 300.0
    wall = planner.search_seconds(budget)
    assert agenda.after_search(1, SearchPlan(agenda.goal)) == pytest.approx(budget - wall)
    closing = planner.report_seconds(budget) + planner.examine_seconds(budget)
    assert agenda.after_retraining(1) == pytest.approx(closing)
    half = agenda.half_report
    assert half is not None
    assert agenda.after_evaluation() == pytest.approx(closing - half)
    assert agenda.after_examination() == half


def test_what_earlier_commands_used_is_not_left() -> None:
    agenda = Agenda(Goal(budget=300.0), evaluates=True)
    assert agenda.after_search(1, SearchPlan(agenda.goal, Used(180.0, 86.0))) == pytest.approx(86)
    assert agenda.after_search(1, SearchPlan(agenda.goal, Used(299.0, 120.0))) == 0


def test_further_searches_are_counted_with_their_budgets() -> None:
    agenda = Agenda(Goal(budget=300.0, n_searches=3), evaluates=True)
    closing = planner.report_seconds(300.0) + planner.examine_seconds(300.0)
    assert agenda.after_search(1, SearchPlan(agenda.goal)) == pytest.approx(60 + 200)
    assert agenda.after_search(3, SearchPlan(agenda.goal)) == pytest.approx(60 + closing * 2 / 3)
    assert agenda.after_retraining(2) == pytest.approx(100 + closing * 2 / 3)
    assert agenda.after_retraining(3) == pytest.approx(closing)


def test_what_the_first_search_takes_of_the_others_shares_is_not_counted_twice() -> None:
    agenda = Agenda(Goal(budget=300.0, n_searches=3), evaluates=True)
    closing, ahead = planner.report_seconds(300.0) + planner.examine_seconds(300.0), 20.0
    assert agenda.after_retraining(1, ahead) == pytest.approx(200 + closing / 3 - ahead)
    assert agenda.after_search(2, SearchPlan(agenda.goal), ahead) == pytest.approx(60 + 100 + closing / 3 - ahead)
    assert agenda.after_retraining(2, ahead) == pytest.approx(100 + closing * 2 / 3 - ahead / 2)
    assert agenda.after_retraining(3, ahead) == pytest.approx(closing)
    assert agenda.ahead(100 - closing / 3 + ahead) == pytest.approx(ahead)
    assert agenda.ahead(60.0) == 0.0


def test_a_sealed_test_split_takes_no_time() -> None:
    agenda = Agenda(Goal(budget=300.0), evaluates=False)
    assert agenda.after_retraining(1) == agenda.half_report == 0.5 * planner.report_seconds(300.0)


def test_a_stage_alone_is_followed_by_nothing_but_its_further_searches() -> None:
    alone = Agenda(Goal(budget=300.0), evaluates=None)
    assert alone.after_search(1, SearchPlan(alone.goal, Used(174.0))) == 0
    assert alone.after_retraining(1) == alone.after_evaluation() == alone.after_examination() == 0
    three = Agenda(Goal(budget=300.0, n_searches=3), evaluates=None)
    assert three.after_search(2, SearchPlan(three.goal)) == planner.search_seconds(100.0)
    assert three.after_retraining(1) is None


def test_without_a_budget_nothing_is_known_of_what_follows() -> None:
    agenda = Agenda(Goal(n_trials=4, n_searches=2), evaluates=True)
    known = (
        agenda.after_search(1, SearchPlan(agenda.goal)),
        agenda.after_retraining(2),
        agenda.after_evaluation(),
        agenda.after_examination(),
        agenda.half_report,
    )
    assert known == (None,) * 5
