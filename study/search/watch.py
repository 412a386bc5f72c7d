"""The Optuna study `<name>/retrain`: every candidate and final run as a trial that one can watch."""

from __future__ import annotations

import contextlib
from typing import Any

import optuna
from optuna.storages import RDBStorage

from study.errors import ResultsError
from study.execution.jobs import Finished, Job
from study.interrupts import shielded
from study.search.identity import Owner
from study.search.lock import Guard, at_once
from study.search.mirror import Mirror
from study.search.storage import open_study, sweep
from study.search.tables import read_trials


class RetrainWatch:
    """Mirrors runs into a study of their own. Its value is the training loss, to be minimised: the one figure that a
    final run, which has no validation images left, shares with a candidate."""

    def __init__(self, name: str, storage: RDBStorage, guard: Guard = at_once, owner: Owner | None = None) -> None:
        stored = open_study(storage, f"{name}/retrain", "training loss", "minimize", owner)
        sweep(storage, stored)
        self._mirror = Mirror(storage, guard)
        self._study = self._mirror.open(stored, read_trials(storage, stored._study_id))
        self._trials: dict[str, optuna.Trial] = {}
        self._seen: dict[str, int] = {}

    def begin(self, job: Job) -> None:
        with shielded():
            trial = self._mirror.ask(self._study)
            record = job.run.record if job.run else {}
            for key in ("family", "role", "seed", "data_part"):
                trial.set_user_attr(key, record[key])
            trial.set_user_attr("origin", f"{record['family']} #{record['trial']}")
            trial.set_user_attr("run", job.id)
            trial.set_user_attr("config", job.config)
            self._trials[job.id] = trial
            self._mirror.write()

    def report(self, job: Job, examples: int, metrics: dict[str, Any]) -> None:
        trial = self._trials[job.id]
        with shielded():
            if examples > self._seen.get(job.id, 0):  # a run repeated after its worker's death passes its marks again
                self._seen[job.id] = examples
                trial.report(metrics["train_loss"], examples)
            if "accuracy" in metrics:
                trial.set_user_attr("validation_accuracy", metrics["accuracy"])
            self._mirror.write()

    def end(self, event: Finished, train_loss: float | None) -> None:
        trial = self._trials.pop(event.job.id)
        with shielded():
            trial.set_user_attr("seconds", round(event.held_seconds, 3))
            if event.reason or train_loss is None:
                trial.set_user_attr("reason", event.reason or "no result")
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                self._study.tell(trial, train_loss)
            self._mirror.write()

    def abandon(self, reason: str) -> None:
        """Close what is in flight when the command ends early."""
        with shielded():
            for trial in self._trials.values():
                trial.set_user_attr("reason", reason)
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            self._trials.clear()
            with contextlib.suppress(ResultsError):  # why the command ends matters more; the next one sweeps
                self._mirror.write()
