"""A study on disk, searched by the real driver over an in-process executor whose work is a formula of the
configuration: real storage, no training."""

from __future__ import annotations

import itertools
import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.storages import RDBStorage
from sqlalchemy.engine import Engine

from study.execution.executors import InProcessExecutor
from study.execution.jobs import Job, OnRung, Outcome, RungMetrics, Validation
from study.execution.worker import Work
from study.records.paths import StudyFiles
from study.records.settings import StudySettings
from study.records.trial import TrialRecord, Trials, read_trials
from study.search.agreement import is_given, record_of
from study.search.driver import Search
from study.search.lock import Guard, at_once
from study.search.storage import open_storage, storage_url
from study.search.turns import Limits

RUNGS = (100, 300, 900)
Settings = Callable[..., StudySettings]


def quality(job: Job) -> float:
    """Between 0 and 1, best at a learning rate of 0.02; the seed matters a little."""
    distance = abs(math.log10(job.config["learning_rate"] / 0.02))
    return 0.9 / (1 + distance) + job.seed % 1000 / 1e5


def metrics(accuracy: float, training_seconds: float = 0.01) -> RungMetrics:
    return RungMetrics(1.0, 0.1, training_seconds, Validation(accuracy, 2 - accuracy, 1 - accuracy, 1.0))


def work(job: Job, on_rung: OnRung) -> Outcome:
    for rung, examples in enumerate(RUNGS):
        if not on_rung(examples, metrics(quality(job) * (rung + 1) / len(RUNGS))):
            break
    return Outcome(n_parameters=10, training_seconds=0.01)


class Bench:
    """A study on disk; every `search` opens it anew, as another command would. `close` ends what was opened."""

    def __init__(self, files: StudyFiles, settings: StudySettings) -> None:
        self.files = files
        self.settings = settings
        self._opened: list[RDBStorage] = []

    def storage(self) -> RDBStorage:
        self._opened.append(open_storage(storage_url(self.files, self.settings.storage)))
        return self._opened[-1]

    def close(self) -> None:
        for storage in self._opened:
            storage.engine.dispose()

    def open(self, guard: Guard = at_once) -> Search:
        return Search(self.files, self.settings, self.storage(), self.records, guard)

    def search(
        self,
        limits: Limits,
        work: Work = work,
        n_workers: int = 1,
        observe: Callable[[Search, TrialRecord | None], None] = lambda *_: None,
    ) -> Search:
        search = self.open()
        try:
            with InProcessExecutor(n_workers, work) as executor:
                search.run(executor, limits, observe)
        finally:
            self.compare(search)
        return search

    def compare(self, search: Search) -> None:
        """The memory that sampler and pruner saw is what the database holds, with the same numbers; where what is given
        is kept apart, all but that."""
        for name, family in search.families.items():
            in_memory, stored = family.study.get_trials(), self.trials(name)
            if self.settings.given == "apart":
                drawn = [trial for trial in stored if not is_given(trial)]
                assert [content(t) | {"_number": 0} for t in in_memory] == [content(t) | {"_number": 0} for t in drawn]
            else:
                assert list(map(content, in_memory)) == list(map(content, stored))

    @property
    def records(self) -> Trials:
        return read_trials(self.files.trials_jsonl)

    @property
    def counted(self) -> Trials:
        return self.records.counted

    def trials(self, family: str) -> list[optuna.trial.FrozenTrial]:
        return optuna.load_study(study_name=f"tiny/{family}", storage=self.storage()).get_trials()

    def check(self) -> None:
        """Nothing is RUNNING, and every record is what the database holds."""
        stored = [
            record_of(trial, family)
            for family in self.settings.families
            for trial in self.trials(family)
            if trial.state.is_finished() or pytest.fail(f"{family} {trial.number} is {trial.state.name}")
        ]
        order = [(record.family, record.number) for record in self.records]
        assert len(set(order)) == len(order)
        assert sorted(self.records, key=lambda r: (r.family, r.number)) == sorted(
            stored, key=lambda r: (r.family, r.number)
        )


def content(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    return {key: value for key, value in vars(trial).items() if key != "_trial_id"}


class Stop(Exception):
    """Stands for a signal."""


def interrupting(after: int) -> Callable[[Search, TrialRecord | None], None]:
    count = itertools.count(1)

    def observe(*_: object) -> None:
        if next(count) == after:
            raise Stop

    return observe


@contextmanager
def failing_statement(at: int) -> Iterator[list[object]]:
    """The `at`-th SQL statement, counted from 1, does not succeed; the others do. Yields what was tried."""
    tried: list[object] = []

    def fail(cursor: object, *_: object) -> None:
        tried.append(cursor)
        if len(tried) == at:
            raise sqlite3.OperationalError("database is locked")

    ways = ("do_execute", "do_executemany", "do_execute_no_params")
    for way in ways:
        sqlalchemy.event.listen(Engine, way, fail)
    try:
        yield tried
    finally:
        for way in ways:
            sqlalchemy.event.remove(Engine, way, fail)


class PowerFailure(Exception):
    """Nothing is written any more."""


@contextmanager
def power_until(statement: int) -> Iterator[list[object]]:
    """From this SQL statement on, counted from 1, each one fails. Yields what was executed."""
    executed: list[object] = []

    def fail(_: object, cursor: object, *__: object) -> None:
        if len(executed) + 1 >= statement:
            raise PowerFailure
        executed.append(cursor)

    sqlalchemy.event.listen(Engine, "before_cursor_execute", fail)
    try:
        yield executed
    finally:
        sqlalchemy.event.remove(Engine, "before_cursor_execute", fail)


def outcome(record: TrialRecord) -> dict[str, Any]:
    """What an identical rerun repeats: all but clocks, trial numbers and attempts."""
    kept = ("draw", "family", "parameters", "config", "state", "value", "nll_scaled", "seed", "role", "examples")
    return {key: getattr(record, key) for key in kept}


def outcomes(bench: Bench) -> list[dict[str, Any]]:
    return sorted(map(outcome, bench.counted), key=lambda record: (record["family"], record["draw"]))
