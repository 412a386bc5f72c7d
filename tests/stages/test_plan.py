from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from trials import trial

from study.records.ledger import Goal, Ledger
from study.records.settings import RetrainSettings
from study.records.trial import Rung, TrialRecord
from study.stages.goal import asked_goal
from study.stages.ladder import choose_ladder
from study.stages.plan import (
    PartsOfRuns,
    RunCost,
    SearchPlan,
    Used,
    at_least,
    equal_allowance,
    examine_seconds,
    parts_of_runs,
    report_seconds,
    retrain_settings,
    run_cost,
    run_lengths,
    search_seconds,
)
from study.stages.request import Request

N_TRAIN = 50_000


def test_the_search_gets_at_least_two_fifths() -> None:
    assert all(search_seconds(budget) >= 0.4 * budget for budget in (10.0, 60.0, 300.0, 3600.0))


@pytest.mark.parametrize("budget", [15.0, 30.0, 60.0, 300.0, 3600.0])
def test_every_stage_finds_room_in_the_budget(budget: float) -> None:
    assert search_seconds(budget) + report_seconds(budget) + examine_seconds(budget) < budget


def timed(*rungs: tuple[int, float]) -> TrialRecord:
    """A trial with these examples and seconds of training at its rungs."""
    found = tuple(Rung(examples, 0.9, 0.5, 1.0, seconds) for examples, seconds in rungs)
    return trial(0, rungs=found, training_seconds=rungs[-1][1])


def test_what_a_first_batch_costs_is_not_planned_for() -> None:
    trials = [timed((1000, 1.5), (3000, 2.5), (9000, 5.5)), timed((1000, 0.5))]
    assert run_cost(trials, RetrainSettings()).speeds == [2000.0, 2000.0]


def test_a_trial_of_an_older_study_counts_as_a_whole() -> None:
    old = trial(0, rungs=(Rung(1000, 0.8, 0.5), Rung(3000, 0.9, 0.5)), training_seconds=3.0)
    assert run_cost([old], RetrainSettings()).speeds == [1000.0]


@pytest.mark.parametrize("budget", [15.0, 60.0, 180.0])
def test_without_the_seconds_for_a_verdict_a_family_has_one_run(budget: float) -> None:
    short, two, full, timeless = (retrain_settings(seconds, 2, 2) for seconds in (budget, 300.0, 600.0, None))
    assert (short.candidates, short.candidate_seeds, short.final_seeds) == (1, 1, 0)
    assert (two.candidates, two.candidate_seeds, two.final_seeds) == (2, 1, 3)
    assert (full.candidates, full.candidate_seeds, full.final_seeds) == (3, 1, 3)
    assert timeless == full


@pytest.mark.parametrize(
    ("budget", "n_searches"), [(300.0, 1), (899.0, 1), (900.0, 3), (3600.0, 5), (43_200.0, 8), (86_400.0, 14)]
)
def test_a_budget_for_a_verdict_is_divided_among_searches(budget: float, n_searches: int) -> None:
    def goal(**asked: Any) -> Goal:
        return asked_goal(Request("study run", 0.0, budget=budget, **asked), asked.get("families") or ("cnn", "mlp"))

    assert goal() == Goal(budget=budget, families=("cnn", "mlp"), n_searches=n_searches)
    assert goal(repeats=2).n_searches == 2
    assert goal(n_trials=9).n_searches == 1
    assert goal(imported_from="other").n_searches == 1
    assert goal(families=("cnn",)).n_searches == 1


def test_a_study_keeps_its_number_of_searches() -> None:
    before = Ledger(goal=Goal(budget=300.0, families=("cnn", "mlp")), n_searches=1)
    for budget in (None, 3600.0):
        request = Request("study run", 0.0, budget=budget)
        assert asked_goal(request, ("cnn", "mlp"), before).n_searches == 1
        assert asked_goal(replace(request, repeats=3), ("cnn", "mlp"), before).n_searches == 3


def test_searches_keep_what_follows_them_in_equal_parts() -> None:
    one, three = (SearchPlan(Goal(budget=300.0, n_searches=n)).closing_seconds for n in (1, 3))
    assert one == pytest.approx(3 * (three or 0.0))


def test_the_first_search_trains_what_was_given_and_every_search_gives_its_part() -> None:
    one_run = RetrainSettings(candidates=1, candidate_seeds=1, final_seeds=0)
    for n_searches in (1, 3):
        parts = parts_of_runs(one_run, n_searches, n_beside=1.0)
        assert parts.first + (n_searches - 1) * parts.further == pytest.approx(n_searches)
        assert parts.first == pytest.approx(2 * parts.further)  # a given run beside each found one
    assert parts_of_runs(one_run, 3, n_beside=0.0) == PartsOfRuns(1.0, 1.0)
    full = parts_of_runs(RetrainSettings(), 3, n_beside=1.0)
    assert full.first / full.further == pytest.approx(7 / 6)


def test_one_run_a_family_gets_all_the_seconds_of_a_worker() -> None:
    costs = {"mlp": RunCost([1000.0], 1, 0), "cnn": RunCost([100.0], 1, 0)}
    lengths = run_lengths(costs, 50.0, 2, 10_000)
    assert lengths["cnn"][0] / 100 == pytest.approx(lengths["mlp"][0] / 1000, rel=0.02)
    assert 46 < lengths["cnn"][0] / 100 < 50


@pytest.mark.parametrize(
    ("n_workers", "n_families", "final_seeds"), [(6, 2, 3), (16, 2, 3), (5, 2, 0), (6, 3, 0), (3, 1, 3)]
)
def test_runs_that_fit_side_by_side_are_all_made(n_workers: int, n_families: int, final_seeds: int) -> None:
    assert retrain_settings(30.0, n_workers, n_families).final_seeds == final_seeds


def test_a_budget_that_grows_adds_candidates_and_seeds_and_a_smaller_one_takes_none() -> None:
    short, full = retrain_settings(30.0, 2, 2), retrain_settings(300.0, 2, 2)
    assert at_least(short, full) == full
    assert at_least(full, short) == full


@pytest.mark.parametrize(
    ("spent", "seconds", "level"),
    [
        ({"a": 0.0, "b": 0.0}, 100.0, 50.0),
        ({"a": 0.0, "b": 10.0}, 30.0, 20.0),
        ({"a": 0.0, "b": 10.0}, 5.0, 5.0),  # the newcomer catches up first
        ({"a": 3.0, "b": 9.0, "c": 0.0}, 30.0, 14.0),
        ({"a": 7.0}, 3.0, 10.0),
        ({"a": 5.0, "b": 8.0}, 0.0, 5.0),
    ],
)
def test_the_allowance_is_one_level_for_all(spent: dict[str, float], seconds: float, level: float) -> None:
    assert equal_allowance(spent, seconds) == pytest.approx(level)
    assert sum(max(0.0, level - before) for before in spent.values()) == pytest.approx(seconds)


def test_no_family_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no family"):
        equal_allowance({}, 10.0)


def test_less_than_a_core_needs_more_time_for_what_comes_last() -> None:
    assert report_seconds(60.0, 0.5) == 2 * report_seconds(60.0)


COSTS = {"fast": RunCost([40_000.0, 30_000.0, 20_000.0], 1, 3), "slow": RunCost([9_000.0, 8_000.0, 10_000.0], 1, 3)}


def worker_seconds(plan: dict[str, tuple[int, ...]]) -> float:
    return sum(sum(cost.seconds(plan[family])) for family, cost in COSTS.items())


@pytest.mark.parametrize("n_workers", [1, 2, 4])
@pytest.mark.parametrize("seconds", [60.0, 150.0, 600.0])
def test_retraining_fits_into_its_time_and_uses_it(n_workers: int, seconds: float) -> None:
    plan = run_lengths(COSTS, seconds, n_workers, N_TRAIN)
    total = worker_seconds(plan)
    assert total <= seconds * n_workers
    assert plan["slow"][0] >= 199 * N_TRAIN or total >= 0.5 * seconds * n_workers


@pytest.mark.parametrize(("candidates", "final_seeds"), [(1, 1), (2, 1), (3, 3)])
@pytest.mark.parametrize("seconds", [20.0, 76.0, 190.0])
def test_two_families_leave_no_worker_idle_for_a_run(candidates: int, final_seeds: int, seconds: float) -> None:
    """Runs of equal seconds on two workers: rounds of two, if no family's candidates wait for another's final runs."""
    speeds = {"a": [23_616.0, 13_062.0, 17_001.0], "b": [3_219.0, 4_337.0, 9_002.0]}
    costs = {family: RunCost(found[:candidates], 1, final_seeds) for family, found in speeds.items()}
    plan = run_lengths(costs, seconds, 2, N_TRAIN)
    total = sum(sum(cost.seconds(plan[family])) for family, cost in costs.items())
    assert total >= 0.95 * 2 * seconds


def test_more_time_never_shortens_a_run() -> None:
    plans = [run_lengths(COSTS, seconds, 2, N_TRAIN)["fast"][0] for seconds in (1.0, 10.0, 100.0, 1000.0, 1e6)]
    assert plans == sorted(plans)
    assert plans[0] == N_TRAIN // 10
    assert plans[-1] >= 199 * N_TRAIN


def test_every_run_gets_the_same_seconds() -> None:
    costs = {"fast": RunCost([40_000.0, 20_000.0, 5_000.0], 1, 3), "slow": RunCost([10_000.0, 2_500.0], 1, 3)}
    plan = run_lengths(costs, 120.0, 2, N_TRAIN)
    taken = [run for family, cost in costs.items() for run in cost.seconds(plan[family])]
    assert taken == pytest.approx([taken[0]] * 11, rel=1e-3)
    alone = run_lengths({"slow": RunCost([10_000.0], 1, 3)}, 120.0, 2, N_TRAIN)
    joined = run_lengths({"slow": RunCost([10_000.0, 1_000.0], 1, 3)}, 120.0, 2, N_TRAIN)
    assert joined["slow"][0] >= 0.7 * alone["slow"][0]  # one crawling network does not cripple the others


def test_a_long_run_ends_at_the_same_number_of_epochs_for_all() -> None:
    assert {n for lengths in run_lengths(COSTS, 1e6, 2, N_TRAIN).values() for n in lengths} == {200 * N_TRAIN}


GOAL = Goal(budget=600.0, families=("cnn", "mlp"), n_searches=2)


def test_a_search_ends_when_its_seconds_of_its_share_are_used_up() -> None:
    fresh, begun = SearchPlan(GOAL), SearchPlan(GOAL, Used(60.0, 40.0))
    assert fresh.search_deadline(1000.0) == 1000.0 + search_seconds(300.0)
    assert begun.search_deadline(1000.0) == 1000.0 + search_seconds(300.0) - 40.0
    assert SearchPlan(Goal(n_trials=4)).search_deadline(1000.0) is None


def test_a_first_trial_gets_its_chance_where_starting_up_has_used_it_all() -> None:
    assert SearchPlan(GOAL, Used(400.0)).search_wall == 2.0
    assert SearchPlan(GOAL, Used(400.0, searched=True)).search_wall == 0.0
    assert SearchPlan(GOAL, Used(250.0)).search_wall == 0.75 * (300.0 - 250.0 - report_seconds(600.0) / 2)


def test_what_a_search_leaves_is_for_the_runs() -> None:
    left = SearchPlan(GOAL, Used(10.0)).after_whole_search()
    assert left.used == Used(10.0 + search_seconds(300.0), search_seconds(300.0), searched=True)
    assert left.retrain_seconds() == pytest.approx(290.0 - search_seconds(300.0) - (left.closing_seconds or 0.0))
    assert left.retrain_seconds(20.0) == 20.0
    assert SearchPlan(GOAL, Used(299.0)).retrain_seconds() == 1.0


def test_a_slow_core_leaves_less_for_the_runs() -> None:
    fast, slow = (SearchPlan(GOAL, core_share=share).seconds_for_runs or 0.0 for share in (1.0, 0.5))
    assert fast - slow == report_seconds(600.0) / 2


def test_without_a_budget_no_time_is_planned() -> None:
    plan = SearchPlan(Goal(n_trials=4, families=("mlp",)))
    found = (plan.search_wall, plan.allowance({"mlp": 1.0}, 2), plan.retrain_seconds(), plan.closing_seconds)
    assert found == (None,) * 4
    ladder = plan.ladder(N_TRAIN, 10_000.0, None, n_workers=2, n_at_once=2)
    assert ladder == choose_ladder(N_TRAIN, None, None).model_copy(update={"images": 15_000})


@pytest.mark.parametrize(
    ("budget", "n_searches", "n_workers", "share"),
    [
        (300.0, 1, 2, 0.2),
        (300.0, 1, 64, 0.6),
        (36_000.0, 1, 2, 0.2),
        (900.0, 3, 2, 0.2),
        (900.0, 3, 16, 0.3),
        (900.0, 3, 64, 0.2),
    ],
)
def test_where_runs_are_hardly_longer_than_trials_these_learn_from_more_images(
    budget: float, n_searches: int, n_workers: int, share: float
) -> None:
    plan = SearchPlan(Goal(budget=budget, families=("mlp", "cnn"), n_searches=n_searches))
    allowance = plan.allowance({"mlp": 0.0, "cnn": 0.0}, n_workers)
    ladder = plan.ladder(N_TRAIN, 10_000.0, allowance, n_workers=n_workers, n_at_once=n_workers)
    assert ladder.images == share * N_TRAIN
    assert ladder.model_copy(update={"images": None}) == choose_ladder(N_TRAIN, 10_000.0, allowance, plan.search_wall)
