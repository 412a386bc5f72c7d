from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from study.records.paths import StudyFiles
from study.report.page import make
from study.report.sections import classes


def test_classes_agree_with_scikit_learn(case_files: Callable[[str], StudyFiles]) -> None:
    files = case_files("clear win")
    entry = make(files)[classes].families["mlp"]
    with np.load(files.predictions) as arrays:
        labels, answers = arrays["labels"], arrays["mlp-final-seed0"].argmax(axis=1)
    precision, recall, f1, _ = precision_recall_fscore_support(labels, answers, zero_division=0)
    assert np.array_equal(entry.confusion, confusion_matrix(labels, answers))
    assert entry.scores.precision == pytest.approx(precision.tolist())
    assert entry.scores.recall == pytest.approx(recall.tolist())
    assert entry.scores.f1 == pytest.approx(f1.tolist())


def test_the_most_confused_pair_is_of_all_seeds() -> None:
    labels = np.array([0, 1, 1, 2])
    answers = (np.array([0, 2, 1, 2]), np.array([0, 2, 0, 2]))
    entry = classes.of_family("finalist a #1", labels, [np.eye(3)[answer] for answer in answers])
    assert entry.confused[0] == (1, 2, 2)
