"""Importance against Optuna's own, and against values that follow no parameter."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from study.statistics.importance import Column, cells_of, importance

KNOWN = {
    "rate": FloatDistribution(1e-4, 1e-1, log=True),
    "dropout": FloatDistribution(0.0, 0.5),
    "depth": IntDistribution(1, 7),
    "width": IntDistribution(8, 512, log=True),
    "act": CategoricalDistribution(("relu", "gelu", "silu")),
    "momentum": FloatDistribution(0.5, 0.99),  # of every other trial
}


def drawn(n: int, seed: int) -> list[dict[str, float | int | str]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "rate": float(10 ** rng.uniform(-4, -1)),
            "dropout": float(rng.uniform(0, 0.5)),
            "depth": int(rng.integers(1, 8)),
            "width": int(rng.integers(8, 513)),
            "act": str(rng.choice(["relu", "gelu", "silu"])),
            **({"momentum": float(rng.uniform(0.5, 0.99))} if k % 2 else {}),
        }
        for k in range(n)
    ]


def columns(trials: list[dict[str, float | int | str]]) -> dict[str, Column]:
    found = {}
    for name, known in KNOWN.items():
        values = [trial.get(name) for trial in trials]
        if isinstance(known, CategoricalDistribution):
            found[name] = Column(np.array([known.choices.index(value) for value in values]), 3, False)
        else:
            numbers = np.array([np.nan if value is None else value for value in values], dtype=float)
            whole = isinstance(known, IntDistribution)
            found[name] = cells_of(numbers, known.low, known.high, known.step, log=known.log, whole=whole)
    return found


def values_of(trials: list[dict[str, float | int | str]]) -> NDArray[np.float64]:
    return np.array([-((np.log10(float(t["rate"])) + 2) ** 2) + 0.1 * float(t["depth"]) for t in trials])


@pytest.mark.parametrize("n", [50, 137])
def test_shares_are_optunas(n: int) -> None:
    trials = drawn(n, seed=n)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    for trial, value in zip(trials, values_of(trials), strict=True):
        inside = {name: KNOWN[name] for name in trial}
        study.add_trial(optuna.trial.create_trial(value=value, params=trial, distributions=inside))
    theirs = optuna.importance.get_param_importances(study, evaluator=optuna.importance.PedAnovaImportanceEvaluator())
    ours = importance(columns(trials), values_of(trials)).shares
    assert dict(ours) == pytest.approx(theirs, rel=1e-9)
    assert list(ours) == sorted(ours, key=lambda name: -ours[name])


def test_what_the_values_follow_is_clear_and_nothing_else() -> None:
    trials = drawn(200, seed=1)
    assert importance(columns(trials), values_of(trials)).clear == ("rate", "depth")


def test_values_that_follow_nothing_are_hardly_ever_clear() -> None:
    rng = np.random.default_rng(0)
    clear = [importance(columns(drawn(60, seed)), rng.random(60)).clear for seed in range(40)]
    assert sum(bool(names) for names in clear) <= 2


def test_equal_values_rank_nothing() -> None:
    found = importance(columns(drawn(60, 0)), np.full(60, 0.9))
    assert (found.shares, found.clear) == ({}, ())
