from __future__ import annotations

from typing import Any

import optuna
import pytest

from study.execution.jobs import Finished, Job, RunTarget
from study.search.watch import RetrainWatch
from study.training.loop import Schedule

RECORD = {"family": "mlp", "trial": 3, "role": "candidate", "seed": 5, "data_part": "train"}


def job(name: str) -> Job:
    return Job(name, {"width": [8]}, 5, Schedule((2,), (1, 2)), "train", RunTarget("folder", "digest", RECORD))


def trials(storage: optuna.storages.BaseStorage) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="tiny/retrain", storage=storage).get_trials()


@pytest.fixture
def watch(storage: optuna.storages.BaseStorage) -> RetrainWatch:
    return RetrainWatch("tiny", storage)


def metrics(train_loss: float, **more: Any) -> dict[str, Any]:
    return {"train_loss": train_loss, **more}


def test_a_run_can_be_watched_and_ends_with_its_training_loss(
    watch: RetrainWatch, storage: optuna.storages.BaseStorage
) -> None:
    run = job("mlp-t3-seed0")
    watch.begin(run)
    watch.report(run, 100, metrics(2.0, accuracy=0.5))
    (running,) = trials(storage)
    assert (running.state.name, running.intermediate_values) == ("RUNNING", {100: 2.0})
    watch.report(run, 200, metrics(1.0, accuracy=0.7))
    watch.end(Finished(run, 0, 1.5, None), 0.9)
    (trial,) = trials(storage)
    assert (trial.state.name, trial.value) == ("COMPLETE", 0.9)
    attrs = trial.user_attrs
    assert (attrs["run"], attrs["origin"], attrs["validation_accuracy"], attrs["seconds"]) == (
        "mlp-t3-seed0",
        "mlp #3",
        0.7,
        1.5,
    )


def test_a_failed_run_has_its_reason(watch: RetrainWatch, storage: optuna.storages.BaseStorage) -> None:
    watch.begin(job("a"))
    watch.end(Finished(job("a"), 0, 1.0, "out of memory"), None)
    (trial,) = trials(storage)
    assert (trial.state.name, trial.user_attrs["reason"]) == ("FAIL", "out of memory")


def test_a_run_repeated_after_a_death_passes_its_marks_again(
    watch: RetrainWatch, storage: optuna.storages.BaseStorage
) -> None:
    run = job("a")
    watch.begin(run)
    for examples in (100, 200, 100, 200, 300):
        watch.report(run, examples, metrics(1.0))
    assert list(trials(storage)[0].intermediate_values) == [100, 200, 300]


def test_what_is_in_flight_is_closed_when_the_command_ends(
    watch: RetrainWatch, storage: optuna.storages.BaseStorage
) -> None:
    watch.begin(job("a"))
    watch.abandon("interrupted: SIGTERM")
    watch.abandon("again, harmless")
    (trial,) = trials(storage)
    assert (trial.state.name, trial.user_attrs["reason"]) == ("FAIL", "interrupted: SIGTERM")


def test_what_a_killed_command_left_is_closed_by_the_next(
    watch: RetrainWatch, storage: optuna.storages.BaseStorage
) -> None:
    watch.begin(job("a"))
    RetrainWatch("tiny", storage)
    assert [trial.state.name for trial in trials(storage)] == ["FAIL"]
