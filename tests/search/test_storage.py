from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import optuna
import pytest
from bench import PowerFailure, power_until
from optuna.storages import RDBStorage

from study.errors import ResultsError, StudyError, UsageError
from study.records.paths import StudyFiles
from study.records.settings import StudySettings, save_settings
from study.search.storage import (
    hide_password,
    open_storage,
    open_study,
    storage_url,
    sweep,
    without_password,
)

Open = Callable[[str], RDBStorage]
Tell = Callable[..., dict[str, Any]]


@pytest.fixture
def storage(url: str, open_url: Open) -> RDBStorage:
    return open_url(url)


def test_a_study_is_opened_once_and_again(storage: RDBStorage) -> None:
    first = open_study(storage, "tiny/mlp", "accuracy", "maximize")
    first.tell(first.ask(), 0.5)
    again = open_study(storage, "tiny/mlp", "accuracy", "maximize")
    assert (again.metric_names, len(again.trials), again.direction.name) == (["accuracy"], 1, "MAXIMIZE")


def test_the_sweep_fails_what_is_running_and_leaves_the_rest(storage: RDBStorage, study: optuna.Study) -> None:
    study.tell(study.ask(), 0.5)
    study.ask()
    study.enqueue_trial({"x": 0.5})
    sweep(storage, study)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "FAIL"]
    assert [trial.user_attrs.get("counted", True) for trial in study.trials] == [True, False, False]
    assert "command ended" in study.trials[1].user_attrs["reason"]


URLS = [
    "postgresql+psycopg://user:hunter2@127.0.0.1:1/db",
    "postgresql+psycopg://127.0.0.1:1/db?password=hunter2",
    "postgresql+psycopg://user:hunter2@host:port/db",
    "mysql+nosuchdriver://user:hunter2@localhost/db",
    "nosuch://user:hunter2@host/db",
    "hunter2",
    "",
    "sqlite:////nonexistent/folder/study.db",
    "sqlite:////",
]


@pytest.mark.parametrize("url", URLS)
def test_a_storage_that_cannot_be_opened_is_one_line_without_the_password(url: str) -> None:
    with pytest.raises(StudyError, match="storage") as caught:
        open_storage(url)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__  # nor in what --debug prints


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("not a database, though long enough to look like one" * 100)
    with pytest.raises(ResultsError, match="cannot be opened"):
        open_storage(f"sqlite:///{tmp_path}/study.db")


def test_a_file_system_without_sqlite_s_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    path = tmp_path / "study.db"
    path.write_text("stands for a file that SQLite cannot lock: it is as if it were damaged" * 100)
    monkeypatch.setattr(fcntl, "lockf", refuse)
    with pytest.raises(ResultsError, match=r"cannot lock files .*\(fcntl: No locks available\): .*--results"):
        open_storage(f"sqlite:///{path}")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["what?", "a#1", "100%", "%20", "{x}", "a b", "ü ✓", "a&b=c;d"])
def test_a_database_lies_in_the_study_s_folder_whatever_its_name(tmp_path: Path, name: str) -> None:
    files = StudyFiles(tmp_path / name / "tiny")
    files.root.mkdir(parents=True)
    for url in (storage_url(files, None), without_password(storage_url(files, None))):
        storage = open_storage(url)
        optuna.create_study(study_name=f"{len(optuna.get_all_study_names(storage))}", storage=storage)
    assert optuna.get_all_study_names(storage) == ["0", "1"]
    storage.engine.dispose()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [files.database]


def test_a_question_mark_in_a_given_url_is_asked_for_in_its_escaped_form(tmp_path: Path) -> None:
    (tmp_path / "what?").mkdir()
    with pytest.raises(UsageError, match="write %3F for a question mark"):
        open_storage(f"sqlite:///{tmp_path}/what?/study.db")
    open_storage(f"sqlite:///{tmp_path}/what%3F/study.db").engine.dispose()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "what?" / "study.db"]


def test_a_crash_while_a_database_is_made_leaves_none(tmp_path: Path) -> None:
    """Half of one, a table without its index, would go unnoticed for good."""
    path = tmp_path / "study.db"
    with power_until(10**9) as executed:
        open_storage(f"sqlite:///{tmp_path}/whole.db")
    crashes = 0
    for at in range(1, len(executed), 3):
        with power_until(at), contextlib.suppress(PowerFailure):
            open_storage(f"sqlite:///{path}")
        crashes += not path.exists()
        path.unlink(missing_ok=True)
        assert [found.name for found in tmp_path.iterdir()] == ["whole.db"]
    assert crashes > 10


def test_passwords_are_hidden_wherever_they_stand() -> None:
    assert hide_password("postgresql://u:secret@h/db") == "postgresql://u:***@h/db"
    shown = hide_password("postgresql://h/db?password=secret&sslpassword=other&sslmode=require")
    assert "secret" not in shown
    assert "other" not in shown
    assert "sslmode=require" in shown


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        (
            "postgresql+psycopg://u:se%40cret@h:5433/db?sslmode=require",
            "postgresql+psycopg://u@h:5433/db?sslmode=require",
        ),
        ("postgresql+psycopg://h/db?password=secret&sslpassword=secret", "postgresql+psycopg://h/db"),
        ("sqlite:////folder/study.db", "sqlite:////folder/study.db"),
        ("sqlite:///study.db", f"sqlite:///{Path('study.db').resolve()}"),
    ],
)
def test_a_study_keeps_its_url_without_the_password(url: str, kept: str) -> None:
    assert without_password(url) == kept


def test_the_storage_is_the_given_one_or_the_kept_one_or_lies_in_the_study_s_folder(
    files: StudyFiles, make_settings: Callable[..., StudySettings]
) -> None:
    assert storage_url(files, None) == f"sqlite:///{files.database.resolve()}"
    save_settings(make_settings(storage="postgresql://h/db"), files.settings)
    assert storage_url(files, None) == "postgresql://h/db"
    assert storage_url(files, "postgresql://u:p@h/db") == "postgresql://u:p@h/db"
