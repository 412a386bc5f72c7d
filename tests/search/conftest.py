from __future__ import annotations

from collections.abc import Callable

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from study.records.trial import TrialRecord
from study.search.agreement import record_of
from study.search.storage import open_study


@pytest.fixture(autouse=True)
def _fast(fast_disk: None) -> None:
    """All tests of the search write hundreds of trials."""


@pytest.fixture
def study(storage: RDBStorage) -> optuna.Study:
    return open_study(storage, "tiny/mlp", "accuracy", "maximize")


@pytest.fixture
def told(study: optuna.Study) -> Callable[..., TrialRecord]:
    """Runs a trial of `study` to its end, and returns its record."""

    def tell(accuracy: float = 0.5, state: TrialState = TrialState.COMPLETE) -> TrialRecord:
        trial = study.ask()
        trial.suggest_float("x", 0.0, 1.0)
        trial.suggest_categorical("kind", ["a", "b"])
        trial.report(accuracy, 100)
        rung = {"examples": 100, "accuracy": accuracy, "nll_scaled": 0.7, "temperature": 1.0, "training_seconds": 0.1}
        for key, value in {
            "seed": 5,
            "draw": trial.number,
            "rungs": [rung],
            "config": {"x": 1},
            "held_seconds": 0.5,
        }.items():
            trial.set_user_attr(key, value)
        return record_of(study.tell(trial, accuracy if state == TrialState.COMPLETE else None, state=state), "mlp")

    return tell
