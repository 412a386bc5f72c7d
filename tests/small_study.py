"""A small finished study on disk: ten classes of bright squares, two families, two final runs and a candidate each."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from runs import run_metrics, run_record

from study.records.finalists import Candidate, FamilyResult, Finalists
from study.records.paths import StudyFiles
from study.records.settings import (
    DatasetSettings,
    FamilySettings,
    Ladder,
    RetrainSettings,
    StudySettings,
    save_settings,
)
from study.training.checkpoint import save_run
from study.training.config import build_model

CONFIGS = {
    "mlp": {"family": "mlp", "depth": 1, "width": [16], "activation": "relu", "normalisation": "none", "dropout": 0.0},
    "cnn": {
        "family": "cnn",
        "stages": 2,
        "convs_per_stage": 1,
        "width": 4,
        "growth": 1.0,
        "kernel_size": 3,
        "activation": "relu",
        "normalisation": "none",
        "pooling": "max",
        "residual": False,
        "head": "global",
        "dropout": 0.0,
    },
}
N_TEST = 60


@dataclass(frozen=True)
class SmallStudy:
    files: StudyFiles
    settings: StudySettings
    finals: tuple[str, ...]
    candidates: tuple[str, ...]

    @property
    def runs(self) -> tuple[str, ...]:
        return self.finals + self.candidates

    @property
    def found(self) -> Finalists:
        """What its retraining came to."""
        return Finalists({family: self._result_of(family) for family in CONFIGS})

    def _result_of(self, family: str) -> FamilyResult:
        finals, candidates = (
            tuple(run for run in runs if run.startswith(family)) for runs in (self.finals, self.candidates)
        )
        return FamilyResult((Candidate(3, 100, 0.9, 0.3, candidates, (0.9,), 0.9, 0.3),), 3, finals, 100)


def _squares(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) % 10).astype(np.uint8)
    images = rng.integers(0, 60, (n, 28, 28)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 5)
        image[4 + 12 * row : 10 + 12 * row, 1 + 5 * column : 6 + 5 * column] = 255
    return images, labels


def _write_idx(folder: Path, split: str, images: np.ndarray, labels: np.ndarray) -> dict[str, str]:
    files = {
        "images": struct.pack(">IIII", 0x803, *images.shape) + images.tobytes(),
        "labels": struct.pack(">II", 0x801, len(labels)) + labels.tobytes(),
    }
    stem = "t10k" if split == "test" else "train"
    for what, raw in files.items():
        (folder / f"{stem}-{what}-idx{3 if what == 'images' else 1}-ubyte").write_bytes(raw)
    return {f"{split}-{what}": hashlib.sha256(raw).hexdigest() for what, raw in files.items()}


def _save_run(files: StudyFiles, name: str, family: str, role: str, seed_index: int) -> str:
    torch.manual_seed(seed_index)
    save_run(
        files.run(name),
        build_model(CONFIGS[family], 10),
        run_record(family=family, role=role, seed=11 + seed_index, seed_index=seed_index),
        CONFIGS[family],
        [],
        run_metrics(),
        validation=None,
        digest=name,
    )
    return name


@pytest.fixture
def small_study(tmp_path: Path) -> SmallStudy:
    data = tmp_path / "data"
    data.mkdir()
    digests = _write_idx(data, "train", *_squares(120, 0)) | _write_idx(data, "test", *_squares(N_TEST, 1))
    files = StudyFiles(tmp_path / "results" / "small")
    finals = [
        _save_run(files, f"{family}-final-seed{s}", family, "final", s) for family in ("cnn", "mlp") for s in (0, 1)
    ]
    candidates = [_save_run(files, f"{family}-t3-seed0", family, "candidate", 0) for family in ("cnn", "mlp")]
    ladder = Ladder(examples=(100, 200), reduction_factor=2)
    settings = StudySettings(
        name="small",
        created="2026-01-01T00:00:00+00:00",
        seed=0,
        sampler="tpe",
        pruner="asha",
        dataset=DatasetSettings(
            name="squares",
            data_dir=str(data),
            classes=tuple("0123456789"),
            sha256=digests,
            n_train=100,
            n_validation=20,
            split_seed=0,
            split_sha256="0" * 64,
            mean=0.2,
            std=0.3,
        ),
        retrain=RetrainSettings(),
        families={name: FamilySettings(space_file=f"{name}.toml", space="", ladder=ladder) for name in CONFIGS},
        versions={},
    )
    save_settings(settings, files.settings)
    return SmallStudy(files, settings, tuple(finals), tuple(candidates))


@pytest.fixture
def opened_study(small_study: SmallStudy) -> SmallStudy:
    """The same after its test split was opened."""
    from study.evaluation.test_set import RunsToTest, open_test

    assert open_test(
        small_study.files,
        small_study.settings,
        "study run",
        RunsToTest(small_study.files, small_study.found),
        "cnn",
        "cnn-final-seed0",
        [["cnn", "mlp"]],
    )
    return small_study


def name_groups(study: SmallStudy) -> None:
    """Ten groups of six test images, named beside the study's data from now on."""
    data = study.files.root.parent.parent / "data"
    (data / "t10k-groups.txt").write_text("".join(f"{image % 10}\n" for image in range(N_TEST)))
