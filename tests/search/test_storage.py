from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from study.config import StudySettings
from study.errors import ResultsError, StudyError
from study.results import StudyFiles, append_jsonl, read_jsonl
from study.search.storage import (
    compare_all,
    hide_password,
    open_storage,
    open_study,
    reconcile,
    record_of,
    storage_url,
    sweep,
    write_trials_csv,
)


@pytest.fixture
def study(storage: RDBStorage) -> optuna.Study:
    return open_study(storage, "tiny/mlp", "accuracy", "maximize")


def told(study: optuna.Study, accuracy: float = 0.5, state: TrialState = TrialState.COMPLETE) -> dict[str, Any]:
    trial = study.ask()
    trial.suggest_float("x", 0.0, 1.0)
    trial.suggest_categorical("kind", ["a", "b"])
    rung = {"examples": 100, "accuracy": accuracy, "nll": 0.7, "temperature": 1.0, "seconds": 0.1}
    for key, value in {"seed": 5, "draw": trial.number, "rungs": [rung], "config": {"x": 1}, "seconds": 0.5}.items():
        trial.set_user_attr(key, value)
    return record_of(study.tell(trial, accuracy if state == TrialState.COMPLETE else None, state=state), "mlp")


def test_a_study_is_opened_once_and_again(storage: RDBStorage) -> None:
    first = open_study(storage, "tiny/mlp", "accuracy", "maximize")
    told(first)
    again = open_study(storage, "tiny/mlp", "accuracy", "maximize")
    assert (again.metric_names, len(again.trials), again.direction.name) == (["accuracy"], 1, "MAXIMIZE")


def test_a_record_survives_its_file(study: optuna.Study, files: StudyFiles) -> None:
    record = told(study)
    append_jsonl(files.trials_jsonl, record)
    assert read_jsonl(files.trials_jsonl) == [record]
    assert reconcile(study.get_trials(), "mlp", [record], files) == [record]


def test_a_missing_line_is_appended_in_its_place(study: optuna.Study, files: StudyFiles) -> None:
    records = [told(study, 0.1 * i) for i in range(1, 4)]
    assert reconcile(study.get_trials(), "mlp", [records[0], records[2]], files) == records
    assert read_jsonl(files.trials_jsonl) == [records[1]]


def test_other_families_records_are_left_to_them(study: optuna.Study, files: StudyFiles) -> None:
    record = told(study)
    assert reconcile(study.get_trials(), "mlp", [record, record | {"family": "cnn", "number": 9}], files) == [record]


@pytest.mark.parametrize(
    ("key", "value"), [("value", 0.99), ("state", "FAIL"), ("seed", 6), ("parameters", {"x": 0.5, "kind": "a"})]
)
def test_a_changed_value_is_refused_with_the_trial_s_number(
    study: optuna.Study, files: StudyFiles, key: str, value: object
) -> None:
    records = [told(study), told(study)]
    with pytest.raises(ResultsError, match=f"trial 1 of mlp: {key} is "):
        reconcile(study.get_trials(), "mlp", [records[0], records[1] | {key: value}], files)


def test_a_trial_that_the_database_lost_is_named(study: optuna.Study, files: StudyFiles) -> None:
    record = told(study)
    with pytest.raises(ResultsError, match=r"trial 4 of mlp is in trials\.jsonl but not in the database"):
        reconcile(study.get_trials(), "mlp", [record, record | {"number": 4}], files)


def test_a_database_that_was_deleted_is_noticed(study: optuna.Study, files: StudyFiles) -> None:
    record = told(study)
    files.database.unlink()
    fresh = open_study(open_storage(storage_url(files, None)), "tiny/mlp", "accuracy", "maximize")
    with pytest.raises(ResultsError, match="not in the database"):
        reconcile(fresh.get_trials(), "mlp", [record], files)


def test_a_value_changed_in_the_database_itself_is_noticed(study: optuna.Study, files: StudyFiles) -> None:
    record = told(study, 0.123456789)
    with open_engine(files) as connection:
        connection.execute("UPDATE trial_params SET param_value = param_value / 2 WHERE param_name = 'x'")
    fresh = open_study(open_storage(storage_url(files, None)), "tiny/mlp", "accuracy", "maximize")
    with pytest.raises(ResultsError, match="trial 0 of mlp: parameters"):
        reconcile(fresh.get_trials(), "mlp", [record], files)


class open_engine:  # noqa: N801 (a context manager)
    def __init__(self, files: StudyFiles) -> None:
        import sqlite3

        self._connection = sqlite3.connect(files.database)

    def __enter__(self) -> Any:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.commit()
        self._connection.close()


def test_comparing_changes_nothing(
    study: optuna.Study, files: StudyFiles, make_settings: Callable[..., StudySettings]
) -> None:
    records = [told(study), told(study)]
    append_jsonl(files.trials_jsonl, records[0])
    settings = make_settings({"mlp": "family = 'mlp'"})
    storage = open_storage(storage_url(files, None))
    assert compare_all(storage, settings, [records[0]], files) == 1
    assert read_jsonl(files.trials_jsonl) == [records[0]]
    with pytest.raises(ResultsError, match="does not know family cnn"):
        compare_all(storage, make_settings({"cnn": "family = 'cnn'"}), [], files)


def test_the_sweep_fails_what_is_running_and_leaves_the_rest(storage: RDBStorage, study: optuna.Study) -> None:
    told(study)
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


def test_passwords_are_hidden_wherever_they_stand() -> None:
    assert hide_password("postgresql://u:secret@h/db") == "postgresql://u:***@h/db"
    shown = hide_password("postgresql://h/db?password=secret&sslpassword=other&sslmode=require")
    assert "secret" not in shown
    assert "other" not in shown
    assert "sslmode=require" in shown


def test_the_default_storage_lies_in_the_study_s_folder(files: StudyFiles) -> None:
    assert storage_url(files, None) == f"sqlite:///{files.database.resolve()}"
    assert storage_url(files, "postgresql://h/db") == "postgresql://h/db"


def test_records_as_a_table(study: optuna.Study, files: StudyFiles) -> None:
    records = [told(study), told(study) | {"family": "cnn", "parameters": {"y": 1, "reason": "=cmd()"}}]
    write_trials_csv(files, records)
    with files.trials_csv.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["family"] for row in rows] == ["cnn", "mlp"]
    assert rows[0]["param_y"] == "1"
    assert rows[0]["param_x"] == ""
    assert float(rows[1]["param_x"]) == records[0]["parameters"]["x"]
