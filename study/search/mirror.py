"""Optuna's studies in memory, written behind into the storage that keeps them.

A trial makes dozens of small reads and writes, each of which is a transaction of the database. Here sampling, pruning
and telling happen in memory, and what came of them is stored in one transaction for all that is due.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy.engine import Connection

from study.errors import ResultsError
from study.search.lock import Guard, at_once
from study.search.storage import transaction
from study.search.tables import insert_trial, update_trial


@dataclass
class _Twins:
    """A study in memory and its stored twin, with the system attributes that both have. `n_trials` are asked for in
    the stored one, those of a study beside it included."""

    memory: optuna.Study
    stored: optuna.Study
    attributes: dict[str, Any]
    n_trials: int


@dataclass(frozen=True)
class _Unfinished:
    """A trial that has not ended in the storage: its number and its id there, and a copy of it as it was written."""

    twins: _Twins
    number: int
    stored_id: int | None = None
    written: FrozenTrial | None = None


class Mirror:
    """Studies whose only writer this is. A trial has the same number in memory and in the storage, unless a study
    beside has trials there, too."""

    def __init__(self, storage: RDBStorage, guard: Guard = at_once) -> None:
        self._storage = storage
        self._guard = guard
        self._memory = InMemoryStorage()
        self._studies: dict[str, _Twins] = {}
        self._beside: dict[str, _Twins] = {}  # by the name of the study in memory
        self._unfinished: dict[int, _Unfinished] = {}

    def open(self, stored: optuna.Study, trials: Sequence[FrozenTrial], hidden: Collection[int] = ()) -> optuna.Study:
        """The study in memory; `trials` are all that are stored, each of them finished. To be asked with `ask`.
        It does not know of those whose numbers are `hidden`.

        It has the stored one's name, on which hyperband's brackets depend, and its system attributes, which hold the
        position of a quasi-random sequence.
        """
        if [trial.number for trial in trials] != list(range(len(trials))):
            raise ResultsError(f"study {stored.study_name}: trials are missing in the database; restore it")
        study = optuna.create_study(study_name=stored.study_name, storage=self._memory, direction=stored.direction)
        attributes = self._storage.get_study_system_attrs(stored._study_id)
        for key, value in attributes.items():
            self._memory.set_study_system_attr(study._study_id, key, value)
        for trial in trials:
            if trial.number not in hidden:
                self._memory.create_new_trial(study._study_id, template_trial=trial)
        self._studies[stored.study_name] = _Twins(study, stored, attributes, len(trials))
        return study

    def open_beside(self, study: optuna.Study) -> optuna.Study:
        """A further study in memory, whose trials are stored in the same one: what `study` is asked for does not depend
        on them."""
        name = f"{study.study_name} beside"
        beside = optuna.create_study(study_name=name, storage=self._memory, direction=study.direction)
        self._beside[name] = self._studies[study.study_name]
        return beside

    def ask(self, study: optuna.Study) -> optuna.Trial:
        """A new trial, stored at the next `write`."""
        trial = study.ask()
        twins = self._beside.get(study.study_name) or self._studies[study.study_name]
        self._unfinished[trial._trial_id] = _Unfinished(twins, twins.n_trials)
        twins.n_trials += 1
        return trial

    def number_of(self, trial: optuna.Trial) -> int:
        """The number of a trial that has not ended, in the storage."""
        return self._unfinished[trial._trial_id].number

    def take_back(self, trial: optuna.Trial) -> None:
        """Undo the last `ask`, which nothing was written of: the next trial gets its number."""
        self._unfinished.pop(trial._trial_id).twins.n_trials -= 1
        with self._memory._lock:  # Optuna has no way to remove a trial
            study_id, _ = self._memory._trial_id_to_study_id_and_number.pop(trial._trial_id)
            self._memory._studies[study_id].trials.pop()

    def write(self) -> list[tuple[str, FrozenTrial]]:
        """Store the trials that changed, and with them their studies' attributes. Returns those that ended, each with
        the name of its study.

        ResultsError if the storage cannot be written, or has given a trial another number; nothing is stored then,
        and the next call tries again.
        """
        now = {trial_id: self._memory.get_trial(trial_id) for trial_id in self._unfinished}
        due = {trial_id: trial for trial_id, trial in now.items() if trial != self._unfinished[trial_id].written}
        if not due:
            return []
        return self._written(due, self._guard(lambda: self._store(due)))

    def _store(self, due: dict[int, FrozenTrial]) -> dict[int, int]:
        """Write what is due at once; returns its ids in the storage."""
        with transaction(self._storage) as connection:
            for twins in self._studies.values():
                self._write_attributes(twins)
            return {
                trial_id: _write_trial(connection, self._unfinished[trial_id], trial) for trial_id, trial in due.items()
            }

    def _write_attributes(self, twins: _Twins) -> None:
        for key, value in self._attributes(twins).items():
            if twins.attributes.get(key) != value:
                self._storage.set_study_system_attr(twins.stored._study_id, key, value)

    def _attributes(self, twins: _Twins) -> dict[str, Any]:
        return self._memory.get_study_system_attrs(twins.memory._study_id)

    def _written(self, due: dict[int, FrozenTrial], stored_ids: dict[int, int]) -> list[tuple[str, FrozenTrial]]:
        """Keep what was committed; returns the trials that ended."""
        ended = []
        for twins in self._studies.values():
            twins.attributes = self._attributes(twins)
        for trial_id, trial in due.items():
            twins, number = self._unfinished[trial_id].twins, self._unfinished[trial_id].number
            if trial.state.is_finished():
                del self._unfinished[trial_id]
                ended.append((twins.stored.study_name, _numbered(trial, number)))
            else:
                # A copy, because optuna.Trial alters what it shares with the memory.
                self._unfinished[trial_id] = _Unfinished(twins, number, stored_ids[trial_id], copy.deepcopy(trial))
        return ended


def _write_trial(connection: Connection, unfinished: _Unfinished, trial: FrozenTrial) -> int:
    """Insert or update a trial; returns its id in the storage."""
    study = unfinished.twins.stored
    if unfinished.stored_id is not None and unfinished.written is not None:
        if not update_trial(connection, unfinished.stored_id, unfinished.written, trial):
            raise _meddled(study, f"trial {unfinished.number} was ended in the storage")
        return unfinished.stored_id
    stored_id, number = insert_trial(connection, study._study_id, trial)
    if number != unfinished.number:
        raise _meddled(study, f"trial {unfinished.number} became number {number} in the storage")
    return stored_id


def _numbered(trial: FrozenTrial, number: int) -> FrozenTrial:
    numbered = copy.copy(trial)
    numbered.number = number
    return numbered


def _meddled(study: optuna.Study, seen: str) -> ResultsError:
    return ResultsError(
        f"study {study.study_name}: {seen}, so another program writes to it; "
        "end that, then continue with the same command"
    )
