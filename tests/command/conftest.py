"""A study whose shipped network has seen a thousand digits, with a finalist of each family."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import candidate, family_result, finalists
from small_model import digits, make_bundle, second_reader, trained
from small_study import SmallStudy, small_study

from study.records.finalists import write_finalists
from study.records.paths import StudyFiles

__all__ = ["digits", "make_bundle", "second_reader", "small_study", "trained"]


@pytest.fixture
def shipped_study(small_study: SmallStudy, make_bundle: Callable[..., Path], second_reader: Any) -> StudyFiles:
    files = small_study.files
    made = make_bundle(threshold=0.5, trial=3, second_reader=second_reader)
    shutil.move(made, files.model)
    rows = {}
    for family in ("cnn", "mlp"):
        one = candidate(family=family)
        np.savez(files.run(one.runs[0]).validation, logits=np.eye(10, dtype=np.float32), labels=np.arange(10))
        rows[family] = family_result(one, final_runs=(f"{family}-final-seed0", f"{family}-final-seed1"))
    write_finalists(files.finalists, finalists(**rows))
    return files
