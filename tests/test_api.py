"""A study's DataFrames against the files that they are made from."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent / "report"))

import cases
from synthetic import write_study

from study import Study
from study.errors import ResultsError
from study.records.files import append_jsonl, read_json, read_jsonl
from study.records.paths import StudyFiles
from study.report.page import make, numbers_of

Opened = Callable[[str], tuple[StudyFiles, Study]]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    def study(case: str) -> tuple[StudyFiles, Study]:
        files = write_study(tmp_path_factory.mktemp("results") / case.replace(" ", "-"), cases.CASES[case])
        return files, Study.open(files.root)

    return study


def test_trials_are_those_of_the_file(opened: Opened) -> None:
    files, study = opened("clear win")
    lines, trials = read_jsonl(files.trials_jsonl), study.trials
    assert trials[["family", "number"]].values.tolist() == [[line["family"], line["number"]] for line in lines]
    reached = [line["rungs"][-1]["accuracy"] if line["rungs"] else np.nan for line in lines]
    assert trials["value"].tolist() == pytest.approx(reached, nan_ok=True)
    assert trials["config_learning_rate"].tolist() == [line["config"]["learning_rate"] for line in lines]
    assert trials["start"].dt.tz is not None
    assert (trials["search"] == 1).all()
    drawn = [line["role"] == "sampled" for line in lines]
    assert (trials["origin"] == "found").tolist() == drawn
    assert set(trials["origin"]) == {"found", "given"}
    assert {str(trials[name].dtype) for name in ("number", "examples", "flops")} == {"Int64"}


def test_a_key_that_a_configuration_does_not_have_is_missing_there(opened: Opened) -> None:
    files, _ = opened("one trial")
    last = read_jsonl(files.trials_jsonl)[-1]
    append_jsonl(files.trials_jsonl, last | {"number": 99, "config": last["config"] | {"momentum": 0.5}})
    momentum = Study.open(files.root).trials["config_momentum"]
    assert momentum.iloc[-1] == 0.5
    assert momentum.iloc[:-1].isna().all()


def test_runs_are_those_of_the_folders(opened: Opened) -> None:
    files, study = opened("clear win")
    runs = study.runs.set_index("run")
    assert set(runs.index) == {path.parent.name for path in files.runs.glob("*/DONE")}
    for name, row in runs.iterrows():
        metrics = read_json(files.run(str(name)).metrics)
        assert row["n_parameters"] == metrics["n_parameters"]
        assert row["nll"] == pytest.approx(metrics["nll"]) if metrics["nll"] is not None else np.isnan(row["nll"])
    assert set(runs["role"]) == {"candidate", "final"}


@pytest.mark.parametrize("case", ["clear win", "examined"])
def test_the_leaderboard_is_the_report_s(opened: Opened, case: str) -> None:
    files, study = opened(case)
    rows, board = numbers_of(make(files))["leaderboard"]["rows"], study.leaderboard
    assert board["kind"].tolist() == [row["kind"] for row in rows]
    first = rows[0]
    assert board["test_accuracy"][0] == first["test"]["accuracy"]["mean"]
    assert [board["test_low"][0], board["test_high"][0]] == first["test"]["accuracy"]["interval95"]
    assert board["f1"][0] == first["test"]["macro_f1"]["estimate"]
    assert board["validation_accuracy"][0] == first["validation_mean"]


def test_predictions_give_the_leaderboard_s_accuracy(opened: Opened) -> None:
    _, study = opened("clear win")
    answers = study.predictions
    right = (answers["label"] == answers["predicted"]).groupby(answers["family"]).mean()
    board = study.leaderboard.set_index("family")
    assert right.to_dict() == pytest.approx(board["test_accuracy"].to_dict())
    assert answers["probability"].between(0.1, 1).all()


def test_before_the_test_split_is_opened_nothing_is_invented(opened: Opened) -> None:
    _, study = opened("validation only")
    assert study.predictions.empty
    assert list(study.predictions) == list(opened("clear win")[1].predictions)
    assert study.leaderboard["test_accuracy"].isna().all()
    assert study.leaderboard["validation_accuracy"].notna().all()


def test_an_empty_study_has_empty_tables_of_the_same_columns_and_types(opened: Opened) -> None:
    (_, empty), (_, full) = opened("empty"), opened("clear win")
    for name in ("trials", "runs", "leaderboard", "predictions"):
        nothing, something = getattr(empty, name), getattr(full, name)
        assert nothing.empty
        pd.testing.assert_series_equal(nothing.dtypes, something.dtypes[list(nothing)])


def test_further_searches_have_numbers(opened: Opened) -> None:
    _, study = opened("two searches")
    assert set(study.trials["search"]) == set(study.runs["search"]) == {1, 2}


def test_the_optuna_study_is_a_copy(opened: Opened) -> None:
    files, study = opened("clear win")
    copy = study.optuna_study("cnn")
    lines = {line["number"]: line for line in read_jsonl(files.trials_jsonl) if line["family"] == "cnn"}
    for number, line in lines.items():
        assert copy.trials[number].params == line["parameters"]
        assert copy.trials[number].state.name == line["state"]
    assert copy.best_value == max(line["value"] for line in lines.values() if line["state"] == "COMPLETE")
    before = files.trials_jsonl.read_bytes()
    copy.enqueue_trial({})
    assert len(study.optuna_study("cnn").trials) == len(copy.trials) - 1
    assert files.trials_jsonl.read_bytes() == before


def test_a_family_that_is_not_there_is_named_with_those_that_are(opened: Opened) -> None:
    _, study = opened("clear win")
    with pytest.raises(ResultsError, match="no family 'rnn'; it has cnn, mlp"):
        study.optuna_study("rnn")


def test_a_folder_without_a_study_says_so(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="there is no study here"):
        Study.open(tmp_path)


def test_neither_pandas_nor_torch_is_imported_before_it_is_needed() -> None:
    check = "import sys, study; print(sorted({'pandas', 'torch', 'optuna'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
