from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from synthetic import Wanted, write_study

from study.records.paths import StudyFiles
from study.report.page import make
from study.report.section import Report
from study.report.sections import leaderboard
from study.report.sections.leaderboard import half_width

Made = Callable[[str], Report]


def test_test_accuracy_is_the_mean_over_seeds_and_images(
    case_made: Made, case_files: Callable[[str], StudyFiles]
) -> None:
    board = case_made("clear win")[leaderboard]
    with np.load(case_files("clear win").predictions) as arrays:
        right = [
            (arrays[name].argmax(axis=1) == arrays["labels"]).mean() for name in arrays.files if name.startswith("cnn")
        ]
    assert board.winner == board.tested[0].family == "cnn"
    assert board.tested[0].test_mean == pytest.approx(np.mean(right))


def test_a_run_with_a_non_finite_logit_is_left_out(tmp_path: Path) -> None:
    report = make(write_study(tmp_path / "broken", Wanted(non_finite=True)))
    assert report.study.broken_runs == ["cnn-final-seed0"]
    tested = {row.family: row.test for row in report[leaderboard].tested}
    assert tested["cnn"] is not None
    assert tested["cnn"].accuracy.seeds == 2


def test_what_was_not_read_has_no_scores_and_no_front(case_made: Made) -> None:
    board = case_made("validation only")[leaderboard]
    assert [(row.test, row.front) for row in board.finalists] == [(None, None)] * 2
    assert all("front" not in row.to_dict() for row in board.finalists)
    assert board.tested == []


def test_baselines_and_ensembles_stand_behind_the_finalists(case_made: Made) -> None:
    board = case_made("examined")[leaderboard]
    assert [row.kind for row in board.rows] == ["finalist", "finalist", "baseline", "ensemble"]
    assert (board.missing, case_made("clear win")[leaderboard].missing) == ((), ("baselines", "ensemble", "latency"))


def test_one_candidate_of_each_family_is_its_finalist(case_made: Made) -> None:
    rows = case_made("clear win")[leaderboard].candidates
    assert [row.family for row in rows if row.finalist] == ["cnn", "mlp"]
    assert sum("best score in the search" in row.notes for row in rows) == 1


def test_more_images_tell_smaller_differences_apart() -> None:
    assert half_width(0.99, 10_000) < half_width(0.99, 1000)
