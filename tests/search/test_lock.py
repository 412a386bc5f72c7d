"""The lock on a study in a PostgreSQL server, and what it does when that goes away."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest
from optuna.storages import RDBStorage
from postgresql import PASSWORD, Server

from study.errors import Interrupted, LockedError, StorageAwayError
from study.interrupts import catching_signals, shielded
from study.records.paths import StudyFiles
from study.search import lock as lock_module
from study.search.lock import StorageLock, storage_holder
from study.search.storage import open_study, storage_url

Open = Callable[[str], RDBStorage]
ME = f"process {os.getpid()} on "


@pytest.fixture
def url(postgresql: Server) -> str:
    return postgresql.url()


@pytest.fixture
def storage(url: str, open_url: Open) -> RDBStorage:
    return open_url(url)


@pytest.fixture
def stopped(postgresql: Server) -> Iterator[Server]:
    """The server, stopped until the test ends. To be asked for last."""
    postgresql.stop()
    yield postgresql
    postgresql.start()


def lock(storage: RDBStorage, said: list[str] | None = None) -> StorageLock:
    return StorageLock(storage, "tiny", (said if said is not None else []).append)


def end_connections(server: Server, url: str) -> None:
    """As an administrator who wants everybody out of this database."""
    name = url.rpartition("/")[2]
    server.execute("postgres", f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


def test_a_second_command_is_refused_and_told_who_holds_the_study(
    url: str, storage: RDBStorage, open_url: Open
) -> None:
    assert storage_holder(storage, "tiny") is None
    with lock(storage):
        assert str(storage_holder(storage, "tiny")).startswith(ME)
        with pytest.raises(LockedError, match=f"study 'tiny' in .* is in use by {ME}") as caught, lock(open_url(url)):
            pass
        with StorageLock(storage, "other", print):
            pass
    assert PASSWORD not in str(caught.value)
    with lock(storage):
        pass


def test_sqlite_needs_no_lock(files: StudyFiles, open_url: Open) -> None:
    storage = open_url(storage_url(files, None))
    with lock(storage) as first, lock(storage):
        assert first.guarded(lambda: 7) == 7
    assert storage_holder(storage, "tiny") is None


def test_a_lock_whose_connection_was_ended_is_lost_for_good(postgresql: Server, url: str, storage: RDBStorage) -> None:
    done: list[str] = []
    with lock(storage) as held:
        held.guarded(lambda: done.append("before"))
        end_connections(postgresql, url)
        for _ in range(2):
            with pytest.raises(LockedError, match=r"the lock on study 'tiny' in .* is lost"):
                held.guarded(lambda: done.append("after"))
        storage.engine.dispose()
        assert storage_holder(storage, "tiny") is None
    assert done == ["before"]


def test_a_server_that_comes_back_is_waited_for_and_said_once(
    postgresql: Server, storage: RDBStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            postgresql.start()

    monkeypatch.setattr(lock_module.time, "sleep", sleep)
    with lock(storage, said) as held:
        postgresql.stop()
        assert held.guarded(lambda: open_study(storage, "tiny/mlp", "accuracy", "maximize").study_name) == "tiny/mlp"
        assert str(storage_holder(storage, "tiny")).startswith(ME)
    assert len(said) == 1
    assert "trying again for 60 s" in said[0]
    assert PASSWORD not in said[0]
    assert len(pauses) >= 3
    assert pauses == sorted(pauses)


def test_a_server_that_stays_away_is_given_up_and_not_waited_for_twice(
    postgresql: Server, storage: RDBStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(lock_module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(lock_module.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    with lock(storage) as held:
        postgresql.stop()
        try:
            with pytest.raises(StorageAwayError, match=r"cannot be read or written: .*same command"):
                held.guarded(lambda: None)
            waited = now[0]
            with pytest.raises(StorageAwayError):
                held.guarded(lambda: None)
        finally:
            postgresql.start()
    assert 50 < waited <= 60
    assert now[0] == waited


def test_another_command_that_came_first_after_a_restart_keeps_the_study(
    postgresql: Server, url: str, storage: RDBStorage, open_url: Open
) -> None:
    with lock(storage) as held:
        postgresql.stop()
        postgresql.start()
        with lock(open_url(url)), pytest.raises(LockedError, match="is in use by"):
            held.guarded(lambda: None)


def test_a_signal_ends_the_waiting(storage: RDBStorage, stopped: Server) -> None:
    with pytest.raises(Interrupted), catching_signals(), shielded():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(StorageAwayError):
            lock(storage).guarded(lambda: None)
