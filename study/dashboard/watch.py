"""The Optuna studies `<name>/retrain` and `<name>/final`: every candidate and every final run as a trial to watch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence

import optuna
from optuna.distributions import json_to_distribution
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from study.errors import ResultsError
from study.execution.jobs import Finished, Job, RungMetrics
from study.interrupts import shielded
from study.records.run import RunMetrics, RunRecord
from study.records.trial import TrialRecord
from study.search.identity import FINAL, RETRAIN, Owner
from study.search.lock import Guard, at_once
from study.search.mirror import Mirror
from study.search.storage import Direction, open_study, sweep, transaction
from study.search.tables import insert_trials, stored_trials

_ACCURACY, _LOSS = "accuracy", "training loss"
Keep = Callable[[str, str], Mapping[str, str]]


def _keep_nothing(_run: str, _owner: str) -> Mapping[str, str]:
    return {}


class RetrainWatch:
    """Mirrors runs into two studies of their own. The value of a candidate is its accuracy on validation, as in the
    search, and its parameters are those of the trial that it was in the search, one of `trials`. A final run has seen
    those images: its value is its training loss, in a study apart, so that nothing takes it for the best.

    `keep(run, owner)` writes what there is to look at of a finished run, and returns attributes that name it.
    """

    def __init__(
        self,
        name: str,
        storage: RDBStorage,
        guard: Guard = at_once,
        owner: Owner | None = None,
        trials: Sequence[TrialRecord] = (),
        keep: Keep = _keep_nothing,
    ) -> None:
        self._storage = storage
        self._guard = guard
        self._mirror = Mirror(storage, guard)
        self._owner = owner
        self._keep = keep
        self._searched = {(trial.family, trial.number): trial for trial in trials}
        self._candidates = self._open(f"{name}/{RETRAIN}", _ACCURACY, "maximize")
        self._finals = self._open(f"{name}/{FINAL}", _LOSS, "minimize")
        self._trials: dict[str, optuna.Trial] = {}
        self._seen: dict[str, int] = {}

    def _open(self, name: str, metric: str, direction: Direction) -> optuna.Study:
        stored = open_study(self._storage, name, metric, direction, self._owner)
        sweep(self._storage, stored)
        if metric == _ACCURACY and stored.direction != StudyDirection.MAXIMIZE:
            stored = self._guard(lambda: _made_anew(self._storage, stored))
        return self._mirror.open(stored, stored_trials(self._storage, stored._study_id))

    def begin(self, job: Job) -> None:
        with shielded():
            assert job.run is not None  # it is no trial of a search
            record = job.run.record
            trial = self._mirror.ask(self._finals if record.role == "final" else self._candidates)
            self._set_parameters(trial, record)
            for key, value in _known_at_first(job.id, record).items():
                trial.set_user_attr(key, value)
            self._trials[job.id] = trial
            self._mirror.write()

    def _set_parameters(self, trial: optuna.Trial, record: RunRecord) -> None:
        searched = self._searched.get((record.family, record.trial))
        if searched is None:
            return
        for name, value in searched.parameters.items():
            distribution = json_to_distribution(searched.distributions[name])
            internal = distribution.to_internal_repr(value)
            try:
                trial.storage.set_trial_param(trial._trial_id, name, internal, distribution)
            except ValueError:  # another family has a parameter of this name and of another kind
                apart = f"{record.family}.{name}"
                trial.storage.set_trial_param(trial._trial_id, apart, internal, distribution)

    def report(self, job: Job, examples: int, metrics: RungMetrics) -> None:
        trial = self._trials[job.id]
        with shielded():
            if examples > self._seen.get(job.id, 0):  # a run repeated after its worker's death passes its marks again
                self._seen[job.id] = examples
                trial.set_user_attr("training_loss", _rounded(metrics.train_loss))
                validation = metrics.validation  # of a final run there is none
                trial.report(metrics.train_loss if validation is None else validation.accuracy, examples)
            self._mirror.write()

    def end(self, event: Finished, metrics: RunMetrics | None) -> None:
        """`metrics` are those of the run's file, None if it failed."""
        trial = self._trials.pop(event.job.id)
        with shielded():
            trial.set_user_attr("seconds", round(event.held_seconds, 1))
            if event.reason or metrics is None:
                self._fail(trial, event.reason or "no result")
            else:
                self._succeed(trial, event.job.id, metrics)
            self._mirror.write()

    def _succeed(self, trial: optuna.Trial, run: str, metrics: RunMetrics) -> None:
        for key, value in _known_at_last(metrics).items():
            trial.set_user_attr(key, value)
        whose = self._owner.id if self._owner else ""
        for key, text in self._keep(run, f"{whose}/{trial.study.study_name}/{trial.number}").items():
            trial.storage.set_trial_system_attr(trial._trial_id, key, text)
        trial.study.tell(trial, metrics.train_loss if metrics.accuracy is None else metrics.accuracy)

    def abandon(self, reason: str) -> None:
        """Close what is in flight when the command ends early."""
        with shielded():
            for trial in self._trials.values():
                self._fail(trial, reason)
            self._trials.clear()
            with contextlib.suppress(ResultsError):  # why the command ends matters more; the next one sweeps
                self._mirror.write()

    def _fail(self, trial: optuna.Trial, reason: str) -> None:
        trial.set_user_attr("reason", reason)
        trial.study.tell(trial, state=TrialState.FAIL)


def _known_at_first(run: str, record: RunRecord) -> dict[str, str | int]:
    return {
        "run": run,
        "family": record.family,
        "trial": f"{record.family} #{record.trial}",
        "seed": record.seed,
        "learns_from": "training images" if record.data_part == "train" else "training and validation images",
        "examples": record.examples,
    }


def _known_at_last(metrics: RunMetrics) -> dict[str, float]:
    """Rounded for people: the run's own files have every digit."""
    known = {
        "training_loss": metrics.train_loss,
        "nll": metrics.nll,
        "temperature": metrics.temperature,
        "training_seconds": metrics.training_seconds,
        "n_parameters": metrics.n_parameters,
        "flops": metrics.flops,
    }
    return {key: _rounded(value) for key, value in known.items() if value is not None}


def _rounded(value: float) -> float:
    return value if isinstance(value, int) else round(value, 4)


def _made_anew(storage: RDBStorage, stored: optuna.Study) -> optuna.Study:
    """The study as it is now, in place of one of an earlier version: there the lowest training loss was the best."""
    trials = [_converted(trial) for trial in stored_trials(storage, stored._study_id)]
    name, attrs = stored.study_name, stored.user_attrs
    with transaction(storage) as connection:
        storage.delete_study(stored._study_id)
        study = open_study(storage, name, _ACCURACY, "maximize")
        for key, value in attrs.items():
            study.set_user_attr(key, value)
        insert_trials(connection, study._study_id, trials)
    return study


def _converted(trial: FrozenTrial) -> FrozenTrial:
    """A final run has no value here: it is PRUNED, the one state for that which is no failure."""
    attrs = dict(trial.user_attrs)
    accuracy = attrs.pop("validation_accuracy", None) if attrs.get("role") == "candidate" else None
    state, value = trial.state, None
    if trial.value is not None:
        state, value = (TrialState.PRUNED, None) if accuracy is None else (TrialState.COMPLETE, accuracy)
        attrs["training_loss"] = trial.value
    converted = create_trial(state=state, value=value, user_attrs=attrs)
    converted.datetime_start, converted.datetime_complete = trial.datetime_start, trial.datetime_complete
    return converted
