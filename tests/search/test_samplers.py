from __future__ import annotations

from typing import Any, get_args

import optuna
import pytest

from study.records.settings import N_STARTUP_TRIALS, SamplerName
from study.search.history import History
from study.search.samplers import fix_parameters, make_sampler

NAMES = get_args(SamplerName)


def draw(study: optuna.Study, name: SamplerName, number: int, given: dict[str, Any] | None = None) -> dict[str, Any]:
    """One ask over a space with a branch, told at once."""
    sampler = make_sampler(name, 7, "mlp", number, History(), None)
    study.sampler = fix_parameters(sampler, given) if given else sampler
    trial = study.ask()
    kind = trial.suggest_categorical("kind", ["a", "b"])
    x = trial.suggest_float(f"x[{kind}]", 1e-3, 1.0, log=True)
    n = trial.suggest_int("n", 1, 64)
    study.tell(trial, x - abs(n - 20) / 100)
    return dict(trial.params)


def draws(name: SamplerName, numbers: range) -> list[dict[str, Any]]:
    study = optuna.create_study(direction="maximize")
    return [draw(study, name, number) for number in numbers]


@pytest.mark.parametrize("name", NAMES)
def test_draws_are_repeatable_and_differ_from_each_other(name: SamplerName) -> None:
    first, second = draws(name, range(14)), draws(name, range(14))
    assert first == second
    assert len({str(parameters) for parameters in first}) == 14


@pytest.mark.parametrize("name", NAMES)
def test_given_parameters_are_taken_and_the_rest_is_drawn(name: SamplerName) -> None:
    study = optuna.create_study(direction="maximize")
    for number in range(N_STARTUP_TRIALS + 4):
        draw(study, name, number)
    given = {"kind": "a", "x[a]": 0.25}
    taken = draw(study, name, 99, given)
    assert {key: taken[key] for key in given} == given
    whole = {"kind": "b", "x[b]": 0.125, "n": 3}
    assert draw(study, name, 100, whole) == whole


def test_random_draws_depend_on_their_number_alone() -> None:
    assert draws("random", range(5, 8)) == draws("random", range(8))[5:]


def test_tpe_learns_after_its_start() -> None:
    late = [parameters["n"] for parameters in draws("tpe", range(60))[30:]]
    assert sum(10 <= n <= 30 for n in late) > len(late) / 2


def test_families_draw_apart() -> None:
    samplers = [make_sampler("random", 7, family, 0, History(), None) for family in ("mlp", "cnn")]
    found = []
    for sampler in samplers:
        trial = optuna.create_study(sampler=sampler).ask()
        found.append(trial.suggest_float("x", 0, 1))
    assert found[0] != found[1]
