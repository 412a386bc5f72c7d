"""A study that has finalists and gets more time: runs become longer or stay as long, never shorter, never fewer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import trials as invented
from runs import candidate, family_result
from trials import write_trials

from study.records.finalists import Finalists, write_finalists
from study.records.ledger import Command, Goal, Ledger
from study.records.made_of import digest_of_trials
from study.records.paths import StudyFiles
from study.records.settings import RetrainSettings, StudySettings
from study.records.trial import Rung, TrialRecord, read_trials
from study.stages import run_plan
from study.stages.agenda import Agenda
from study.stages.extension import settle_for_what_helps, unused_budget
from study.stages.held import Held, held_by
from study.stages.plan import SearchPlan, Used
from study.stages.run_plan import (
    RunPlan,
    hands_over_found,
    plan_runs,
    planned_runs,
    retrain_seconds,
    taken_of_others,
)
from study.stages.speed import Speed

SPEED = {"mlp": 20_000.0, "cnn": 5_000.0}  # examples a second
TOP_RUNG = 900
N_TRAIN = 50_000


def trial(family: str, number: int, value: float, speed: float = 1.0, config: int | None = None) -> TrialRecord:
    """A completed trial whose network is `speed` times as fast as its family's others."""
    seconds = TOP_RUNG / (SPEED[family] * speed)
    about = {"family": family, "config": {"family": family, "number": number if config is None else config}}
    return invented.trial(number, value, nll=1 - value, examples=TOP_RUNG, training_seconds=seconds, **about)


class Charged(Ledger):
    """The ledger of a search that has used so many seconds; nothing is written."""

    def charge(self, seconds: float) -> None:
        self.commands = [Command(command="study run", seconds=seconds)]

    def save(self) -> None: ...


class One:
    """A search as its plan sees it."""

    first = workers = None
    n_searches = 1
    n_workers = 2

    def __init__(self, session: Any, goal: Goal) -> None:
        self.session, self.goal = session, goal

    @property
    def plan(self) -> SearchPlan:
        return SearchPlan(self.goal, Used.of(self.session.ledger))

    @staticmethod
    def real_seconds(seconds: float) -> float:
        return seconds  # no search is beside it

    def reset_goal(self, goal: Goal) -> None:
        self.goal = goal


Make = Callable[..., Any]


@pytest.fixture
def make(files: StudyFiles, make_settings: Callable[..., StudySettings]) -> Make:
    """One search with these trials, whose finalists, if any, were trained on `had` examples by family and trial."""

    def search(
        trials: list[TrialRecord],
        had: dict[str, dict[int, int]] | None = None,
        budget: float | None = 85.0,
        used: float = 58.0,
        stored: RetrainSettings | None = None,
        reached: float | None = 60.0,
    ) -> Any:
        write_trials(files.trials_jsonl, trials)
        retrain = stored or RetrainSettings(candidates=1, candidate_seeds=1, final_seeds=1)
        settings = make_settings(retrain=retrain.model_dump())
        settings = settings.model_copy(update={"dataset": settings.dataset.model_copy(update={"n_train": N_TRAIN})})
        families = ["cnn", "mlp"]
        done = Goal(budget=reached, families=tuple(families))
        ledger = Charged(stages={"search": 25.0})
        ledger.charge(used)
        if had is not None:
            rows = {
                family: family_result(
                    *(candidate(number, family=family, examples=n) for number, n in known.items()),
                    final_runs=tuple(f"{family}-final-seed{seed}" for seed in range(retrain.final_seeds))
                    or (f"{family}-t{next(iter(known))}-seed0",),
                )
                for family, known in had.items()
            }
            write_finalists(files.finalists, Finalists(rows))
            ledger.reached = {"search": done, "retrain": done}
        session = SimpleNamespace(
            files=files, settings=settings, ledger=ledger, n_workers=2, n_at_once=2, families=list(settings.families)
        )
        return One(session, Goal(budget=budget, families=tuple(families)))

    return search


FIRST = [trial("mlp", 0, 0.90), trial("cnn", 0, 0.92)]
HAD = {"mlp": {0: 200_000}, "cnn": {0: 50_000}}  # 10 s each
BETTER = [*FIRST, trial("mlp", 1, 0.95), trial("cnn", 1, 0.96)]


def planned(one: Any) -> RunPlan:
    """For the trials that are there."""
    return plan_runs(one, read_trials(one.session.files.trials_jsonl))


def lengths(plan: RunPlan) -> dict[str, dict[int, int]]:
    return {
        family: {one.number: n for one, n in zip(chosen, plan.lengths[family], strict=True)}
        for family, chosen in plan.candidates.items()
    }


def test_too_little_time_keeps_the_finalists_and_their_runs(make: Make) -> None:
    one = make(BETTER, HAD, used=75.0)
    plan = planned(one)
    assert lengths(plan) == HAD
    assert (plan.retrain.candidates, plan.retrain.final_seeds) == (1, 1)
    assert plan.note is not None
    assert "the finalists stay as they are" in plan.note


def test_time_for_the_new_candidates_trains_them_as_long_as_the_old_ones_which_stay_in_the_running(make: Make) -> None:
    one = make(BETTER, HAD, budget=120.0, used=80.0)  # 22 s on two workers: two rounds of 10 s, and not three
    plan = planned(one)
    assert lengths(plan) == {"mlp": {1: 200_000, 0: 200_000}, "cnn": {1: 50_000, 0: 50_000}}
    assert plan.note is None


def test_another_trial_of_the_finalist_s_configuration_is_no_other_candidate(make: Make) -> None:
    trials = [*FIRST, trial("mlp", 1, 0.95, config=0), trial("cnn", 1, 0.96)]
    plan = planned(make(trials, HAD, budget=120.0, used=80.0))
    assert lengths(plan) == {"mlp": {0: 200_000}, "cnn": {1: 50_000, 0: 50_000}}


def test_a_network_twice_as_fast_sees_twice_the_examples_in_runs_as_long(make: Make) -> None:
    trials = [*FIRST, trial("mlp", 1, 0.95, speed=2.0), trial("cnn", 1, 0.96)]
    plan = planned(make(trials, HAD, budget=120.0, used=80.0))
    assert lengths(plan)["mlp"] == {1: 400_000, 0: 200_000}


@pytest.mark.parametrize(("equal", "chosen"), [("seconds", 0), ("examples", 1)])
def test_of_what_was_given_the_best_trial_is_trained_after_equal_seconds_after_equal_examples_the_fastest_to_fall(
    equal: str, chosen: int, make: Make
) -> None:
    slow, fast = (
        replace(
            trial("mlp", number, value, speed), role="warm_start", rungs=(Rung(300, 0.8, 0.5), Rung(900, value, 0.3))
        )
        for number, value, speed in ((0, 0.900, 0.2), (1, 0.899, 5.0))
    )
    one = make([slow, fast, trial("cnn", 0, 0.92)], reached=None)
    families = {
        name: family.model_copy(update={"ladder": family.ladder.model_copy(update={"equal": equal})})
        for name, family in one.session.settings.families.items()
    }
    one.session.settings = one.session.settings.model_copy(update={"families": families, "given": "apart"})
    assert [trial.number for trial in planned(one).candidates["mlp"]] == [chosen]


def test_much_more_time_makes_all_runs_longer(make: Make) -> None:
    plan = planned(make(BETTER, HAD, budget=600.0, used=100.0))
    found = lengths(plan)
    assert (plan.retrain.candidates, plan.retrain.final_seeds) == (3, 3)
    assert all(found[family][number] > HAD[family][0] for family in HAD for number in (0, 1))


def test_what_measuring_the_speeds_took_is_not_planned_for_runs(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are measured where runs leave workers idle, as on a GPU of sixteen workers."""
    plans = []
    for seconds in (0.0, 6.0):
        one = make(FIRST, budget=100.0, used=58.0, reached=None)
        one.n_workers, one.executor = 16, None

        def measured(
            _: object, configs: Sequence[Mapping[str, Any]], one: Any = one, took: float = seconds
        ) -> list[Speed]:
            one.session.ledger.charge(58.0 + took)
            return [Speed(SPEED[config["family"]]) for config in configs]

        monkeypatch.setattr(run_plan, "run_speeds", measured)
        plans.append(planned(one))
    quick, slow = plans
    assert (quick.seconds or 0.0) - (slow.seconds or 0.0) == pytest.approx(6.0)
    for family, rate in SPEED.items():  # a candidate's run and then a final one
        shorter = quick.lengths[family][0] - slow.lengths[family][0]
        assert shorter == pytest.approx(0.97 * 6.0 / 2 * rate, rel=0.05)


ONE_RUN = RetrainSettings(candidates=1, candidate_seeds=1, final_seeds=0)


def test_a_budget_for_a_verdict_trains_the_finalists_of_a_short_one_on_all_images_too(make: Make) -> None:
    plan = planned(make(BETTER, HAD, budget=600.0, used=100.0, stored=ONE_RUN))
    assert (plan.retrain.candidates, plan.retrain.final_seeds) == (3, 3)
    assert all(lengths(plan)[family][number] > HAD[family][0] for family in HAD for number in (0, 1))


def test_a_short_budget_that_grows_a_little_trains_the_new_candidate_as_long_as_the_old_one(make: Make) -> None:
    plan = planned(make(BETTER, HAD, budget=100.0, used=73.0, stored=ONE_RUN))
    assert lengths(plan) == {"mlp": {1: 200_000, 0: 200_000}, "cnn": {1: 50_000, 0: 50_000}}
    assert plan.retrain == ONE_RUN


GIVEN = [
    replace(trial("mlp", 7, 0.97), role="warm_start"),
    replace(trial("mlp", 8, 0.91), role="warm_start"),
    replace(trial("cnn", 7, 0.90), role="warm_start"),
]


def given_apart(one: Any) -> Any:
    one.session.settings = one.session.settings.model_copy(update={"given": "apart"})
    return one


@pytest.mark.parametrize(("n_searches", "more"), [(1, [8]), (3, [])])
def test_the_best_given_configuration_is_trained_beside_what_was_found(
    make: Make, n_searches: int, more: list[int]
) -> None:
    one = given_apart(make([*FIRST, *GIVEN], budget=600.0, used=260.0, stored=ONE_RUN, reached=None))
    one.n_searches = n_searches
    chosen = {family: [one.number for one in trials] for family, trials in planned(one).candidates.items()}
    # The found one first, though a given one is better; of one search the next best of both, too.
    assert chosen == {"mlp": [0, 7, *more], "cnn": [0, 7]}


def test_a_study_that_grows_to_several_searches_trains_what_its_first_one_found(make: Make) -> None:
    had = {"mlp": {7: 200_000}, "cnn": {0: 50_000}}  # 10 s each, of the better of both
    one = given_apart(make([*FIRST, *GIVEN], had, budget=60.0, used=59.0, stored=ONE_RUN))
    assert hands_over_found(one)
    one.n_searches = 3
    assert not hands_over_found(one)
    plan = planned(one)
    assert lengths(plan) == {"mlp": {0: 200_000, 7: 200_000}, "cnn": {0: 50_000, 7: 50_000}}
    assert plan.note is None


def test_of_several_searches_the_first_trains_the_first_that_it_drew_beside_what_it_found(make: Make) -> None:
    one = given_apart(make([*BETTER, *GIVEN], budget=900.0, used=120.0, stored=ONE_RUN, reached=None))
    one.n_searches, one.goal = 3, one.goal.model_copy(update={"n_searches": 3})
    one.session.settings = one.session.settings.model_copy(update={"retrain": ONE_RUN})
    chosen = {family: [t.number for t in trials] for family, trials in planned(one).candidates.items()}
    n = planned_runs(one).candidates
    assert chosen == {family: [1, 0][:n] + [7] + [0] * (n < 2) for family in ("mlp", "cnn")}
    repeat = make(BETTER, budget=900.0, used=120.0, stored=ONE_RUN, reached=None)
    repeat.first, repeat.n_searches, repeat.goal = one, 3, one.goal
    repeat.session.settings = one.session.settings
    chosen = {family: [t.number for t in trials] for family, trials in planned(repeat).candidates.items()}
    assert chosen == {family: [1, 0][:n] for family in ("mlp", "cnn")}


def test_a_repeats_runs_are_as_long_as_the_first_searches(make: Make) -> None:
    had = {"mlp": {0: 200_000}, "cnn": {0: 50_000}}  # 10 s each
    repeat = make(FIRST, had, budget=300.0, used=130.0, stored=ONE_RUN)
    repeat.first, repeat.n_searches = copy(repeat), 3
    repeat.goal = repeat.first.goal = Goal(budget=900.0, families=("cnn", "mlp"), n_searches=3)
    assert retrain_seconds(repeat) == pytest.approx(2 * 5 * 10 / 2 / 0.97)  # two families of five runs on two workers
    assert retrain_seconds(repeat) < (retrain_seconds(repeat.first) or 0.0)


def test_a_configuration_from_a_file_is_trained_again_whatever_else_was_given(make: Make) -> None:
    files = [
        replace(trial("mlp", 9, 0.80), role="given_file"),
        replace(trial("cnn", 9, 0.90, config=7), role="given_file"),  # the warm start's
    ]
    one = given_apart(make([*FIRST, *GIVEN, *files], budget=600.0, used=260.0, stored=ONE_RUN, reached=None))
    chosen = {family: [one.number for one in trials] for family, trials in planned(one).candidates.items()}
    assert chosen == {"mlp": [0, 9, 7], "cnn": [0, 9]}


def test_the_first_search_gets_time_for_every_given_candidate(make: Make) -> None:
    files = [replace(trial(family, 9, 0.80), role="given_file") for family in ("mlp", "cnn")]
    seconds = []
    for given in (GIVEN, [*GIVEN, *files]):
        one = given_apart(make([*FIRST, *given], budget=600.0, used=260.0, stored=ONE_RUN, reached=None))
        one.n_searches, one.goal = 3, one.goal.model_copy(update={"n_searches": 3})
        found = planned_runs(one).candidates * planned_runs(one).candidate_seeds + planned_runs(one).final_seeds
        seconds.append((retrain_seconds(one) or 0.0, found, planned_runs(one).candidate_seeds))
    (before, found, seeds), (after, *_) = seconds
    parts = [3 * (found + n * seeds) / (3 * found + n * seeds) for n in (1, 2)]
    assert after / before == pytest.approx(parts[1] / parts[0])


def test_while_the_first_search_retrains_the_time_left_ends_with_the_budget(make: Make) -> None:
    one = given_apart(make([*BETTER, *GIVEN], budget=900.0, used=140.0, stored=ONE_RUN, reached=None))
    one.n_searches, one.goal = 3, one.goal.model_copy(update={"n_searches": 3})
    one.session.ledger.lent = 4.0
    left = Agenda(one.goal, evaluates=True).after_retraining(1, taken_of_others(one))
    assert 140.0 + (retrain_seconds(one) or 0.0) + (left or 0.0) == pytest.approx(900.0)


@pytest.mark.parametrize(
    ("given", "chosen"), [(GIVEN, {"mlp": [7], "cnn": [7]}), (GIVEN[:1], {"mlp": [7], "cnn": [0]})]
)
def test_a_budget_without_a_verdict_has_one_run_of_what_was_given_where_it_came_to_the_top_rung(
    make: Make, given: Sequence[TrialRecord], chosen: Mapping[str, Sequence[int]]
) -> None:
    plan = planned(given_apart(make([*FIRST, *given], budget=60.0, used=30.0, stored=ONE_RUN, reached=None)))
    assert {family: [one.number for one in trials] for family, trials in plan.candidates.items()} == chosen


@pytest.mark.parametrize("budget", [61.0, 70.0, 85.0, 100.0, 130.0, 200.0, 250.0, 400.0, 1200.0])
@pytest.mark.parametrize("used", [58.0, 75.0])
def test_no_budget_shortens_a_run_or_takes_one(make: Make, budget: float, used: float) -> None:
    plan = planned(make(BETTER, HAD, budget=budget, used=used))
    for family, known in lengths(plan).items():
        assert known[0] >= HAD[family][0]  # the finalist is always among the candidates
        assert min(known.values()) >= HAD[family][0]
    assert plan.retrain.final_seeds >= 1


def test_without_a_limit_of_time_runs_are_not_shorter_either(make: Make) -> None:
    plan = planned(make(BETTER, HAD, budget=None))
    assert lengths(plan) == {"mlp": {1: 200_000, 0: 200_000}, "cnn": {1: 50_000, 0: 50_000}}


def test_a_new_family_is_trained_in_the_time_there_is_and_the_others_stay(make: Make) -> None:
    plan = planned(make(BETTER, {"mlp": HAD["mlp"]}, used=70.0))
    found = lengths(plan)
    assert found["mlp"] == HAD["mlp"]
    assert set(found["cnn"]) == {1}


def test_a_plan_stands_for_the_trials_it_was_made_for(make: Make, files: StudyFiles) -> None:
    one = make(BETTER, HAD, budget=600.0, used=100.0)
    plan = planned(one)
    one.session.ledger.charge(590.0)  # killed, and called again
    assert lengths(planned(one)) == lengths(plan)
    noted = one.session.ledger.plan
    assert noted.trials == digest_of_trials(files.trials_jsonl)
    assert {
        family: dict(zip(runs.trials, runs.examples, strict=True)) for family, runs in noted.runs.items()
    } == lengths(plan)
    write_trials(files.trials_jsonl, [trial("mlp", 2, 0.99)])
    assert lengths(planned(one)) == HAD


def test_a_first_retraining_holds_nothing(make: Make, files: StudyFiles) -> None:
    one = make(FIRST, None, budget=60.0, used=26.0)
    assert held_by(files) == {}
    assert set(lengths(planned(one))) == {"mlp", "cnn"}
    assert settle_for_what_helps(one) is None


def test_what_a_family_has_is_read_from_its_finalists(make: Make, files: StudyFiles) -> None:
    make(FIRST, HAD)
    assert held_by(files)["mlp"] == Held(0, 1, {0: 200_000}, {0: 1})


def test_an_extension_that_buys_nothing_is_said_and_not_begun(make: Make) -> None:
    one = make(BETTER, HAD)
    said = settle_for_what_helps(one)
    assert said is not None
    assert "a budget of 85 s buys nothing" in said
    assert one.goal.budget == 60.0
    enough = float(said.split("--budget ")[1].split("s or")[0].split()[0].rstrip("s"))
    again = make([], HAD, budget=enough)
    assert settle_for_what_helps(again) is None
    assert again.goal.budget == enough


@pytest.mark.parametrize(("budget", "reached"), [(600.0, 60.0), (60.0, 60.0), (None, 60.0), (85.0, None)])
def test_other_goals_are_kept(make: Make, budget: float | None, reached: float | None) -> None:
    one = make(BETTER, HAD, budget=budget, reached=reached)
    assert settle_for_what_helps(one) is None
    assert one.goal.budget == budget


def test_what_a_long_budget_will_not_use_is_said_with_the_plan_s_numbers(make: Make) -> None:
    speeds = {"mlp": 40_000.0, "cnn": 40_000.0}  # 200 epochs are 250 s: twelve such runs on two workers 25 min
    said = unused_budget(make(FIRST, None, budget=24 * 3600.0), speeds)
    assert said is not None
    assert said.startswith("of 24 h 00 min about 13 h 56 min will not be used: the search takes 9 h 36 min, ")
    assert "no run is longer than 200 epochs" in said
    for budget in (60.0, 300.0, None):
        assert unused_budget(make([], None, budget=budget), speeds) is None
