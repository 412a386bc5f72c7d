"""Robustness of a small study: what is written, what is left out, and the numbers behind the sentences."""

import json
from typing import Any

import numpy as np
import pytest
from small_study import name_groups

from study.errors import ResultsError
from study.evaluation import robustness
from study.evaluation.corruptions import LADDER
from study.records.predictions import read_logits


@pytest.fixture
def read(opened_study: Any) -> dict[str, Any]:
    robustness.run(opened_study.files, opened_study.settings, n_images=60, ladder=LADDER[:5])
    result: dict[str, Any] = json.loads((opened_study.files.test / "robustness.json").read_text())
    return result


def test_the_clean_row_is_the_accuracy_of_the_named_run(read: dict[str, Any], opened_study: Any) -> None:
    labels, logits = read_logits(opened_study.files.predictions)
    clean = read["levels"][0]
    assert clean["kind"] == "clean"
    for family in ("cnn", "mlp"):
        expected = float((logits[f"{family}-final-seed0"].argmax(axis=1) == labels).mean())
        assert clean["families"][family]["accuracy"] == pytest.approx(expected)


def test_every_level_of_the_ladder_has_a_row_with_an_interval(read: dict[str, Any]) -> None:
    assert len(read["levels"]) == 1 + sum(len(corruption.levels) for corruption in LADDER[:5])
    for row in read["levels"]:
        for summary in row["families"].values():
            low, high = summary["interval95"]
            assert low <= summary["accuracy"] <= high
            assert len(summary["per_class"]) == 10


def test_the_sixes_are_all_accounted_for_at_each_blur(read: dict[str, Any]) -> None:
    for readings in read["sixes"]["families"].values():
        assert [reading["sigma"] for reading in readings] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
        assert {sum(reading["counts"]) for reading in readings} == {6}


def test_the_change_is_corrupt_minus_clean_on_the_same_images(read: dict[str, Any]) -> None:
    assert {entry["group"] for entry in read["order"]} == {"blur", "MNIST-C style"}
    for entry in read["order"]:
        assert entry["change"]["mean"] == pytest.approx(entry["corrupt"]["mean"] - entry["clean"]["mean"])


def test_the_strip_shows_a_six_at_each_blur_with_answers(read: dict[str, Any], opened_study: Any) -> None:
    labels, logits = read_logits(opened_study.files.predictions)
    strip = read["strip"]
    assert labels[strip["index"]] == 6
    assert strip["answers"]["mlp"][0]["answer"] == int(logits["mlp-final-seed0"][strip["index"]].argmax())
    with np.load(opened_study.files.test / "strip.npz") as arrays:
        assert arrays["images"].shape == (7, 28, 28)
        assert len(arrays["sigmas"]) == len(strip["answers"]["cnn"]) == 7


def test_levels_without_time_are_named(opened_study: Any) -> None:
    ticks = iter(range(1000))
    found = robustness.run(
        opened_study.files,
        opened_study.settings,
        seconds=4,
        n_images=60,
        ladder=LADDER[:2],
        clock=lambda: float(next(ticks)),
    )
    assert [row["level"] for row in found["levels"]] == [0.0, 0.5, 1.0, 1.5]
    assert (found["skipped"][0]["kind"], found["skipped"][0]["level"]) == ("gaussian blur", 2.0)
    assert len(found["skipped"]) == 6


def test_reading_twice_gives_the_same_numbers(opened_study: Any) -> None:
    first, second = (
        robustness.run(opened_study.files, opened_study.settings, n_images=40, ladder=LADDER[3:6]) for _ in range(2)
    )
    assert first["levels"] == second["levels"]


def test_a_closed_test_split_is_not_read(small_study: Any) -> None:
    with pytest.raises(ResultsError, match="study evaluate"):
        robustness.run(small_study.files, small_study.settings)


def test_crossing_is_linear_between_levels_and_none_if_never_reached() -> None:
    curve = [(0.0, 1.0), (1.0, 0.8), (2.0, 0.4)]
    assert robustness.crossing(curve, 0.5) == pytest.approx(1.75)
    assert robustness.crossing(curve, 0.3) is None


def test_the_order_changes_only_if_the_corrupted_interval_lies_beyond_zero() -> None:
    rng = np.random.default_rng(0)
    ahead, behind = rng.choice([0.0, 1.0], 2000, p=[0.9, 0.1]), -rng.choice([0.0, 1.0], 2000, p=[0.9, 0.1])
    assert robustness._pair_order("blur", "a", "b", ahead, behind, None)["order_changes"] is True
    assert robustness._pair_order("blur", "a", "b", ahead, ahead, None)["order_changes"] is False
    assert robustness._pair_order("blur", "a", "b", ahead, 0 * ahead, None)["order_changes"] is False


def test_groups_that_were_named_after_the_opening_are_not_clustered_by(opened_study: Any) -> None:
    def levels() -> Any:
        return robustness.run(opened_study.files, opened_study.settings, n_images=60, ladder=LADDER[:1])["levels"]

    before = levels()
    name_groups(opened_study)
    assert levels() == before
