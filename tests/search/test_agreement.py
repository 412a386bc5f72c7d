from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from trials import rungs

from study.errors import ResultsError
from study.records.paths import StudyFiles
from study.records.settings import StudySettings
from study.records.trial import Form, TrialRecord, Trials, append_trials, line_of, parse_trial, read_trials
from study.search.agreement import compare_all, reconcile, record_of, trial_of
from study.search.storage import open_study

Open = Callable[[str], RDBStorage]
Tell = Callable[..., TrialRecord]


@pytest.fixture
def storage(url: str, open_url: Open) -> RDBStorage:
    return open_url(url)


def content(trial: FrozenTrial) -> dict[str, Any]:
    """All of a trial but its attributes, which its record spells out."""
    return {key: value for key, value in vars(trial).items() if key not in ("_trial_id", "_user_attrs")}


def test_a_record_survives_its_file(study: optuna.Study, told: Tell, files: StudyFiles) -> None:
    record = told()
    append_trials(files.trials_jsonl, [record], 2)
    assert read_trials(files.trials_jsonl) == Trials([record])
    assert reconcile(study.get_trials(), "mlp", Trials([record]), files, 2) == Trials([record])


def test_a_missing_line_is_appended_in_its_place(study: optuna.Study, told: Tell, files: StudyFiles) -> None:
    records = [told(0.1 * i) for i in range(1, 4)]
    assert reconcile(study.get_trials(), "mlp", Trials([records[0], records[2]]), files, 2) == Trials(records)
    assert read_trials(files.trials_jsonl) == Trials([records[1]])


def test_other_families_records_are_left_to_them(study: optuna.Study, told: Tell, files: StudyFiles) -> None:
    record = told()
    both = Trials([record, replace(record, family="cnn", number=9)])
    assert reconcile(study.get_trials(), "mlp", both, files, 2) == Trials([record])


@pytest.mark.parametrize(
    ("key", "value"),
    [("rungs", rungs((100, 0.99))), ("state", "FAIL"), ("seed", 6), ("parameters", {"x": 0.5, "kind": "a"})],
)
def test_a_changed_value_is_refused_with_the_trial_s_number(
    study: optuna.Study, told: Tell, files: StudyFiles, key: str, value: Any
) -> None:
    records = [told(), told()]
    changed = Trials([records[0], replace(records[1], **{key: value})])
    with pytest.raises(ResultsError, match=f"trial 1 of mlp: {key} is "):
        reconcile(study.get_trials(), "mlp", changed, files, 2)


def test_a_trial_that_the_database_lost_is_named(study: optuna.Study, told: Tell, files: StudyFiles) -> None:
    record = told()
    with pytest.raises(ResultsError, match=r"trial 4 of mlp is in trials\.jsonl but not in the database"):
        reconcile(study.get_trials(), "mlp", Trials([record, replace(record, number=4)]), files, 2)


def test_a_database_that_was_deleted_is_noticed(study: optuna.Study, told: Tell, url: str, open_url: Open) -> None:
    record = told()
    study._storage.delete_study(study._study_id)
    fresh = open_study(open_url(url), "tiny/mlp", "accuracy", "maximize")
    with pytest.raises(ResultsError, match="not in the database"):
        reconcile(fresh.get_trials(), "mlp", Trials([record]), StudyFiles(Path("tiny")), 2)


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
    study: optuna.Study, told: Tell, storage: RDBStorage, files: StudyFiles, statement: str, seen: str
) -> None:
    record = told(0.123456789)
    with storage.engine.begin() as connection:
        connection.execute(sqlalchemy.text(statement))
    with pytest.raises(ResultsError, match=f"trial 0 of mlp: {seen}.*--repair"):
        reconcile(study.get_trials(), "mlp", Trials([record]), files, 2)


def test_every_trial_that_differs_is_named(study: optuna.Study, told: Tell, files: StudyFiles) -> None:
    records = [told() for _ in range(4)]
    changed = Trials(replace(record, seed=6) if record.number in (1, 3) else record for record in records)
    with pytest.raises(ResultsError, match=r"trial 1 of mlp: seed is 5 .* \(differing: 1, 3\);"):
        reconcile(study.get_trials(), "mlp", changed, files, 2)


@pytest.mark.parametrize("form", [1, 2])
@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
def test_a_record_holds_all_that_the_trial_was(study: optuna.Study, told: Tell, state: TrialState, form: Form) -> None:
    told(state=state)
    record = record_of(study.get_trials()[0], "mlp")
    again = trial_of(parse_trial(json.loads(json.dumps(line_of(record, form)))), form)
    assert record_of(again, "mlp") == record
    assert content(again) == content(study.get_trials()[0])


def test_comparing_changes_nothing(
    study: optuna.Study, told: Tell, storage: RDBStorage, files: StudyFiles, make_settings: Callable[..., StudySettings]
) -> None:
    records = [told(), told()]
    append_trials(files.trials_jsonl, records[:1], 2)
    settings = make_settings({"mlp": "family = 'mlp'"})
    assert compare_all(storage, settings, Trials(records[:1]), files) == 1
    assert read_trials(files.trials_jsonl) == Trials([records[0]])
    with pytest.raises(ResultsError, match="does not know family cnn"):
        compare_all(storage, make_settings({"cnn": "family = 'cnn'"}), Trials(), files)
