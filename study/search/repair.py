"""A study's SQLite database, built again from trials.jsonl."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from study.errors import ResultsError
from study.records.files import replacing
from study.records.paths import StudyFiles
from study.records.settings import StudySettings
from study.records.trial import Trials
from study.search.agreement import compare_all, trial_of
from study.search.identity import owner_of
from study.search.storage import open_storage, open_study, own_database, sqlite_url, transaction
from study.search.tables import insert_trials

_BESIDE = ("", "-journal", "-wal", "-shm")  # SQLite applies a journal that it finds beside a file, whosever it was
_LOST = "lost with the database: it had not ended"


def rebuild_database(
    files: StudyFiles, settings: StudySettings, records: Trials, formerly: str | None = None
) -> Path | None:
    """Build the database from the records and put it in place whole; returns under which name the old one is kept, or
    None where there was none.

    Trials that had not ended get a place, so that numbers stay. The study of the retrainings, which is there to be
    watched, begins anew, and so do hyperband's brackets; the position of a quasi-random sequence is taken from the old
    database if it can be read, in which the study is called `formerly`, if it had another name.
    """
    name = formerly or settings.name
    positions = {family: study_attributes(files, f"{name}/{family}") for family in settings.families}
    with replacing(files.database) as part:
        storage = open_storage(sqlite_url(part))
        try:
            for family in settings.families:
                add_family(storage, settings, family, records, positions[family])
            compare_all(storage, settings, records, files)
        finally:
            storage.engine.dispose()
        return _set_aside(files.database)


def study_attributes(files: StudyFiles, name: str) -> dict[str, Any]:
    """The system attributes of an Optuna study in the study's own database, which may be damaged or missing."""
    if not files.database.exists():
        return {}
    with contextlib.suppress(ResultsError, LookupError, ValueError):
        storage = open_storage(own_database(files))
        try:
            return storage.get_study_system_attrs(storage.get_study_id_from_name(name))
        finally:
            storage.engine.dispose()
    return {}


def add_family(
    storage: RDBStorage,
    settings: StudySettings,
    family: str,
    records: Trials,
    attributes: Mapping[str, Any],
) -> None:
    """Write a family's Optuna study, which is not there yet, with all its trials, or nothing of it."""
    trials = {record.number: trial_of(record, settings.format_version) for record in records.of(family)}
    name = f"{settings.name}/{family}"
    with transaction(storage) as connection:
        study_id = open_study(storage, name, "accuracy", "maximize", owner_of(settings))._study_id
        for key, value in attributes.items():
            storage.set_study_system_attr(study_id, key, value)
        numbers = range(max(trials, default=-1) + 1)
        insert_trials(connection, study_id, [trials.get(number) or _place() for number in numbers])


def study_in_memory(settings: StudySettings, family: str, trials: Trials) -> optuna.Study:
    """A family's Optuna study with the trials that are recorded, which no file or database knows of."""
    recorded = {trial.number: trial_of(trial, settings.format_version) for trial in trials.of(family)}
    told = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # Optuna announces every study on stderr
    study = optuna.create_study(study_name=f"{settings.name}/{family}", direction="maximize")
    optuna.logging.set_verbosity(told)
    study.add_trials(recorded.get(number) or _place() for number in range(max(recorded, default=-1) + 1))
    return study


def _place() -> FrozenTrial:
    return create_trial(state=TrialState.FAIL, user_attrs={"counted": False, "ending": "interrupted", "reason": _LOST})


def _set_aside(database: Path) -> Path | None:
    """Rename a database and what belongs to it to the first number that is free."""
    kept = next(
        path for number in itertools.count(1) if not (path := database.with_name(f"{database.name}.{number}")).exists()
    )
    for suffix in _BESIDE:
        with contextlib.suppress(FileNotFoundError):
            database.with_name(database.name + suffix).rename(kept.with_name(kept.name + suffix))
    return kept if kept.exists() else None
