"""A file of logits that was cut short is named, with what mends it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from study.errors import ResultsError
from study.records.files import write_npz
from study.records.paths import StudyFiles
from study.records.predictions import read_logits, read_validation

ARRAYS = {"logits": np.eye(10, dtype=np.float32), "labels": np.arange(10)}


def cut_short(path: Path) -> None:
    write_npz(path, ARRAYS)
    path.write_bytes(path.read_bytes()[:200])


def test_validation_logits(files: StudyFiles) -> None:
    run = files.run("mlp-t0-seed0")
    assert read_validation(run) is None
    cut_short(run.validation)
    with pytest.raises(ResultsError, match=r"validation\.npz is damaged .*; move .*mlp-t0-seed0 away, then retrain"):
        read_validation(run)


def test_test_logits(files: StudyFiles) -> None:
    cut_short(files.predictions)
    with pytest.raises(ResultsError, match=r"predictions\.npz is damaged"):
        read_logits(files.predictions)
