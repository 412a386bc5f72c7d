"""The trials of a study in the database, read and written a table at a time.

Optuna makes an object of every parameter, value and attribute, and asks the database about each: over a millisecond to
read a trial, and 40 to write one with twenty parameters. Here it is a tenth of that. The tables are those of Optuna's
own models (its schema is that of version 3.2): a trial written here is what Optuna reads, and the other way round.
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import sqlalchemy
from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from study.errors import ResultsError

DAMAGE = (SQLAlchemyError, StorageInternalError, LookupError, ValueError, TypeError, AssertionError)
ByTrial = defaultdict[int, dict[Any, Any]]
Rows = dict[Any, dict[str, Any]]
_COLUMNS = ("trial_id", "number", "state", "datetime_start", "datetime_complete")


# --- reading ---------------------------------------------------------------------------------------------------------


class StoredTrial(FrozenTrial):
    """A trial that nothing changes any more: copies of it share what it holds."""

    def __deepcopy__(self, memo: dict[int, Any]) -> StoredTrial:
        return copy.copy(self)


def stored_trials(storage: RDBStorage, study_id: int) -> list[FrozenTrial]:
    """The trials of a study by number. ResultsError if the database does not answer, or holds what no trial could."""
    with damage_explained(), storage.engine.connect() as connection:
        return _Reader(connection, study_id).trials()


@contextlib.contextmanager
def damage_explained() -> Iterator[None]:
    """Raise what reading a damaged database ends in as ResultsError."""
    try:
        yield
    except DAMAGE as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ResultsError(
            f"the database cannot be read: {cause}; rebuild it with `study doctor --repair`, or restore it"
        ) from error


class _Reader:
    """The rows of one study, gathered by trial."""

    def __init__(self, connection: Connection, study_id: int) -> None:
        self._connection = connection
        self._study_id = study_id

    def trials(self) -> list[FrozenTrial]:
        # First of all: what a trial that is finished now consists of is then complete in the tables read after.
        trials = list(self._select(models.TrialModel, *_COLUMNS))
        params, distributions = self._params()
        values, intermediate_values = self._values(), self._intermediate_values()
        user_attrs = self._attributes(models.TrialUserAttributeModel)
        system_attrs = self._attributes(models.TrialSystemAttributeModel)
        return [
            StoredTrial(
                number=number,
                trial_id=trial_id,
                state=state,
                value=values[trial_id].get(0),
                datetime_start=_local(start),
                datetime_complete=_local(complete),
                params=params[trial_id],
                distributions=distributions[trial_id],
                user_attrs=user_attrs[trial_id],
                system_attrs=system_attrs[trial_id],
                intermediate_values=intermediate_values[trial_id],
            )
            for trial_id, number, state, start, complete in trials
        ]

    def _select(self, model: Any, *columns: str) -> Iterable[Any]:
        """These columns of a table's rows, in the order in which they were written."""
        table, trials = model.__table__, models.TrialModel.__table__
        ours = sqlalchemy.select(trials.c.trial_id).where(trials.c.study_id == self._study_id)
        wanted = sqlalchemy.select(*(table.c[name] for name in columns)).where(table.c.trial_id.in_(ours))
        return self._connection.execute(wanted.order_by(*table.primary_key)).all()

    def _params(self) -> tuple[ByTrial, ByTrial]:
        params, distributions = ByTrial(dict), ByTrial(dict)
        distribution_of = cache(json_to_distribution)  # thousands of trials have a few dozen between them
        columns = ("trial_id", "param_name", "param_value", "distribution_json")
        for trial_id, name, number, text in self._select(models.TrialParamModel, *columns):
            distribution = distribution_of(text)
            params[trial_id][name] = distribution.to_external_repr(number)
            distributions[trial_id][name] = distribution
        return params, distributions

    def _values(self) -> ByTrial:
        model, values = models.TrialValueModel, ByTrial(dict)
        for trial_id, objective, number, kind in self._select(model, "trial_id", "objective", "value", "value_type"):
            values[trial_id][objective] = model.stored_repr_to_value(number, kind)
        return values

    def _intermediate_values(self) -> ByTrial:
        model, values = models.TrialIntermediateValueModel, ByTrial(dict)
        columns = ("trial_id", "step", "intermediate_value", "intermediate_value_type")
        for trial_id, step, number, kind in self._select(model, *columns):
            values[trial_id][step] = model.stored_repr_to_intermediate_value(number, kind)
        return values

    def _attributes(self, model: Any) -> ByTrial:
        attributes = ByTrial(dict)
        for trial_id, key, text in self._select(model, "trial_id", "key", "value_json"):
            attributes[trial_id][key] = json.loads(text)
        return attributes


def _local(moment: datetime | None) -> datetime | None:
    """The database has times in UTC, a trial in local time, both without saying so."""
    return moment and moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)


def _utc(moment: datetime | None) -> datetime | None:
    return moment and moment.astimezone(UTC).replace(tzinfo=None)


# --- writing ---------------------------------------------------------------------------------------------------------


def insert_trial(connection: Connection, study_id: int, trial: FrozenTrial) -> tuple[int, int]:
    """Store a new trial, in whatever state it is; returns its id and its number, both of which the database decides."""
    studies, trials = models.StudyModel.__table__, models.TrialModel.__table__
    # As Optuna does it, so that no other program takes the same number meanwhile.
    study = sqlalchemy.select(studies.c.study_id).where(studies.c.study_id == study_id)
    connection.execute(study.with_for_update()).one()
    count = sqlalchemy.select(sqlalchemy.func.count()).where(trials.c.study_id == study_id).scalar_subquery()
    row = sqlalchemy.insert(trials).values(study_id=study_id, number=count, **_head(trial))
    trial_id, number = connection.execute(row.returning(trials.c.trial_id, trials.c.number)).one()
    for part in _PARTS:
        _write_rows(connection, trial_id, part, {}, part.rows(trial))
    return trial_id, number


def update_trial(connection: Connection, trial_id: int, before: FrozenTrial, now: FrozenTrial) -> bool:
    """Store what has become of a trial since it was stored as `before`; False if it is in another state by now."""
    trials = models.TrialModel.__table__
    as_before = sqlalchemy.and_(trials.c.trial_id == trial_id, trials.c.state == before.state)
    if connection.execute(sqlalchemy.update(trials).where(as_before).values(_head(now))).rowcount != 1:
        return False
    for part in _PARTS:
        _write_rows(connection, trial_id, part, part.rows(before), part.rows(now))
    return True


def _write_rows(connection: Connection, trial_id: int, part: _Part, before: Rows, now: Rows) -> None:
    table = part.model.__table__
    news = {key: row for key, row in now.items() if before.get(key) != row}
    changed = news.keys() & before.keys()
    if changed:
        these = sqlalchemy.and_(table.c.trial_id == trial_id, table.c[part.key].in_(changed))
        connection.execute(sqlalchemy.delete(table).where(these))
    if news:
        rows = [{"trial_id": trial_id, part.key: key, **row} for key, row in news.items()]
        connection.execute(sqlalchemy.insert(table), rows)


def _head(trial: FrozenTrial) -> dict[str, Any]:
    times = {"datetime_start": _utc(trial.datetime_start), "datetime_complete": _utc(trial.datetime_complete)}
    return {"state": trial.state, **times}


def _param_rows(trial: FrozenTrial) -> Rows:
    return {
        name: {
            "param_value": distribution.to_internal_repr(trial.params[name]),
            "distribution_json": distribution_to_json(distribution),
        }
        for name, distribution in trial.distributions.items()
    }


def _value_rows(trial: FrozenTrial) -> Rows:
    if trial.value is None:
        return {}
    number, kind = models.TrialValueModel.value_to_stored_repr(trial.value)
    return {0: {"value": number, "value_type": kind}}


def _intermediate_rows(trial: FrozenTrial) -> Rows:
    to_stored = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr
    names = ("intermediate_value", "intermediate_value_type")
    return {step: dict(zip(names, to_stored(value), strict=True)) for step, value in trial.intermediate_values.items()}


def _attribute_rows(attributes: dict[str, Any]) -> Rows:
    return {key: {"value_json": json.dumps(value)} for key, value in attributes.items()}


@dataclass(frozen=True)
class _Part:
    """A table of what a trial consists of: the column that tells its rows apart, and the others by it."""

    model: Any
    key: str
    rows: Callable[[FrozenTrial], Rows]


_PARTS = (
    _Part(models.TrialParamModel, "param_name", _param_rows),
    _Part(models.TrialValueModel, "objective", _value_rows),
    _Part(models.TrialIntermediateValueModel, "step", _intermediate_rows),
    _Part(models.TrialUserAttributeModel, "key", lambda trial: _attribute_rows(trial.user_attrs)),
    _Part(models.TrialSystemAttributeModel, "key", lambda trial: _attribute_rows(trial.system_attrs)),
)


def rename_study(connection: Connection, study_id: int, name: str) -> None:
    table = models.StudyModel.__table__
    connection.execute(sqlalchemy.update(table).where(table.c.study_id == study_id).values(study_name=name))
