from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from made import page_of
from synthetic import Wanted, without_runs_of_their_own, write_study

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
    assert found.seed_luck is None  # the candidates trained for longer
    assert found.length_and_luck == pytest.approx(chosen["mean_accuracy"] - chosen["search_accuracy"])
    assert found.finals_test is not None
    assert found.candidates_test is not None
    assert found.more_data == pytest.approx(found.finals_test - found.candidates_test)


def test_each_step_says_what_changed_and_never_calls_longer_training_luck(case_made: Made) -> None:
    report = case_made("clear win")
    steps = report[pairwise].steps
    assert [step.family for step in steps] == ["cnn"] * 3 + ["mlp"] * 3
    assert "times as many examples" in steps[0].what
    assert not any("luck" in step.what for step in steps)
    assert all(step.interval95[0] < step.difference < step.interval95[1] for step in steps)
    alike = replace(report[pairwise].taken_apart["cnn"], seed_luck=0.001, length_and_luck=None)
    assert "the luck of the search" in replace(report[pairwise], optimism={"cnn": alike}).steps[0].what


def test_a_step_from_a_part_of_the_images_to_all_says_so(tmp_path: Path) -> None:
    report = make(write_study(tmp_path / "part", Wanted(images=15_000, trials=12)))
    assert report[pairwise].taken_apart["cnn"].search_images == 15_000
    said = report[pairwise].steps[0].what
    assert said.startswith("trained again on all training images in place of 15,000, for ")
    assert said.endswith(" times as many examples, under fresh seeds")


def test_networks_of_no_further_training_have_two_steps(tmp_path: Path, case_page: Callable[[str], str]) -> None:
    last = ("the same networks on the test split, the final networks", "except at the last one")
    assert all(said in case_page("clear win") for said in last)
    files = without_runs_of_their_own(write_study(tmp_path / "short", Wanted(seeds=1, candidates=1)))
    assert [step.family for step in make(files)[pairwise].steps] == ["cnn", "cnn", "mlp", "mlp"]
    assert not any(said in page_of(files) for said in last)


def test_a_post_hoc_pair_is_marked(tmp_path: Path) -> None:
    files = write_study(tmp_path / "later", Wanted(accuracy={"cnn": 0.994, "mlp": 0.983, "mixer": 0.99}, trials=6))
    seal = json.loads(files.seal.read_text())
    seal["openings"][0]["hypotheses"] = [["cnn", "mlp"]]
    files.seal.write_text(json.dumps(seal))
    planned = {frozenset((pair.a, pair.b)): pair.planned for pair in make(files)[pairwise].pairs}
    assert [pair for pair, holds in planned.items() if holds] == [frozenset(("cnn", "mlp"))]
    assert len(planned) == 3


def test_differences_have_the_sign_of_the_answers(case_made: Made) -> None:
    for name in ("clear win", "three families", "contradicted"):
        assert all(pair.comparison.difference >= 0 for pair in case_made(name)[pairwise].pairs)


def test_a_verdict_needs_three_seeds(case_made: Made) -> None:
    (pair,) = case_made("two seeds")[pairwise].pairs
    assert pair.verdict.label == "no verdict"


def test_before_retraining_nothing_is_taken_apart(case_made: Made) -> None:
    found = case_made("searching")[pairwise]
    assert (found.optimism, found.taken_apart) == ({"cnn": None, "mlp": None}, {})


def test_beside_a_verdict_stands_what_luck_alone_does(case_page: Callable[[str], str]) -> None:
    said = "A verdict between finalists is about these configurations, not about their families."
    assert said in case_page("clear win")
    assert said not in case_page("searching")
