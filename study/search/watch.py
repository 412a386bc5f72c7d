"""The Optuna study `<name>/retrain`: every candidate and final run as a trial that one can watch."""

from __future__ import annotations

import contextlib

import optuna
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from study.errors import ResultsError
from study.execution.jobs import Finished, Job, RungMetrics
from study.interrupts import shielded
from study.records.run import RunMetrics
from study.search.identity import Owner
from study.search.lock import Guard, at_once
from study.search.mirror import Mirror
from study.search.storage import open_study, sweep, transaction
from study.search.tables import insert_trial, stored_trials

_METRIC = "accuracy"


class RetrainWatch:
    """Mirrors runs into a study of their own. Its value is a candidate's accuracy on validation, as in the search. A
    final run has seen those images and has no value: it ends as PRUNED, the one state for that which is no failure, so
    that nothing takes it for the best."""

    def __init__(self, name: str, storage: RDBStorage, guard: Guard = at_once, owner: Owner | None = None) -> None:
        stored = open_study(storage, f"{name}/retrain", _METRIC, "maximize", owner)
        sweep(storage, stored)
        if stored.direction != StudyDirection.MAXIMIZE:
            stored = guard(lambda: _made_anew(storage, stored))
        self._mirror = Mirror(storage, guard)
        self._study = self._mirror.open(stored, stored_trials(storage, stored._study_id))
        self._trials: dict[str, optuna.Trial] = {}
        self._seen: dict[str, int] = {}

    def begin(self, job: Job) -> None:
        with shielded():
            trial = self._mirror.ask(self._study)
            assert job.run is not None  # it is no trial of a search
            record = job.run.record
            for key in ("family", "role", "seed", "data_part"):
                trial.set_user_attr(key, getattr(record, key))
            trial.set_user_attr("origin", f"{record.family} #{record.trial}")
            trial.set_user_attr("run", job.id)
            trial.set_user_attr("config", job.config)
            self._trials[job.id] = trial
            self._mirror.write()

    def report(self, job: Job, examples: int, metrics: RungMetrics) -> None:
        trial = self._trials[job.id]
        with shielded():
            if examples > self._seen.get(job.id, 0):  # a run repeated after its worker's death passes its marks again
                self._seen[job.id] = examples
                trial.set_user_attr("training_loss", metrics.train_loss)
                if metrics.validation is not None:  # of a final run there is none
                    trial.report(metrics.validation.accuracy, examples)
            self._mirror.write()

    def end(self, event: Finished, metrics: RunMetrics | None) -> None:
        """`metrics` are those of the run's file, None if it failed."""
        trial = self._trials.pop(event.job.id)
        with shielded():
            trial.set_user_attr("seconds", round(event.held_seconds, 3))
            if event.reason or metrics is None:
                trial.set_user_attr("reason", event.reason or "no result")
                self._study.tell(trial, state=TrialState.FAIL)
            else:
                trial.set_user_attr("training_loss", metrics.train_loss)
                state, value = _ending(metrics.accuracy)
                self._study.tell(trial, value, state=state)
            self._mirror.write()

    def abandon(self, reason: str) -> None:
        """Close what is in flight when the command ends early."""
        with shielded():
            for trial in self._trials.values():
                trial.set_user_attr("reason", reason)
                self._study.tell(trial, state=TrialState.FAIL)
            self._trials.clear()
            with contextlib.suppress(ResultsError):  # why the command ends matters more; the next one sweeps
                self._mirror.write()


def _ending(accuracy: float | None) -> tuple[TrialState, float | None]:
    """State and value of a run that ended well."""
    return (TrialState.PRUNED, None) if accuracy is None else (TrialState.COMPLETE, accuracy)


def _made_anew(storage: RDBStorage, stored: optuna.Study) -> optuna.Study:
    """The study as it is now, in place of one of an earlier version: there the lowest training loss was the best."""
    trials = [_converted(trial) for trial in stored_trials(storage, stored._study_id)]
    name, attrs = stored.study_name, stored.user_attrs
    with transaction(storage) as connection:
        storage.delete_study(stored._study_id)
        study = open_study(storage, name, _METRIC, "maximize")
        for key, value in attrs.items():
            study.set_user_attr(key, value)
        for trial in trials:
            insert_trial(connection, study._study_id, trial)
    return study


def _converted(trial: FrozenTrial) -> FrozenTrial:
    attrs = dict(trial.user_attrs)
    accuracy = attrs.pop("validation_accuracy", None) if attrs.get("role") == "candidate" else None
    state, value = (trial.state, None) if trial.value is None else _ending(accuracy)
    if trial.value is not None:
        attrs["training_loss"] = trial.value
    converted = create_trial(state=state, value=value, user_attrs=attrs)
    converted.datetime_start, converted.datetime_complete = trial.datetime_start, trial.datetime_complete
    return converted
