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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import sqlalchemy
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
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


@dataclass(frozen=True)
class Kept:
    """What the database holds of a trial that has not ended: its id there, and its rows in each of the tables."""

    trial_id: int
    rows: tuple[Rows, ...] = ()


def insert_trials(connection: Connection, study_id: int, trials: Sequence[FrozenTrial]) -> tuple[int, list[Kept]]:
    """Store new trials of a study, in whatever state they are, under the next numbers; returns the first of these,
    which the database decides, and what it holds of them."""
    studies, table = models.StudyModel.__table__, models.TrialModel.__table__
    # As Optuna does it, so that no other program takes the same numbers meanwhile.
    study = sqlalchemy.select(studies.c.study_id).where(studies.c.study_id == study_id)
    connection.execute(study.with_for_update()).one()
    first = connection.scalar(sqlalchemy.select(sqlalchemy.func.count()).where(table.c.study_id == study_id)) or 0
    heads = [{"study_id": study_id, "number": first + i, **_head(trial)} for i, trial in enumerate(trials)]
    if not heads:
        return first, []
    connection.execute(sqlalchemy.insert(table), heads)
    new = sqlalchemy.and_(table.c.study_id == study_id, table.c.number >= first)
    trial_ids = connection.execute(sqlalchemy.select(table.c.trial_id).where(new).order_by(table.c.number)).scalars()
    news = [(Kept(trial_id), trial) for trial_id, trial in zip(trial_ids, trials, strict=True)]
    return first, _write_rows(connection, news)


def update_trials(connection: Connection, changes: Sequence[tuple[Kept, FrozenTrial]]) -> list[Kept | None]:
    """Store what has become of trials that ran when they were stored; None for one that somebody else has ended."""
    ended = _end(connection, [(kept.trial_id, trial) for kept, trial in changes if trial.state.is_finished()])
    written = _write_rows(connection, changes)
    # Last of all, when nobody else can write any more.
    ended |= _ended(connection, [kept.trial_id for kept, trial in changes if not trial.state.is_finished()])
    return [None if kept.trial_id in ended else kept for kept in written]


def _end(connection: Connection, trials: Sequence[tuple[int, FrozenTrial]]) -> set[int]:
    """End trials that run; returns the ids of those that somebody else has ended."""
    if not trials:
        return set()
    table, heads = models.TrialModel.__table__, {trial_id: _head(trial) for trial_id, trial in trials}
    running = sqlalchemy.and_(
        table.c.trial_id == sqlalchemy.bindparam("its_trial"), table.c.state == TrialState.RUNNING
    )
    values = [{"its_trial": trial_id, **head} for trial_id, head in heads.items()]
    names: dict[str, Any] = {name: sqlalchemy.bindparam(name) for name in values[0] if name != "its_trial"}
    if connection.execute(sqlalchemy.update(table).where(running).values(names), values).rowcount == len(values):
        return set()
    wanted = sqlalchemy.select(table.c.trial_id, table.c.state, table.c.datetime_complete)
    found = connection.execute(wanted.where(table.c.trial_id.in_(heads))).all()
    ours = {trial_id: (head["state"], head["datetime_complete"]) for trial_id, head in heads.items()}
    return {trial_id for trial_id, *its in found if tuple(its) != ours[trial_id]}


def _ended(connection: Connection, trial_ids: Sequence[int]) -> set[int]:
    if not trial_ids:
        return set()
    table = models.TrialModel.__table__
    ended = sqlalchemy.and_(table.c.trial_id.in_(trial_ids), table.c.state != TrialState.RUNNING)
    return set(connection.execute(sqlalchemy.select(table.c.trial_id).where(ended).with_for_update()).scalars())


def _write_rows(connection: Connection, changes: Sequence[tuple[Kept, FrozenTrial]]) -> list[Kept]:
    """Write what is new and what differs, a table at a time; returns what is stored then."""
    all_rows = []
    for index, part in enumerate(_PARTS):
        before = [kept.rows[index] if kept.rows else {} for kept, _ in changes]
        now = [part.rows_of(trial, old) for (_, trial), old in zip(changes, before, strict=True)]
        news, stale = [], []
        for (kept, _), old, new in zip(changes, before, now, strict=True):
            differing = [key for key, row in new.items() if old.get(key) != row]
            news += [{"trial_id": kept.trial_id, part.key: key, **new[key]} for key in differing]
            stale += [{"its_trial": kept.trial_id, "its_key": key} for key in differing if key in old]
        _replace(connection, part, stale, news)
        all_rows.append(now)
    return [Kept(kept.trial_id, rows) for (kept, _), rows in zip(changes, zip(*all_rows, strict=True), strict=True)]


def _replace(connection: Connection, part: _Part, stale: list[dict[str, Any]], news: list[dict[str, Any]]) -> None:
    table = part.model.__table__
    if stale:
        its = (
            table.c.trial_id == sqlalchemy.bindparam("its_trial"),
            table.c[part.key] == sqlalchemy.bindparam("its_key"),
        )
        connection.execute(sqlalchemy.delete(table).where(*its), stale)
    if news:
        connection.execute(sqlalchemy.insert(table), news)


def _head(trial: FrozenTrial) -> dict[str, Any]:
    times = {"datetime_start": _utc(trial.datetime_start), "datetime_complete": _utc(trial.datetime_complete)}
    return {"state": trial.state, **times}


def _param_row(name: str, trial: FrozenTrial) -> dict[str, Any]:
    distribution = trial.distributions[name]
    number = distribution.to_internal_repr(trial.params[name])
    return {"param_value": number, "distribution_json": _text_of(distribution)}


_TEXTS: dict[int, tuple[BaseDistribution, str]] = {}  # by identity: the choices 0 and 1 equal False and True
_MOST_TEXTS = 4096


def _text_of(distribution: BaseDistribution) -> str:
    """Thousands of trials have a few dozen distributions between them."""
    known = _TEXTS.get(id(distribution))
    if known is None:
        if len(_TEXTS) >= _MOST_TEXTS:
            _TEXTS.clear()
        known = _TEXTS[id(distribution)] = distribution, distribution_to_json(distribution)
    return known[1]


def _param_rows(trial: FrozenTrial, before: Rows) -> Rows:
    """What was drawn stays."""
    return {name: before[name] if name in before else _param_row(name, trial) for name in trial.distributions}


def _value_rows(trial: FrozenTrial, _: Rows) -> Rows:
    if trial.value is None:
        return {}
    number, kind = models.TrialValueModel.value_to_stored_repr(trial.value)
    return {0: {"value": number, "value_type": kind}}


def _intermediate_rows(trial: FrozenTrial, _: Rows) -> Rows:
    to_stored = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr
    names = ("intermediate_value", "intermediate_value_type")
    return {step: dict(zip(names, to_stored(value), strict=True)) for step, value in trial.intermediate_values.items()}


def _attribute_rows(attributes: dict[str, Any]) -> Rows:
    return {key: {"value_json": json.dumps(value)} for key, value in attributes.items()}


@dataclass(frozen=True)
class _Part:
    """A table of what a trial consists of: the column that tells its rows apart, and the others by it, for a trial and
    the rows that are stored of it."""

    model: Any
    key: str
    rows_of: Callable[[FrozenTrial, Rows], Rows]


_PARTS = (
    _Part(models.TrialParamModel, "param_name", _param_rows),
    _Part(models.TrialValueModel, "objective", _value_rows),
    _Part(models.TrialIntermediateValueModel, "step", _intermediate_rows),
    _Part(models.TrialUserAttributeModel, "key", lambda trial, _: _attribute_rows(trial.user_attrs)),
    _Part(models.TrialSystemAttributeModel, "key", lambda trial, _: _attribute_rows(trial.system_attrs)),
)


def rename_study(connection: Connection, study_id: int, name: str) -> None:
    table = models.StudyModel.__table__
    connection.execute(sqlalchemy.update(table).where(table.c.study_id == study_id).values(study_name=name))
