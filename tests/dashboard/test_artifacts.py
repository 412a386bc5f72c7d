"""The pictures of a run, written by a real one, as Optuna's own functions find them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from optuna.artifacts import FileSystemArtifactStore
from runs import history_row, run_metrics, run_record

from study.dashboard.artifacts import Artifacts, keep, pictures_of
from study.records.paths import StudyFiles
from study.records.run import write_run

CLASSES = [str(n) for n in range(10)]
LABELS = np.arange(40) % 10


def images(places: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.full((len(places), 28, 28), 255, dtype=np.uint8)


def written(files: StudyFiles, name: str, wrong: int | None) -> str:
    """A run that misread so many of 40 images; None is a final run."""
    logits = np.eye(10, dtype=np.float32)[(LABELS + (np.arange(40) < (wrong or 0))) % 10]
    write_run(
        files.run(name),
        run_record(role="final" if wrong is None else "candidate"),
        {"width": [8]},
        [history_row(validation_accuracy=None if wrong is None else 0.5)],
        run_metrics(),
        validation=None if wrong is None else (logits, LABELS),
        save_weights=Path.touch,
        digest="x",
    )
    return name


def shown(files: StudyFiles, name: str) -> dict[str, str]:
    return {one.filename: one.content.decode() for one in pictures_of(files, name, CLASSES, images)}


def test_a_candidate_has_all_of_them(files: StudyFiles) -> None:
    found = shown(files, written(files, "a", wrong=35))
    assert list(found) == [
        "configuration.toml",
        "learning curve.svg",
        "training loss.svg",
        "confusion matrix.svg",
        "misread digits.svg",
    ]
    assert "35 of 40 validation images misread" in found["confusion matrix.svg"]
    assert found["misread digits.svg"].count("<image") == 30  # and no more, however many there are
    assert found["configuration.toml"].startswith("width = [")


def test_a_final_run_was_measured_on_nothing(files: StudyFiles) -> None:
    assert list(shown(files, written(files, "a", wrong=None))) == ["configuration.toml", "training loss.svg"]


def test_nothing_misread_is_no_picture(files: StudyFiles) -> None:
    assert "misread digits.svg" not in shown(files, written(files, "a", wrong=0))


def test_a_picture_of_hundreds_of_confused_classes_stays_out(
    files: StudyFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.dashboard.artifacts._MAX_BYTES", 2000)
    found = shown(files, written(files, "a", wrong=35))
    assert "confusion matrix.svg" not in found
    assert "learning curve.svg" in found


def test_optuna_s_store_finds_them_and_made_again_they_are_the_same_files(files: StudyFiles) -> None:
    name = written(files, "a", wrong=3)
    once, again = (keep(files, CLASSES, images, name, "me/tiny/retrain/0") for _ in range(2))
    assert once == again
    assert len(list(files.artifacts.iterdir())) == len(once) == 5
    store = FileSystemArtifactStore(files.artifacts)
    for key, text in once.items():
        meta = json.loads(text)
        assert key == f"artifacts:{meta['artifact_id']}"
        with store.open_reader(meta["artifact_id"]) as stream:
            assert stream.read()
    assert keep(files, CLASSES, images, name, "me/tiny/retrain/1").keys().isdisjoint(once)


def test_a_damaged_run_is_shown_without_a_picture(files: StudyFiles) -> None:
    files.run(written(files, "a", wrong=3)).validation.write_bytes(b"no archive")
    assert len(keep(files, CLASSES, images, "a", "me")) == 3
    files.run("a").config.unlink()
    assert keep(files, CLASSES, images, "a", "me") == {}


def test_a_picture_that_is_gone_is_empty_and_no_error(files: StudyFiles) -> None:
    with Artifacts(files.artifacts).open_reader("00000000-0000-0000-0000-000000000000") as stream:
        assert stream.read() == b""
