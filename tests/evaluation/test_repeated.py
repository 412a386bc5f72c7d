"""Test images that are training images, counted after the seal."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from study.data.datasets import load_train
from study.errors import ResultsError
from study.evaluation import repeated
from study.evaluation.test_set import load_sealed_test


def test_the_count_is_written_with_the_places_of_the_copies(opened_study: Any) -> None:
    train = load_train("squares", opened_study.files.root.parent.parent / "data").images
    test = load_sealed_test(opened_study.files, opened_study.settings).images
    assert repeated.run(opened_study.files, opened_study.settings, train)["test_in_train"] == 0
    found = repeated.run(opened_study.files, opened_study.settings, torch.cat([train, test[[7, 50]]]))
    assert (found["n_train"], found["n_test"], found["test_in_train"]) == (122, 60, 2)
    assert found["test_indices"] == [7, 50]
    assert json.loads(opened_study.files.duplicates.read_text()) == found


def test_it_waits_for_the_seal(small_study: Any) -> None:
    with pytest.raises(ResultsError, match="run `study evaluate` first"):
        repeated.run(small_study.files, small_study.settings, torch.zeros(1, 28, 28, dtype=torch.uint8))
    assert not small_study.files.duplicates.exists()
