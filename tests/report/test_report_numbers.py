"""The report's numbers against values computed here by other means from the same files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import build
from synthetic import Wanted, write_study

from study.errors import ResultsError
from study.records.paths import StudyFiles
from study.report.page import write_report

Files = Callable[[str], StudyFiles]
Reports = Callable[[str], dict[str, Any]]


def test_test_accuracy_is_the_mean_over_seeds_and_images(case_files: Files) -> None:
    files = case_files("clear win")
    report = build(files)
    with np.load(files.predictions) as arrays:
        right = [
            (arrays[name].argmax(axis=1) == arrays["labels"]).mean() for name in arrays.files if name.startswith("cnn")
        ]
    assert report["answer"]["winner_row"]["test"]["accuracy"]["mean"] == pytest.approx(np.mean(right))
    assert report["seeds"]["families"]["cnn"]["sd"] == pytest.approx(np.std(right, ddof=1))


@pytest.mark.parametrize("stage", ["searching", "searched", "retrained"])
def test_what_one_family_is_advised_to_do_does_not_open_the_test_split_unasked(stage: str, tmp_path: Path) -> None:
    report = build(write_study(tmp_path / "alone", Wanted(accuracy={"cnn": 0.99}, stage=stage)))
    advised = [item["text"] for item in report["conclusion"]["future"]]
    commands = [found for text in advised for found in re.findall(r"study (?:run|evaluate)[^,;.]*", text)]
    assert commands
    assert all("--no-evaluate" in command or "--single-family" in command for command in commands)


def test_optimism_is_taken_apart_from_the_files_of_each_step(case_files: Files) -> None:
    files = case_files("clear win")
    numbers = build(files)["pairwise"]["optimism"]["cnn"]
    chosen = json.loads(files.finalists.read_text())["families"]["cnn"]["candidates"][0]
    assert numbers["seed_luck"] == pytest.approx(chosen["search_accuracy"] - chosen["mean_accuracy"])
    assert numbers["more_data"] == pytest.approx(numbers["finals_test"] - numbers["candidates_test"])


def test_a_run_with_a_non_finite_logit_is_left_out_and_named(tmp_path: Path) -> None:
    report = build(write_study(tmp_path / "broken", Wanted(non_finite=True)))
    assert report["broken_runs"] == ["cnn-final-seed0"]
    assert report["answer"]["winner_row"]["test"]["accuracy"]["seeds"] == 2


def test_the_pareto_front_holds_no_dominated_point(case_report: Reports) -> None:
    points = case_report("clear win")["cost"]["points"]
    for point in points:
        better = [p for p in points if p["accuracy"] > point["accuracy"] and p["flops"] < point["flops"]]
        assert not ("flops" in point["front"] and better)
    assert any("flops" in point["front"] for point in points)


def test_a_post_hoc_pair_is_marked(tmp_path: Path) -> None:
    files = write_study(tmp_path / "later", Wanted(accuracy={"cnn": 0.994, "mlp": 0.983, "mixer": 0.99}, trials=6))
    seal = json.loads(files.seal.read_text())
    seal["openings"][0]["hypotheses"] = [["cnn", "mlp"]]
    files.seal.write_text(json.dumps(seal))
    assert [pair["planned"] for pair in build(files)["pairwise"]["pairs"]] == [True, False, False]


@pytest.mark.parametrize("name", ["finalists.json", "ledger.json", "test/seal.json", "test/predictions.npz"])
def test_a_damaged_file_is_refused_by_name(name: str, tmp_path: Path) -> None:
    files = write_study(tmp_path / "damaged", Wanted(trials=4))
    (files.root / name).write_text("{not json")
    with pytest.raises(ResultsError, match=name):
        build(files)


def test_a_file_of_another_version_is_refused_in_one_line(tmp_path: Path) -> None:
    files = write_study(tmp_path / "older", Wanted(trials=4))
    files.finalists.write_text('{"families": {"cnn": {"best": 3, "candidates": [{"n": 1}], "finalist": 1}}}')
    with pytest.raises(ResultsError, match="unknown form"):
        write_report(files)


def test_a_missing_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"study\.toml is missing"):
        build(StudyFiles(tmp_path / "nothing"))
