"""The simple baselines on a small study, and the neighbours' vote against scikit-learn."""

import json
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier
from small_study import name_groups

from study.errors import ResultsError
from study.evaluation import baselines


def test_both_baselines_read_bright_squares_and_say_what_they_used(opened_study: Any) -> None:
    found = baselines.run(opened_study.files, opened_study.settings, seconds=1.0)
    assert json.loads((opened_study.files.test / "baselines.json").read_text()) == found
    logistic, neighbours = found["baselines"]
    assert logistic["accuracy"] == neighbours["accuracy"] == 1.0
    assert logistic["n_train"] == neighbours["n_train"] == 120
    assert logistic["parameters"] == 7850
    assert logistic["interval95"][0] < 1.0


def test_neighbours_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    z, queries = rng.normal(size=(400, 5)).astype(np.float32), rng.normal(size=(700, 5)).astype(np.float32)
    y = rng.integers(0, 2, 400)
    expected = KNeighborsClassifier(3, algorithm="brute").fit(z, y).predict(queries)
    assert (baselines.nearest_classes(z, y, queries) == expected).all()


def test_three_different_neighbours_give_the_nearest_ones_class() -> None:
    z, y = np.array([[0.0], [1.0], [3.0]], dtype=np.float32), np.array([2, 0, 1])
    assert baselines.nearest_classes(z, y, np.array([[0.9]], dtype=np.float32)).tolist() == [0]


def test_a_closed_test_split_is_not_read(small_study: Any) -> None:
    with pytest.raises(ResultsError, match="study evaluate"):
        baselines.run(small_study.files, small_study.settings)


def test_groups_that_were_named_after_the_opening_are_not_clustered_by(
    opened_study: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Right on all images of one group and on no other one.
    monkeypatch.setattr(baselines, "nearest_classes", lambda z, y, queries: np.zeros(len(queries), dtype=np.int64))
    before = baselines.run(opened_study.files, opened_study.settings, seconds=1.0)["baselines"]
    name_groups(opened_study)
    after = baselines.run(opened_study.files, opened_study.settings, seconds=1.0)["baselines"]
    assert [one["interval95"] for one in after] == [one["interval95"] for one in before]
