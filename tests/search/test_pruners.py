from __future__ import annotations

import optuna
import pytest
from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner
from optuna.trial import TrialState

from study.records.settings import Ladder
from study.search.pruners import AshaPruner, make_pruner

LADDER = Ladder(examples=(100, 300, 900), reduction_factor=3)


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(direction="maximize", pruner=make_pruner("asha", LADDER))


def report(study: optuna.Study, value: float, step: int = 100) -> bool:
    """Whether a new trial with this value at the rung is pruned there."""
    trial = study.ask()
    trial.report(value, step)
    return trial.should_prune()


def test_pruners_by_name() -> None:
    assert isinstance(make_pruner("asha", LADDER), AshaPruner)
    assert isinstance(make_pruner("hyperband", LADDER), HyperbandPruner)
    assert isinstance(make_pruner("median", LADDER), MedianPruner)
    assert isinstance(make_pruner("none", LADDER), NopPruner)


def test_the_best_so_far_always_goes_on_and_the_worst_never(study: optuna.Study) -> None:
    assert not report(study, 0.5)
    assert report(study, 0.4)
    assert not report(study, 0.6)
    assert report(study, 0.55)


def test_one_in_three_goes_on(study: optuna.Study) -> None:
    trials = [study.ask() for _ in range(8)]  # all of them run, and are seen by each other's reports
    for trial, value in zip(trials, (0.10, 0.11, 0.12, 0.13, 0.14, 0.15, 0.16, 0.17), strict=True):
        trial.suggest_float("x", 0, 1)
        trial.report(value, 100)
        trial.should_prune()
    # Nine with the new one: the third best still goes on, the fourth best does not.
    assert report(study, 0.145)
    assert not report(study, 0.155)


def test_equals_go_on_together(study: optuna.Study) -> None:
    assert [report(study, 0.5) for _ in range(4)] == [False] * 4


def test_rungs_are_compared_each_for_itself(study: optuna.Study) -> None:
    assert not report(study, 0.9, 300)
    assert not report(study, 0.1, 100)


def test_a_trial_without_a_report_is_not_pruned(study: optuna.Study) -> None:
    assert not study.ask().should_prune()


def test_interrupted_trials_leave_no_mark_and_failed_ones_do(study: optuna.Study) -> None:
    for counted, expected in ((False, False), (True, True)):
        trial = study.ask()
        trial.report(0.9, 100)
        trial.set_user_attr("counted", counted)
        study.tell(trial, state=TrialState.FAIL)
        assert report(study, 0.5) is expected


def test_a_repeated_trial_does_not_compete_with_its_own_beginning(study: optuna.Study) -> None:
    for _ in range(2):
        trial = study.ask()
        trial.report(0.5, 100)
        assert not trial.should_prune()
        trial.set_user_attr("counted", False)
        study.tell(trial, state=TrialState.FAIL)
