from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from bench import PowerFailure, power_until
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from postgresql import Server

from study.config import StudySettings, save_settings
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
    trial_of,
    without_password,
    write_trials_csv,
)

Open = Callable[[str], RDBStorage]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, files: StudyFiles) -> str:
    """One contract: what asks for `url`, `storage` or `study` runs over both."""
    if request.param == "sqlite":
        return storage_url(files, None)
    server: Server = request.getfixturevalue("postgresql")
    return server.url()


@pytest.fixture
def storage(url: str, open_url: Open) -> RDBStorage:
    return open_url(url)


@pytest.fixture
def study(storage: RDBStorage) -> optuna.Study:
    return open_study(storage, "tiny/mlp", "accuracy", "maximize")


def content(trial: FrozenTrial) -> dict[str, Any]:
    """All of a trial but its attributes, which its record spells out."""
    return {key: value for key, value in vars(trial).items() if key not in ("_trial_id", "_user_attrs")}


def told(study: optuna.Study, accuracy: float = 0.5, state: TrialState = TrialState.COMPLETE) -> dict[str, Any]:
    trial = study.ask()
    trial.suggest_float("x", 0.0, 1.0)
    trial.suggest_categorical("kind", ["a", "b"])
    trial.report(accuracy, 100)
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


def test_a_database_that_was_deleted_is_noticed(study: optuna.Study, url: str, open_url: Open) -> None:
    record = told(study)
    study._storage.delete_study(study._study_id)
    fresh = open_study(open_url(url), "tiny/mlp", "accuracy", "maximize")
    with pytest.raises(ResultsError, match="not in the database"):
        reconcile(fresh.get_trials(), "mlp", [record], StudyFiles(Path("tiny")))


@pytest.mark.parametrize(
    ("statement", "seen"),
    [
        ("UPDATE trial_params SET param_value = param_value / 2 WHERE param_name = 'x'", "parameters is "),
        ("UPDATE trial_values SET value = value / 2", "its values are "),
        ("UPDATE trial_intermediate_values SET intermediate_value = 0.9", "its values are "),
        ("UPDATE trial_user_attributes SET value_json = '7' WHERE key = 'seed'", "seed is 7 "),
        ("UPDATE trials SET state = 'FAIL'", "state is 'FAIL' "),
    ],
)
def test_a_value_changed_in_the_database_itself_is_noticed(
    study: optuna.Study, storage: RDBStorage, files: StudyFiles, statement: str, seen: str
) -> None:
    record = told(study, 0.123456789)
    with storage.engine.begin() as connection:
        connection.execute(sqlalchemy.text(statement))
    with pytest.raises(ResultsError, match=f"trial 0 of mlp: {seen}.*--repair"):
        reconcile(study.get_trials(), "mlp", [record], files)


def test_every_trial_that_differs_is_named(study: optuna.Study, files: StudyFiles) -> None:
    records = [told(study) for _ in range(4)]
    changed = [records[0], records[1] | {"seed": 6}, records[2], records[3] | {"seed": 6}]
    with pytest.raises(ResultsError, match=r"trial 1 of mlp: seed is 5 .* \(differing: 1, 3\);"):
        reconcile(study.get_trials(), "mlp", changed, files)


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
def test_a_record_holds_all_that_the_trial_was(study: optuna.Study, state: TrialState) -> None:
    told(study, state=state)
    record = record_of(study.get_trials()[0], "mlp")
    again = trial_of(json.loads(json.dumps(record)))
    assert record_of(again, "mlp") == record
    assert content(again) == content(study.get_trials()[0])


def test_comparing_changes_nothing(
    study: optuna.Study, storage: RDBStorage, files: StudyFiles, make_settings: Callable[..., StudySettings]
) -> None:
    records = [told(study), told(study)]
    append_jsonl(files.trials_jsonl, records[0])
    settings = make_settings({"mlp": "family = 'mlp'"})
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


def test_records_as_a_table(study: optuna.Study, files: StudyFiles) -> None:
    records = [told(study), told(study) | {"family": "cnn", "parameters": {"y": 1, "reason": "=cmd()"}}]
    write_trials_csv(files, records)
    with files.trials_csv.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["family"] for row in rows] == ["cnn", "mlp"]
    assert rows[0]["param_y"] == "1"
    assert rows[0]["param_x"] == ""
    assert float(rows[1]["param_x"]) == records[0]["parameters"]["x"]
