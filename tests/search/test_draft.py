"""What is drawn before there is a trial, beside what a trial of Optuna draws: it must be the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.samplers import BaseSampler, PartialFixedSampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from study.search.draft import Draft
from study.search.storage import quiet_experimental
from study.space.sampling import Trial


def tpe(seed: int) -> BaseSampler:
    return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=False)


def qmc(_: int) -> BaseSampler:
    return QMCSampler(scramble=True, seed=7, warn_independent_sampling=False)


def random(seed: int) -> BaseSampler:
    return RandomSampler(seed)


def suggest(trial: Trial) -> list[Any]:
    kind = trial.suggest_categorical("kind", ["a", "b"])
    drawn = [
        kind,
        trial.suggest_int("n", 1, 64, log=True),
        trial.suggest_int("steps", 8, 24, step=8),
        trial.suggest_float("quarter", 0.0, 1.0, step=0.25),
        trial.suggest_float(f"x[{kind}]", 1e-3, 1.0, log=True),
        trial.suggest_categorical("flag", [False, True]),
        trial.suggest_categorical("digit", [0, 1]),
        trial.suggest_categorical("only", ["one"]),
        trial.suggest_int("fixed", 3, 3),
        trial.suggest_float("still", 0.5, 0.5),
    ]
    return [*drawn, trial.suggest_float("momentum", 0.8, 0.98)] if kind == "b" else drawn


@pytest.mark.parametrize("sampler", [random, tpe, qmc])
def test_a_draft_draws_what_a_trial_draws(sampler: Callable[[int], BaseSampler]) -> None:
    study = optuna.create_study(direction="maximize")
    beside = optuna.create_study(direction="maximize")
    for number in range(30):
        given = {"kind": "b", "n": 5} if number % 9 == 4 else {}
        made = []
        for _ in range(2):
            with quiet_experimental():
                one = sampler(number)
            made.append(PartialFixedSampler(given, one) if given else one)
        draft = Draft(beside, made[0])
        drawn = suggest(draft)
        study.sampler = made[1]
        trial = study.ask()
        assert drawn == suggest(trial)
        assert [type(value) for value in drawn] == [type(value) for value in suggest(trial)]
        assert (draft.parameters, draft.distributions) == (trial.params, trial.distributions)
        value = drawn[1] / 64
        study.tell(trial, value)
        beside.add_trial(
            optuna.trial.create_trial(
                state=TrialState.COMPLETE, value=value, params=draft.parameters, distributions=draft.distributions
            )
        )


def test_a_draft_leaves_no_trace() -> None:
    study = optuna.create_study()
    suggest(Draft(study, RandomSampler(0)))
    assert study.trials == []
