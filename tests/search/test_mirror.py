"""The mirror over SQLite: whatever happens in memory, the storage holds the same once it was written."""

from __future__ import annotations

import random
import sqlite3
from typing import Any

import optuna
import pytest
import sqlalchemy
from bench import content, failing_statement
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from study.errors import ResultsError
from study.search.mirror import Mirror
from study.search.storage import fail_uncounted, open_study, sweep
from study.search.tables import stored_trials


class Pair:
    """A study in memory and in the storage."""

    def __init__(self, storage: RDBStorage, name: str = "tiny/mlp") -> None:
        self.storage = storage
        self.stored = open_study(storage, name, "accuracy", "maximize")
        self.mirror = Mirror(storage)
        self.study = self.mirror.open(self.stored, stored_trials(storage, self.stored._study_id))

    def ask(self) -> optuna.Trial:
        trial = self.mirror.ask(self.study)
        trial.suggest_float("x", 0.0, 1.0)
        trial.suggest_categorical("kind", ["a", "b"])
        trial.set_user_attr("config", {"width": [8]})
        return trial

    def trials(self) -> list[list[dict[str, Any]]]:
        """(in memory, stored as Optuna reads it)"""
        return [list(map(content, study.get_trials())) for study in (self.study, self.stored)]


@pytest.fixture
def pair(storage: RDBStorage) -> Pair:
    return Pair(storage)


@pytest.mark.parametrize("seed", range(12))
def test_the_storage_equals_the_memory_after_any_sequence(storage: RDBStorage, seed: int) -> None:
    rng = random.Random(seed)
    pair = Pair(storage)
    flights: list[optuna.Trial] = []

    def report(trial: optuna.Trial) -> None:
        step = 100 * (1 + len(pair.study.trials[trial.number].intermediate_values))
        trial.report(rng.random(), step)

    def end(trial: optuna.Trial) -> None:
        flights.remove(trial)
        last = pair.study.trials[trial.number].last_step
        state = rng.choice([TrialState.COMPLETE, TrialState.PRUNED if last else TrialState.FAIL, TrialState.FAIL])
        pair.study.tell(trial, 0.5 if state == TrialState.COMPLETE else None, state=state)

    def drop(trial: optuna.Trial) -> None:
        flights.remove(trial)
        fail_uncounted(trial.storage, trial._trial_id, "withdrawn", "withdrawn")

    def annotate(trial: optuna.Trial) -> None:
        trial.set_user_attr(rng.choice("ab"), rng.random())

    def rung(trial: optuna.Trial) -> None:
        trial.storage.set_trial_system_attr(trial._trial_id, f"completed_rung_{rng.randrange(3)}", rng.random())

    def sequence(_: optuna.Trial) -> None:
        pair.study._storage.set_study_system_attr(pair.study._study_id, "qmc", rng.randrange(100))

    for _ in range(60):
        if not flights or rng.random() < 0.2:
            flights.append(pair.ask())
        rng.choice([report, report, end, drop, annotate, rung, sequence])(rng.choice(flights))
        if rng.random() < 0.3:
            pair.mirror.write()
            in_memory, stored = pair.trials()
            assert in_memory == stored
    for trial in list(flights):
        drop(trial)
    pair.mirror.write()
    attributes = [study._storage.get_study_system_attrs(study._study_id) for study in (pair.study, pair.stored)]
    assert attributes[0] == attributes[1]
    again = Pair(storage)
    assert again.trials()[0] == again.trials()[1] == pair.trials()[0]
    assert again.ask().number == len(pair.study.trials)


def test_a_report_right_after_a_write_is_written_too(pair: Pair) -> None:
    trial = pair.ask()
    pair.mirror.write()
    for step in (100, 300):
        trial.report(0.5, step)
        pair.mirror.write()
        assert list(pair.stored.trials[0].intermediate_values)[-1] == step


def test_ended_trials_are_returned_once(pair: Pair) -> None:
    first, second = pair.ask(), pair.ask()
    assert pair.mirror.write() == []
    pair.study.tell(second, 0.5)
    ((name, trial),) = pair.mirror.write()
    assert (name, content(trial)) == ("tiny/mlp", content(pair.stored.trials[1]))
    assert pair.mirror.write() == []
    pair.study.tell(first, 0.25)
    assert [trial.number for _, trial in pair.mirror.write()] == [0]


def test_a_trial_that_began_and_ended_between_two_writes_is_stored_whole(pair: Pair) -> None:
    trial = pair.ask()
    trial.report(0.5, 100)
    pair.study.tell(trial, 0.5)
    ((_, stored),) = pair.mirror.write()
    assert (stored.state, stored.value, stored.intermediate_values) == (TrialState.COMPLETE, 0.5, {100: 0.5})
    assert content(stored) == content(pair.stored.trials[0])


def test_a_write_is_one_transaction_and_nothing_due_is_none(pair: Pair) -> None:
    commits: list[object] = []
    sqlalchemy.event.listen(pair.storage.engine, "commit", commits.append)
    for _ in range(3):
        trial = pair.ask()
        trial.report(0.5, 100)
        pair.study.tell(trial, 0.5)
    pair.mirror.write()
    pair.mirror.write()
    assert len(commits) == 1


def statements(pair: Pair) -> int:
    """How many statements the next write has."""
    count: list[object] = []

    def note(_: object, cursor: object, *rest: object) -> None:
        count.append(cursor)

    sqlalchemy.event.listen(pair.storage.engine, "before_cursor_execute", note)
    pair.mirror.write()
    sqlalchemy.event.remove(pair.storage.engine, "before_cursor_execute", note)
    return len(count)


def busy(pair: Pair) -> None:
    """A study attribute, a trial that goes on, one that ended, and one that did both, all due."""
    pair.study._storage.set_study_system_attr(pair.study._study_id, "qmc", len(pair.study.trials))
    for trial in pair.study.get_trials(states=(TrialState.RUNNING,)):
        pair.study._storage.set_trial_intermediate_value(trial._trial_id, 300, 0.5)
        pair.study.tell(trial.number, 0.5)
    pair.study.tell(pair.ask(), 0.25)
    pair.ask().report(0.5, 100)


def test_a_write_that_fails_anywhere_stores_nothing_and_the_next_stores_all(pair: Pair) -> None:
    busy(pair)
    pair.mirror.write()
    busy(pair)
    for at in range(1, statements(pair), 4):
        busy(pair)
        before = pair.trials()[1]
        with (
            pytest.raises(ResultsError, match=r"cannot be read or written: database is locked; .*same command$"),
            failing_statement(at),
        ):
            pair.mirror.write()
        assert pair.trials()[1] == before
        assert len(pair.mirror.write()) == 2
        in_memory, stored = pair.trials()
        assert in_memory == stored


def test_a_failing_commit_stores_nothing(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    pair.ask()
    with monkeypatch.context() as patch:
        patch.setattr(pair.storage.engine.dialect, "do_commit", fail)
        with pytest.raises(ResultsError, match="cannot be read or written: disk I/O error"):
            pair.mirror.write()
    assert pair.trials()[1] == []
    pair.mirror.write()
    assert len(pair.trials()[1]) == 1


def test_a_number_taken_by_another_program_is_an_error_and_writes_nothing(pair: Pair) -> None:
    pair.study.tell(pair.ask(), 0.5)
    pair.mirror.write()
    pair.stored.ask()
    pair.study.tell(pair.ask(), 0.5)
    with pytest.raises(ResultsError, match="trial 1 became number 2 in the storage"):
        pair.mirror.write()
    assert [trial.state.name for trial in pair.stored.trials] == ["COMPLETE", "RUNNING"]


def test_a_trial_ended_by_another_program_is_an_error_and_writes_nothing(storage: RDBStorage, pair: Pair) -> None:
    trial = pair.ask()
    pair.mirror.write()
    sweep(storage, pair.stored)
    pair.study.tell(trial, 0.5)
    with pytest.raises(ResultsError, match="trial 0 was ended in the storage, so another program writes to it"):
        pair.mirror.write()
    assert [(stored.state.name, stored.value) for stored in pair.stored.trials] == [("FAIL", None)]


def test_a_study_with_missing_trials_is_refused(pair: Pair) -> None:
    for _ in range(2):
        pair.study.tell(pair.ask(), 0.5)
    pair.mirror.write()
    trials = stored_trials(pair.storage, pair.stored._study_id)
    with pytest.raises(ResultsError, match="trials are missing"):
        Mirror(pair.storage).open(pair.stored, trials[1:])


def test_several_studies_share_a_mirror(storage: RDBStorage) -> None:
    mirror = Mirror(storage)
    studies = [mirror.open(open_study(storage, f"tiny/{name}", "accuracy", "maximize"), []) for name in ("mlp", "cnn")]
    for study in (*studies, studies[0]):
        study.tell(mirror.ask(study), 0.5)
    assert [(name, trial.number) for name, trial in mirror.write()] == [
        ("tiny/mlp", 0),
        ("tiny/cnn", 0),
        ("tiny/mlp", 1),
    ]


def qmc(study: optuna.Study) -> None:
    study.sampler = optuna.samplers.QMCSampler(scramble=True, seed=7, warn_independent_sampling=False)


def test_a_quasi_random_sequence_goes_on_where_it_was(storage: RDBStorage, pair: Pair) -> None:
    whole = optuna.create_study(direction="maximize")
    qmc(whole)
    for _ in range(6):
        trial = whole.ask()
        whole.tell(trial, trial.suggest_float("x", 0.0, 1.0))
    drawn: list[float] = []
    for _ in range(3):  # commands
        pair = Pair(storage)
        qmc(pair.study)
        for _ in range(2):
            trial = pair.mirror.ask(pair.study)
            drawn.append(trial.suggest_float("x", 0.0, 1.0))
            pair.study.tell(trial, drawn[-1])
            pair.mirror.write()
    assert drawn == [trial.params["x"] for trial in whole.trials]


def test_what_was_never_written_never_happened(storage: RDBStorage, pair: Pair) -> None:
    qmc(pair.study)
    pair.study.tell(pair.ask(), 0.5)
    pair.mirror.write()
    lost = pair.ask()  # and then the power fails
    again = Pair(storage)
    sweep(storage, again.stored)
    qmc(again.study)
    repeated = again.ask()
    assert (repeated.number, repeated.params["x"]) == (lost.number, lost.params["x"])
