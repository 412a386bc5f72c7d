"""Gains by shifts: of which runs they are, and whether these are still the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from runs import candidate, family_result

from study.records.files import write_npz
from study.records.finalists import Candidate, Finalists
from study.records.paths import StudyFiles
from study.records.shifts import Gain, compared, gains_stand

N = 20
SHIPPED = ("cnn-t3-seed0",)
ABOUT = {"images": N, "shifts": 1.0, "mended": 2, "spoiled": 0, "passes": 1.2}
GAINS = [
    Gain(family="cnn", run="cnn-t3-seed0", once=0.9, **ABOUT),
    Gain(family="mlp", run="mlp-t5-seed0", once=0.8, **ABOUT),
]


def left(files: StudyFiles, run: str, right: int) -> None:
    """The validation logits of a run that reads so many of 20 images."""
    labels = np.arange(N) % 10
    said = np.where(np.arange(N) < right, labels, (labels + 1) % 10)
    write_npz(files.run(run).validation, {"logits": np.eye(10, dtype=np.float32)[said], "labels": labels})


def found(mlp: Candidate) -> Finalists:
    cnn = family_result(candidate(3, family="cnn"), final_runs=("cnn-final-seed0",))
    return Finalists({"mlp": family_result(mlp, final_runs=("mlp-final-seed0",)), "cnn": cnn})


@pytest.fixture
def study(files: StudyFiles) -> StudyFiles:
    for run, right in (("cnn-t3-seed0", 18), ("mlp-t5-seed0", 16), ("mlp-t6-seed0", 16)):
        left(files, run, right)
    return files


def test_they_stand_as_long_as_each_family_has_the_same_finalist(study: StudyFiles) -> None:
    assert gains_stand(GAINS, study, found(candidate(5)), "cnn", SHIPPED)
    assert not gains_stand(GAINS, study, found(candidate(6)), "cnn", SHIPPED)
    assert not gains_stand(GAINS[:1], study, found(candidate(5)), "cnn", SHIPPED)


def test_a_run_of_the_same_name_that_reads_otherwise_is_another_one(study: StudyFiles) -> None:
    left(study, "mlp-t5-seed0", 17)
    assert not gains_stand(GAINS, study, found(candidate(5)), "cnn", SHIPPED)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:200])])
def test_a_family_that_left_no_logits_is_not_compared(study: StudyFiles, damage: object) -> None:
    damage(study.run("mlp-t5-seed0").validation)  # type: ignore[operator]
    assert list(compared(study, found(candidate(5)), "cnn", SHIPPED)) == ["cnn"]
    assert gains_stand(GAINS[:1], study, found(candidate(5)), "cnn", SHIPPED)
