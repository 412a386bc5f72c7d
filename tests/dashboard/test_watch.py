from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import RDBStorage
from runs import run_metrics, run_record
from trials import trial

from study.dashboard.watch import RetrainWatch
from study.execution.jobs import Finished, Job, RungMetrics, RunTarget, Validation
from study.records.trial import TrialRecord
from study.search.identity import KEY, Owner
from study.search.storage import open_study
from study.training.schedule import Schedule


def job(name: str, role: str = "candidate", **more: Any) -> Job:
    target = RunTarget("folder", "digest", run_record(role=role, **more))
    return Job(name, {"width": [8]}, 5, Schedule((2,), (1, 2)), "train", target)


def trials(storage: RDBStorage, part: str = "retrain") -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=f"tiny/{part}", storage=storage).get_trials()


@pytest.fixture
def storage(url: str, open_url: Callable[[str], RDBStorage]) -> RDBStorage:
    return open_url(url)


@pytest.fixture
def watch(storage: RDBStorage) -> RetrainWatch:
    return RetrainWatch("tiny", storage)


def reached(train_loss: float, accuracy: float | None = None) -> RungMetrics:
    validation = None if accuracy is None else Validation(accuracy, 0.6, 0.5, 1.0)
    return RungMetrics(train_loss, 0.1, 1.0, validation)


def test_a_candidate_can_be_watched_and_ends_with_its_accuracy_on_validation(
    watch: RetrainWatch, storage: RDBStorage
) -> None:
    run = job("mlp-t3-seed0")
    watch.begin(run)
    watch.report(run, 100, reached(2.0, 0.5))
    (running,) = trials(storage)
    assert (running.state.name, running.intermediate_values) == ("RUNNING", {100: 0.5})
    assert running.user_attrs["training_loss"] == 2.0
    watch.report(run, 200, reached(1.0, 0.7))
    watch.end(Finished(run, 0, 1.5, None), run_metrics(train_loss=0.9, accuracy=0.72))
    (ended,) = trials(storage)
    assert (ended.state.name, ended.value) == ("COMPLETE", 0.72)
    attrs = ended.user_attrs
    assert (attrs["run"], attrs["trial"], attrs["training_loss"], attrs["seconds"]) == (
        "mlp-t3-seed0",
        "mlp #3",
        0.9,
        1.5,
    )


def test_the_best_is_a_candidate_by_validation_and_never_a_final_run(watch: RetrainWatch, storage: RDBStorage) -> None:
    """The lowest training loss is a final run's, the next lowest the worse candidate's."""
    for name, role, ended in (
        ("worse", "candidate", reached(0.2, 0.8)),
        ("better", "candidate", reached(0.5, 0.9)),
        ("final", "final", reached(0.1)),
    ):
        run = job(name, role)
        watch.begin(run)
        watch.report(run, 100, ended)
        accuracy = ended.validation and ended.validation.accuracy
        watch.end(Finished(run, 0, 1.0, None), run_metrics(train_loss=ended.train_loss, accuracy=accuracy))
    study = optuna.load_study(study_name="tiny/retrain", storage=storage)
    assert study.best_trial.user_attrs["run"] == "better"
    assert [(trial.state.name, trial.value) for trial in study.trials] == [("COMPLETE", 0.8), ("COMPLETE", 0.9)]
    (final,) = trials(storage, "final")
    assert (final.state.name, final.value, final.intermediate_values) == ("COMPLETE", 0.1, {100: 0.1})
    assert optuna.load_study(study_name="tiny/final", storage=storage).direction == optuna.study.StudyDirection.MINIMIZE


FLOAT = optuna.distributions.FloatDistribution
INT = optuna.distributions.IntDistribution


def searched(family: str, **parameters: tuple[float, BaseDistribution]) -> TrialRecord:
    values = {name: value for name, (value, _) in parameters.items()}
    ranges = {name: distribution_to_json(distribution) for name, (_, distribution) in parameters.items()}
    return trial(3, family=family, parameters=values, distributions=ranges)


def test_a_candidate_has_the_parameters_of_its_trial(storage: RDBStorage) -> None:
    found = [
        searched("mlp", depth=(2, INT(1, 5)), rate=(0.01, FLOAT(1e-3, 1, log=True))),
        searched("cnn", depth=(0.5, FLOAT(0, 1)), rate=(0.1, FLOAT(1e-4, 1, log=True))),
    ]
    watch = RetrainWatch("tiny", storage, trials=found)
    watch.begin(job("a", family="mlp"))
    watch.begin(job("b", family="cnn"))
    watch.begin(job("c", family="mlp", trial=7))  # of a search whose trials are not known
    mlp, cnn, unknown = trials(storage)
    assert mlp.params == {"depth": 2, "rate": 0.01}
    assert cnn.params == {"cnn.depth": 0.5, "rate": 0.1}  # another kind of the same name stands apart
    assert unknown.params == {}
    assert mlp.distributions["depth"] == INT(1, 5)


def test_what_people_read_is_rounded_and_holds_no_structure(watch: RetrainWatch, storage: RDBStorage) -> None:
    run = job("a")
    watch.begin(run)
    watch.end(Finished(run, 0, 1.23456, None), run_metrics(train_loss=0.123456, accuracy=0.5, nll=1.98769))
    attrs = trials(storage)[0].user_attrs
    assert (attrs["training_loss"], attrs["nll"], attrs["seconds"]) == (0.1235, 1.9877, 1.2)
    assert {type(value) for value in attrs.values()} <= {str, int, float}


def test_what_there_is_to_look_at_is_kept_with_the_trial_before_it_ends(storage: RDBStorage) -> None:
    asked = []

    def keep(run: str, owner: str) -> dict[str, str]:
        asked.append((run, owner))
        return {"artifacts:1": "{}"}

    watch = RetrainWatch("tiny", storage, owner=Owner("me", "/a", "b"), keep=keep)
    for name, reason in (("a", None), ("b", "out of memory")):
        watch.begin(job(name))
        watch.end(Finished(job(name), 0, 1.0, reason), None if reason else run_metrics())
    whole, failed = trials(storage)
    assert asked == [("a", "me/tiny/retrain/0")]
    assert whole.system_attrs["artifacts:1"] == "{}"
    assert "artifacts:1" not in failed.system_attrs


def test_a_study_of_an_earlier_version_is_made_anew_from_what_it_holds(storage: RDBStorage) -> None:
    """There the value was the training loss, to be minimised."""
    old = open_study(storage, "tiny/retrain", "training loss", "minimize", Owner("me", "/a", "b"))
    for run, role, loss, accuracy in (
        ("a", "candidate", 0.1, 0.8),
        ("b", "candidate", 0.5, 0.9),
        ("c", "final", 0.01, None),
    ):
        trial = old.ask()
        trial.report(loss, 100)
        attrs = {"run": run, "role": role, "seconds": 2.0}
        for key, value in (attrs if accuracy is None else attrs | {"validation_accuracy": accuracy}).items():
            trial.set_user_attr(key, value)
        old.tell(trial, loss)
    old.tell(old.ask(), state=optuna.trial.TrialState.FAIL)
    old.ask()  # its command was killed
    watch = RetrainWatch("tiny", storage)
    study = optuna.load_study(study_name="tiny/retrain", storage=storage)
    assert study.best_trial.user_attrs == {"run": "b", "role": "candidate", "seconds": 2.0, "training_loss": 0.5}
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "PRUNED", "FAIL", "FAIL"]
    assert study.user_attrs[KEY]["id"] == "me"
    watch.begin(job("d"))
    assert len(trials(storage)) == 6
    RetrainWatch("tiny", storage)
    assert len(trials(storage)) == 6


def test_a_failed_run_has_its_reason(watch: RetrainWatch, storage: RDBStorage) -> None:
    watch.begin(job("a"))
    watch.end(Finished(job("a"), 0, 1.0, "out of memory"), None)
    (ended,) = trials(storage)
    assert (ended.state.name, ended.user_attrs["reason"]) == ("FAIL", "out of memory")


def test_a_run_repeated_after_a_death_passes_its_marks_again(watch: RetrainWatch, storage: RDBStorage) -> None:
    run = job("a")
    watch.begin(run)
    for examples in (100, 200, 100, 200, 300):
        watch.report(run, examples, reached(1.0, 0.5))
    assert list(trials(storage)[0].intermediate_values) == [100, 200, 300]


def test_what_is_in_flight_is_closed_when_the_command_ends(watch: RetrainWatch, storage: RDBStorage) -> None:
    watch.begin(job("a"))
    watch.abandon("interrupted: SIGTERM")
    watch.abandon("again, harmless")
    (ended,) = trials(storage)
    assert (ended.state.name, ended.user_attrs["reason"]) == ("FAIL", "interrupted: SIGTERM")


def test_what_a_killed_command_left_is_closed_by_the_next(watch: RetrainWatch, storage: RDBStorage) -> None:
    watch.begin(job("a"))
    RetrainWatch("tiny", storage)
    assert [trial.state.name for trial in trials(storage)] == ["FAIL"]
