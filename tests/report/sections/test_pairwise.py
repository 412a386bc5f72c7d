from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic import Wanted, write_study

from study.records.paths import StudyFiles
from study.report.page import make
from study.report.section import Report
from study.report.sections import pairwise

Made = Callable[[str], Report]


def test_optimism_is_taken_apart_from_the_files_of_each_step(
    case_made: Made, case_files: Callable[[str], StudyFiles]
) -> None:
    found = case_made("clear win")[pairwise].taken_apart["cnn"]
    chosen = json.loads(case_files("clear win").finalists.read_text())["families"]["cnn"]["candidates"][0]
    assert found.seed_luck == pytest.approx(chosen["search_accuracy"] - chosen["mean_accuracy"])
    assert found.finals_test is not None
    assert found.candidates_test is not None
    assert found.more_data == pytest.approx(found.finals_test - found.candidates_test)


def test_a_post_hoc_pair_is_marked(tmp_path: Path) -> None:
    files = write_study(tmp_path / "later", Wanted(accuracy={"cnn": 0.994, "mlp": 0.983, "mixer": 0.99}, trials=6))
    seal = json.loads(files.seal.read_text())
    seal["openings"][0]["hypotheses"] = [["cnn", "mlp"]]
    files.seal.write_text(json.dumps(seal))
    assert [pair.planned for pair in make(files)[pairwise].pairs] == [True, False, False]


def test_a_verdict_needs_three_seeds(case_made: Made) -> None:
    (pair,) = case_made("two seeds")[pairwise].pairs
    assert pair.verdict.label == "no verdict"


def test_before_retraining_nothing_is_taken_apart(case_made: Made) -> None:
    found = case_made("searching")[pairwise]
    assert (found.optimism, found.taken_apart) == ({"cnn": None, "mlp": None}, {})
