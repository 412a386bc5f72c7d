"""A PostgreSQL server that goes away, and what a study on one keeps of its URL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench import Bench, Settings, outcomes, work
from desk import Desk, totals
from optuna.storages import RDBStorage
from postgresql import PASSWORD, Server

from study.command.cli import main
from study.errors import LockedError, StorageAwayError
from study.execution.executors import InProcessExecutor
from study.records.paths import StudyFiles
from study.records.settings import load_settings
from study.records.trial import TrialRecord
from study.search import lock as lock_module
from study.search.driver import Search
from study.search.lock import StorageLock
from study.search.turns import Limits

Observe = Callable[[Search, TrialRecord | None], None]


@pytest.fixture
def distant(files: StudyFiles, make_settings: Settings, postgresql: Server) -> Iterator[Bench]:
    """A study whose trials are on the server."""
    bench = Bench(files, make_settings(storage=postgresql.url()))
    yield bench
    bench.close()


def search(bench: Bench, n_trials: int, observe: Observe, said: list[str]) -> None:
    """As `study search` does it: under the lock in the database."""
    with (
        StorageLock(bench.storage(), bench.settings.name, said.append) as lock,
        InProcessExecutor(2, work) as executor,
    ):
        bench.open(lock.guarded).run(executor, Limits(n_trials=n_trials), observe)


def at_record(number: int, action: Callable[[], object], shown: list[TrialRecord]) -> Observe:
    """Does something once so many trials were shown."""

    def observe(_: Search, record: TrialRecord | None) -> None:
        if record is not None:
            shown.append(record)
            if len(shown) == number:
                action()

    return observe


def test_a_server_that_is_away_for_a_while_is_waited_for(
    distant: Bench, postgresql: Server, new_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 4:
            postgresql.start()

    monkeypatch.setattr(lock_module.time, "sleep", sleep)
    said: list[str] = []
    shown: list[TrialRecord] = []
    search(distant, 4, at_record(3, postgresql.stop, shown), said)
    assert len(said) == 1
    assert len(pauses) >= 4
    assert Counter(record.family for record in distant.counted) == {"mlp": 4, "cnn": 4}
    assert [record for record in shown if record not in distant.records] == []
    distant.check()
    near = new_bench("near")
    near.search(Limits(n_trials=4))
    assert [o["parameters"] for o in outcomes(distant)] == [o["parameters"] for o in outcomes(near)]


def test_a_server_that_stays_away_ends_the_search_and_loses_nothing_shown(
    distant: Bench, postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "AWAY_SECONDS", 0.5)
    shown: list[TrialRecord] = []
    try:
        with pytest.raises(StorageAwayError, match="same command") as caught:
            search(distant, 4, at_record(3, postgresql.stop, shown), [])
    finally:
        postgresql.start()
    assert "\n" not in str(caught.value)
    assert len(shown) >= 3
    distant.close()
    search(distant, 4, at_record(0, lambda: None, shown), [])
    assert Counter(record.family for record in distant.counted) == {"mlp": 4, "cnn": 4}
    assert [record for record in shown if record not in distant.records] == []
    distant.check()


def test_a_lock_that_is_lost_stops_the_search(distant: Bench, postgresql: Server) -> None:
    name = str(distant.settings.storage).rpartition("/")[2]
    statement = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    shown: list[TrialRecord] = []
    with pytest.raises(LockedError, match="is lost: its connection was ended"):
        search(distant, 4, at_record(2, lambda: postgresql.execute("postgres", statement), shown), [])
    distant.close()
    search(distant, 4, at_record(0, lambda: None, shown), [])
    assert [record for record in shown if record not in distant.records] == []
    distant.check()


def written_below(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("way", ["in front of the host", "in the query"])
def test_a_password_is_nowhere_and_later_commands_find_the_server(
    desk: Desk,
    postgresql: Server,
    open_url: Callable[[str], RDBStorage],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    way: str,
) -> None:
    url = postgresql.url()
    database = url.rpartition("/")[2]
    bare = postgresql.url_of(database, password=None)
    given = url if way == "in front of the host" else f"{bare}?password={PASSWORD}"
    assert main(desk.words("search", "--n-trials", "1", "--storage", given)) == 0, capfd.readouterr().err
    assert load_settings(desk.files.settings).storage == bare
    assert not desk.files.database.exists()

    with StorageLock(open_url(url), "tiny", print):
        assert main(desk.words("search", "--n-trials", "2", "--storage", given)) == 1
    held = capfd.readouterr().err
    assert "study 'tiny' in postgresql" in held
    assert "is in use by process" in held

    # The server asks for the password, which study.toml does not have.
    assert main(desk.words("search", "--n-trials", "2")) == 1
    refused = capfd.readouterr().err
    assert "PGPASSWORD" in refused
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert main(desk.words("search", "--n-trials", "2")) == 0, capfd.readouterr().err
    assert desk.n_counted == totals(2)
    where = ["--results", str(desk.results), "--name", "tiny"]
    assert main(["doctor", *where]) == 0
    found = capfd.readouterr().out
    assert "8 finished trials agree" in found  # 2 found and 2 given in each of 2 families
    assert main(["report", *where]) == 0

    said = held + refused + found + "".join(capfd.readouterr())
    assert PASSWORD not in said
    assert [path for path, text in written_below(desk.results).items() if PASSWORD.encode() in text] == []
