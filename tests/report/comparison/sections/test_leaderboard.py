from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from made import right

from study.records.paths import StudyFiles

Comparisons = Callable[[str], dict[str, Any]]
Compared = Callable[[str], list[StudyFiles]]


def test_all_finalists_of_all_studies_by_falling_test_accuracy(
    comparison: Comparisons, compared_files: Compared
) -> None:
    board = comparison("clear win")["leaderboard"]["rows"]
    by_hand = {
        f"{files.name}/{family}": right(files, family).mean()
        for files in compared_files("clear win")
        for family in ("cnn", "mlp")
    }
    assert [row["id"] for row in board] == sorted(by_hand, key=lambda key: -by_hand[key])
    assert [row["test"]["accuracy"]["mean"] for row in board] == pytest.approx(sorted(by_hand.values(), reverse=True))


def test_a_row_says_where_the_finalist_comes_from(comparison: Comparisons, compared_files: Compared) -> None:
    for row in comparison("three")["leaderboard"]["rows"]:
        files = next(files for files in compared_files("three") if files.name == row["study"])
        finalists = json.loads(files.finalists.read_text())
        assert row["trial"] == finalists["families"][row["family"]]["finalist"]
        assert row["winner"] == (row["family"] == finalists["winner"])


def test_each_set_of_test_images_has_a_leaderboard_of_its_own(comparison: Comparisons) -> None:
    found = comparison("three on two data sets")
    assert [group["studies"] for group in found["groups"]] == [["a", "b"], ["k"]]
    assert [row["group"] for row in found["leaderboard"]["rows"]] == [0, 0, 0, 0, 1]
    assert found["leaderboard"]["rows"][-1]["front"] == ["n_parameters", "flops"]
