"""TPE with its history kept, beside Optuna's own: what it draws must be the same."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, PartialFixedSampler, TPESampler
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator
from optuna.trial import TrialState

from study.records.settings import N_STARTUP_TRIALS, SAMPLER_WINDOW
from study.search.densities import draw, log_density
from study.search.history import History
from study.search.storage import quiet_experimental
from study.search.tpe import KeptTPE

Sampler = Callable[[int], BaseSampler]


def optunas(seed: int) -> BaseSampler:
    with quiet_experimental():
        return TPESampler(seed=seed, multivariate=True, group=True, n_startup_trials=N_STARTUP_TRIALS)


def kept(history: History, window: int | None, seed: int) -> BaseSampler:
    with quiet_experimental():
        return KeptTPE(seed, history, window)


def suggest(trial: optuna.Trial) -> None:
    """A space with every kind of parameter and with branches."""
    kind = trial.suggest_categorical("kind", ["a", "b", "c"])
    trial.suggest_int("n", 1, 64, log=True)
    trial.suggest_int("steps", 8, 24, step=8)
    trial.suggest_float("quarter", 0.0, 1.0, step=0.25)
    trial.suggest_float(f"x[{kind}]", 1e-3, 1.0, log=True)
    if kind == "b":
        trial.suggest_float("momentum", 0.8, 0.98)
        trial.suggest_int("fixed", 3, 3)


def end(study: optuna.Study, trial: optuna.Trial, turn: int) -> None:
    value = trial.params["n"] / 64 - abs(trial.params["quarter"] - 0.5)
    if turn % 7 == 3:
        study.tell(trial, state=TrialState.FAIL)
    elif turn % 3 == 1:
        trial.report(value, 100 * (1 + turn % 2))
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, round(value, 1))  # so that there are ties


def draws(sampler: Sampler, n: int, in_flight: int) -> list[dict[str, Any]]:
    """Parameters of `n` trials, of which so many run at once and end in an order of their own."""
    study = optuna.create_study(direction="maximize")
    flying: list[optuna.Trial] = []
    for number in range(n):
        given = {"kind": "b"} if number % 11 == 5 else {}
        with quiet_experimental():
            study.sampler = PartialFixedSampler(given, sampler(number)) if given else sampler(number)
        flying.append(study.ask())
        suggest(flying[-1])
        if len(flying) > in_flight:
            end(study, flying.pop(number % len(flying)), number)
    return [trial.params for trial in study.get_trials()]


@pytest.mark.parametrize("in_flight", [0, 1, 9])
def test_draws_are_those_of_tpe(in_flight: int) -> None:
    assert draws(functools.partial(kept, History(), None), 70, in_flight) == draws(optunas, 70, in_flight)


def test_with_many_in_flight_some_are_drawn_at_once_from_what_is_known_then(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    update = History.update

    def counted(history: History, study: optuna.Study, n: int) -> None:
        looked.append(n)
        update(history, study, n)

    monkeypatch.setattr(History, "update", counted)
    drawn = draws(functools.partial(kept, History(), None), 90, 48)
    assert looked == [*range(32), *range(32, 48, 2), *range(48, 90, 3)]  # one, two, then three at once
    assert len({str(params) for params in drawn}) == len(drawn)


def test_a_study_that_is_opened_again_draws_on() -> None:
    """The history is made anew then, from finished trials alone."""
    study = optuna.create_study(direction="maximize")
    for number in range(40):
        study.sampler = optunas(number)
        trial = study.ask()
        suggest(trial)
        end(study, trial, number)
    drawn = []
    for sampler in (optunas(99), kept(History(), None, 99)):
        study.sampler = sampler
        trial = study.ask()
        suggest(trial)
        drawn.append(trial.params)
        study.tell(trial, state=TrialState.FAIL)
    assert drawn[0] == drawn[1]


def split(n: int, window: int | None) -> tuple[list[int], list[int]]:
    """Of `n` trials, each better than the one before."""
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        optuna.trial.create_trial(value=k, params={"x": 0.5}, distributions={"x": FloatDistribution(0, 1)})
        for k in range(n)
    )
    history = History()
    history.update(study, n)
    better, worse = history.split(min(25, n // 10), window)
    return list(better), list(worse)


def test_the_window_leaves_out_the_oldest_of_the_worse_trials() -> None:
    assert split(40, None) == (list(range(36, 40)), list(range(36)))
    assert split(40, 10) == (list(range(36, 40)), list(range(26, 36)))


def test_the_window_of_new_studies_changes_nothing_before_a_thousand_trials() -> None:
    assert split(1000, SAMPLER_WINDOW) == split(1000, None)
    assert split(1001, SAMPLER_WINDOW) != split(1001, None)


SPACE: dict[str, BaseDistribution] = {
    "kind": CategoricalDistribution(("a", "b", "c")),
    "n": IntDistribution(1, 64, log=True),
    "steps": IntDistribution(8, 24, step=8),
    "quarter": FloatDistribution(0.0, 1.0, step=0.25),
    "x": FloatDistribution(1e-3, 1.0, log=True),
    "momentum": FloatDistribution(0.8, 0.98),
}


@pytest.mark.parametrize("n", [0, 1, 30, 400])
def test_densities_are_optunas(n: int) -> None:
    rng = np.random.default_rng(n)
    drawn = {
        "kind": rng.integers(0, 3, n + 24),
        "n": rng.integers(1, 65, n + 24),
        "steps": 8 * rng.integers(1, 4, n + 24),
        "quarter": 0.25 * rng.integers(0, 5, n + 24),
        "x": 10 ** rng.uniform(-3, 0, n + 24),
        "momentum": rng.uniform(0.8, 0.98, n + 24),
    }
    columns = {name: np.asarray(values, float) for name, values in drawn.items()}
    parameters = optunas(0)._parzen_estimator_parameters  # type: ignore[attr-defined]
    estimator = _ParzenEstimator({name: column[:n] for name, column in columns.items()}, SPACE, parameters)
    points = {name: column[n:] for name, column in columns.items()}
    for number, digits in ((np.float64, 1e-9), (np.float32, 2e-4)):
        ours = log_density(estimator._mixture_distribution, np.column_stack(list(points.values())), number)
        np.testing.assert_allclose(ours, estimator.log_pdf(points), rtol=digits, atol=digits)


def test_draws_of_many_at_once_are_distributed_as_optunas() -> None:
    rng = np.random.default_rng(3)
    columns: dict[str, Any] = {
        "kind": rng.integers(0, 3, 20).astype(float),
        "n": np.exp(rng.uniform(0, np.log(64), 20)).round(),
        "steps": 8.0 * rng.integers(1, 4, 20),
        "quarter": 0.25 * rng.integers(0, 5, 20),
        "x": 10 ** rng.uniform(-3, 0, 20),
        "momentum": np.full(20, 0.98),  # at the upper end
    }
    parameters = optunas(0)._parzen_estimator_parameters  # type: ignore[attr-defined]
    mixture = _ParzenEstimator(columns, SPACE, parameters)._mixture_distribution
    n = 20_000
    ours, theirs = draw(mixture, np.random.RandomState(0), n), mixture.sample(np.random.RandomState(1), n)
    assert ours.shape == theirs.shape == (n, len(SPACE))
    for column, (name, distribution) in zip(range(len(SPACE)), SPACE.items(), strict=True):
        assert all(distribution._contains(value) for value in ours[:, column]), name
        values = np.unique(np.concatenate([ours[:, column], theirs[:, column]]))
        below = [np.searchsorted(np.sort(drawn[:, column]), values, side="right") / n for drawn in (ours, theirs)]
        # Of Kolmogorov and Smirnov: by chance one in a thousand is above 0.0195.
        assert np.abs(below[0] - below[1]).max() < 0.02, name
