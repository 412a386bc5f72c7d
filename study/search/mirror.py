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
from optuna.study._tell import _tell_with_warning
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import Connection

from study.errors import ResultsError
from study.search.draft import Drawn
from study.search.lock import Guard, at_once
from study.search.storage import transaction
from study.search.tables import Kept, insert_trials, update_trials


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
    """A trial that has not ended in the storage: its number there, and what the storage holds of it."""

    twins: _Twins
    number: int
    kept: Kept | None = None


class _Memory(InMemoryStorage):
    """Knows which trials have changed."""

    def __init__(self) -> None:
        super().__init__()
        self.changed: set[int] = set()

    def _set_trial(self, trial_id: int, trial: FrozenTrial) -> None:
        super()._set_trial(trial_id, trial)
        self.changed.add(trial_id)

    def set_parameters(self, trial_id: int, drawn: Drawn) -> None:
        """All at once: `set_trial_param` copies the trial for each."""
        with self._lock:
            trial = copy.copy(self._get_trial(trial_id))
            trial.params, trial.distributions = dict(drawn.parameters), dict(drawn.distributions)
            self._set_trial(trial_id, trial)


class Mirror:
    """Studies whose only writer this is. A trial has the same number in memory and in the storage, unless a study
    beside has trials there, too."""

    def __init__(self, storage: RDBStorage, guard: Guard = at_once) -> None:
        self._storage = storage
        self._guard = guard
        self._memory = _Memory()
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

    def ask(self, study: optuna.Study, drawn: Drawn | None = None) -> optuna.Trial:
        """A new trial, with what was drawn for it, stored at the next `write`."""
        trial = study.ask()
        twins = self._beside.get(study.study_name) or self._studies[study.study_name]
        self._unfinished[trial._trial_id] = _Unfinished(twins, twins.n_trials)
        twins.n_trials += 1
        self._memory.changed.add(trial._trial_id)
        if drawn is not None:
            self._memory.set_parameters(trial._trial_id, drawn)
            trial = optuna.Trial(study, trial._trial_id)  # which sees them
        return trial

    def number_of(self, trial: optuna.Trial) -> int:
        """The number of a trial that has not ended, in the storage."""
        return self._unfinished[trial._trial_id].number

    @staticmethod
    def tell(trial: optuna.Trial, value: float | None, state: TrialState) -> None:
        """End a trial, as `study.tell` does: without the copy of all that it holds, which that returns."""
        _tell_with_warning(trial.study, trial, value, state)

    def write(self, *, reports: bool = True) -> list[tuple[str, FrozenTrial]]:
        """Store the trials that began or ended, and with `reports` the others that changed, and with them their
        studies' attributes. Returns those that ended, each with the name of its study.

        ResultsError if the storage cannot be written, or has given a trial another number; nothing is stored then,
        and the next call tries again.
        """
        changed = {trial_id: self._memory.get_trial(trial_id) for trial_id in sorted(self._memory.changed)}
        due = {trial_id: trial for trial_id, trial in changed.items() if reports or self._must_be_stored(trial)}
        return self._written(due, self._guard(lambda: self._store(due))) if due else []

    def _must_be_stored(self, trial: FrozenTrial) -> bool:
        """Whether it ended, or began: a later trial gets its number with those before it alone."""
        return trial.state.is_finished() or self._unfinished[trial._trial_id].kept is None

    def _store(self, due: dict[int, FrozenTrial]) -> dict[int, Kept]:
        """Write what is due at once; returns what is stored of it."""
        with transaction(self._storage) as connection:
            for twins in self._studies.values():
                self._write_attributes(twins)
            kept = self._update(connection, due)
            for twins in self._studies.values():
                kept |= self._insert(connection, twins, due)
            return kept

    def _update(self, connection: Connection, due: dict[int, FrozenTrial]) -> dict[int, Kept]:
        known = {trial_id: kept for trial_id in due if (kept := self._unfinished[trial_id].kept) is not None}
        written = update_trials(connection, [(kept, due[trial_id]) for trial_id, kept in known.items()])
        now: dict[int, Kept] = {}
        for trial_id, kept in zip(known, written, strict=True):
            if kept is None:
                unfinished = self._unfinished[trial_id]
                raise _meddled(unfinished.twins.stored, f"trial {unfinished.number} was ended in the storage")
            now[trial_id] = kept
        return now

    def _insert(self, connection: Connection, twins: _Twins, due: dict[int, FrozenTrial]) -> dict[int, Kept]:
        unfinished = {trial_id: self._unfinished[trial_id] for trial_id in due}
        new = [trial_id for trial_id, one in unfinished.items() if one.twins is twins and one.kept is None]
        if not new:
            return {}
        number, kept = insert_trials(connection, twins.stored._study_id, [due[trial_id] for trial_id in new])
        first = unfinished[new[0]].number
        if number != first:
            raise _meddled(twins.stored, f"trial {first} became number {number} in the storage")
        return dict(zip(new, kept, strict=True))

    def _write_attributes(self, twins: _Twins) -> None:
        for key, value in self._attributes(twins).items():
            if twins.attributes.get(key) != value:
                self._storage.set_study_system_attr(twins.stored._study_id, key, value)

    def _attributes(self, twins: _Twins) -> dict[str, Any]:
        return self._memory.get_study_system_attrs(twins.memory._study_id)

    def _written(self, due: dict[int, FrozenTrial], kept: dict[int, Kept]) -> list[tuple[str, FrozenTrial]]:
        """Keep what was committed; returns the trials that ended."""
        self._memory.changed -= due.keys()
        ended = []
        for twins in self._studies.values():
            twins.attributes = self._attributes(twins)
        for trial_id, trial in due.items():
            twins, number = self._unfinished[trial_id].twins, self._unfinished[trial_id].number
            if trial.state.is_finished():
                del self._unfinished[trial_id]
                ended.append((twins.stored.study_name, _numbered(trial, number)))
            else:
                self._unfinished[trial_id] = _Unfinished(twins, number, kept[trial_id])
        return ended


def _numbered(trial: FrozenTrial, number: int) -> FrozenTrial:
    numbered = copy.copy(trial)
    numbered.number = number
    return numbered


def _meddled(study: optuna.Study, seen: str) -> ResultsError:
    return ResultsError(
        f"study {study.study_name}: {seen}, so another program writes to it; "
        "end that, then continue with the same command"
    )
