from __future__ import annotations

import re
from pathlib import Path

import pytest
from synthetic import Wanted, write_study

from study.records.ledger import read_ledger, write_ledger
from study.records.settings import load_settings, save_settings
from study.report.advice import more_time
from study.report.page import make
from study.report.sections import conclusion


@pytest.mark.parametrize("stage", ["searching", "searched", "retrained"])
def test_what_one_family_is_advised_to_do_does_not_open_the_test_split_unasked(stage: str, tmp_path: Path) -> None:
    report = make(write_study(tmp_path / "alone", Wanted(accuracy={"cnn": 0.99}, stage=stage)))
    advised = [item.text for item in report[conclusion].future]
    commands = [found for text in advised for found in re.findall(r"study (?:run|evaluate)[^,;.]*", text)]
    assert commands
    assert all("--no-evaluate" in command or "--single-family" in command for command in commands)


def test_nobody_is_advised_to_open_a_test_split_that_is_not_there(tmp_path: Path) -> None:
    files = write_study(tmp_path / "own", Wanted(stage="retrained"))
    settings = load_settings(files.settings)
    own = settings.dataset.model_copy(update={"data_dir": "own.npz", "sha256": {}})
    save_settings(settings.model_copy(update={"dataset": own}), files.settings)
    assert not any("study evaluate" in item.text for item in make(files)[conclusion].future)


def test_the_advice_does_not_read_the_test_split(tmp_path: Path) -> None:
    one = make(write_study(tmp_path / "a" / "same", Wanted()))
    other = make(
        write_study(
            tmp_path / "b" / "same",
            Wanted(accuracy={"cnn": 0.9, "mlp": 0.983}, validation={"cnn": 0.994, "mlp": 0.983}),
        )
    )
    assert one.study.correct["cnn"].mean() != other.study.correct["cnn"].mean()
    assert one[conclusion] == other[conclusion]


def test_several_searches_are_not_advised_to_judge_by_a_single_one(tmp_path: Path) -> None:
    close = {"cnn": 0.9905, "mlp": 0.99}
    said = "several searches of each family tell whether the order holds"
    for n, stage, advised in ((1, "evaluated", True), (3, "evaluated", False), (3, "retrained", False)):
        report = make(write_study(tmp_path / f"{n}-{stage}", Wanted(accuracy=close, trials=6, repeats=n, stage=stage)))
        assert any(said in item.text for item in report[conclusion].future) is advised


@pytest.mark.parametrize(("taken", "advised"), [(280.0, "10m"), (900.0, "30m")])
def test_more_time_is_twice_of_what_was_asked_or_taken(taken: float, advised: str, tmp_path: Path) -> None:
    files = write_study(tmp_path / "late", Wanted())
    ledger = read_ledger(files.ledger)
    ledger.commands = [ledger.commands[0].model_copy(update={"seconds": taken})]
    write_ledger(files.ledger, ledger)
    assert f"--budget {advised}" in more_time(make(files))


def test_the_families_that_are_said_to_be_close_are_the_best_on_validation(tmp_path: Path) -> None:
    validation = {"cnn": 0.99, "mlp": 0.9895, "mixer": 0.97}
    one = make(write_study(tmp_path / "a" / "same", Wanted(accuracy=validation, validation=validation)))
    tested = {"cnn": 0.98, "mlp": 0.97, "mixer": 0.99}
    other = make(write_study(tmp_path / "b" / "same", Wanted(accuracy=tested, validation=validation)))
    assert any("On validation the finalists are" in item.text for item in one[conclusion].future)
    assert one[conclusion] == other[conclusion]
