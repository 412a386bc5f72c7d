"""Ensembles from predictions.npz."""

import json
from typing import Any

import numpy as np
import pytest

from study.evaluation import ensemble
from study.records.files import write_npz
from study.statistics.intervals import wilson


def _logits(probabilities: list[list[float]]) -> np.ndarray:
    return np.log(np.array(probabilities, dtype=np.float32))


def test_one_entry_per_family_and_one_over_all(opened_study: Any) -> None:
    ensemble.run(opened_study.files, opened_study.settings)
    found = json.loads((opened_study.files.test / "ensemble.json").read_text())
    assert [entry["name"] for entry in found["ensembles"]] == ["mlp", "cnn", ensemble.ALL]
    assert len(found["ensembles"][2]["runs"]) == 4
    for entry in found["ensembles"]:
        assert tuple(entry["interval95"]) == pytest.approx(wilson(entry["correct"], 60))


def test_a_sure_member_outvotes_two_unsure_ones(opened_study: Any) -> None:
    """Image 0: 0.9 against twice 0.4 for class 0; image 1 likewise for class 1."""
    sure, unsure = _logits([[0.9, 0.1], [0.1, 0.9]]), _logits([[0.4, 0.6], [0.6, 0.4]])
    assert ensemble.mean_probabilities([sure, unsure, unsure])[0] == pytest.approx([1.7 / 3, 1.3 / 3])
    names = ["cnn-final-seed0", "cnn-final-seed1", "mlp-final-seed0"]
    members = dict(zip(names, (sure, unsure, unsure), strict=True))
    write_npz(opened_study.files.predictions, {"labels": np.array([0, 1]), **members})
    found = {e["name"]: e["accuracy"] for e in ensemble.run(opened_study.files, opened_study.settings)["ensembles"]}
    assert found == {"cnn": 1.0, ensemble.ALL: 1.0}  # one mlp alone is no ensemble
