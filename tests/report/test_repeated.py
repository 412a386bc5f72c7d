"""What the report says of test images that are training images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import build, compare, page_of
from synthetic import Wanted, write_study

from study.records.files import write_json
from study.records.paths import StudyFiles
from study.records.settings import load_settings, save_settings
from study.report.wording import typeset


@pytest.fixture
def files(tmp_path: Path) -> StudyFiles:
    return write_study(tmp_path / "copies", Wanted(trials=6))


def count(files: StudyFiles, copies: list[int], **changes: Any) -> None:
    with np.load(files.predictions) as predictions:
        n = len(predictions["labels"])
    found = {"n_test": n, "test_in_train": len(copies), "test_indices": copies, "blank_train": 0, "blank_test": 0}
    write_json(files.duplicates, found | changes)


def told(report: dict[str, Any]) -> dict[str, str]:
    return {item["flag"]: item["text"] for item in report["limits"]["items"]}


def test_each_finalist_s_accuracy_on_the_other_images_stands_beside_the_count(files: StudyFiles) -> None:
    before = build(files)
    assert not {"test images trained on", "validation images trained on", "blank images"} & told(before).keys()
    with np.load(files.predictions) as predictions:
        labels = predictions["labels"]
        runs = [predictions[name] for name in predictions.files if name.startswith("cnn-final")]
    right = np.array([run.argmax(axis=1) == labels for run in runs])
    copies = np.flatnonzero(right.all(axis=0))[: len(labels) // 5]
    count(files, copies.tolist())
    report = build(files)
    row = report["repeated"]["others"]["cnn"]
    assert row["accuracy"] == pytest.approx(np.delete(right, copies, axis=1).mean())
    assert row["accuracy"] < row["all"] == pytest.approx(right.mean())
    text = told(report)["test images trained on"]
    assert text.startswith(
        f"{len(copies):,} of {len(labels):,} test images (20.00 %) are training images, pixel by pixel"
    )
    assert f"finalist cnn #{report['leaderboard']['rows'][0]['trial']} has " in text
    assert text in report["answer"]["caveats"]
    assert typeset(text) in page_of(files)


def test_a_handful_of_copies_is_a_limit_and_no_caveat(files: StudyFiles) -> None:
    count(files, [3])
    report = build(files)
    assert told(report)["test images trained on"].startswith("1 of ")
    assert "is a training image" in told(report)["test images trained on"]
    assert report["answer"]["caveats"] == []


def test_a_test_split_of_copies_alone_has_no_others(files: StudyFiles) -> None:
    with np.load(files.predictions) as predictions:
        everything = list(range(len(predictions["labels"])))
    count(files, everything, blank_test=2)
    report = build(files)
    assert report["repeated"]["others"] == {}
    assert "On the others" not in told(report)["test images trained on"]
    assert told(report)["blank images"] == "Blank images, all of one grey level, are not counted as copies: 2 test."


def test_copies_in_validation_and_the_form_of_the_files_are_told(files: StudyFiles) -> None:
    settings = load_settings(files.settings)
    form = {"validation_in_train": 12, "inverted": True, "transposed": True, "levels": (55, 225)}
    save_settings(settings.model_copy(update={"dataset": settings.dataset.model_copy(update=form)}), files.settings)
    report = build(files)
    assert told(report)["validation images trained on"].startswith("12 of 10,000 validation images (0.12 %) are in the")
    page = page_of(files)
    assert "The files hold dark ink on light paper." in page
    assert "rows and columns exchanged" in page
    assert "levels 55 to 225 were stretched" in page


def test_a_comparison_tells_that_the_same_files_were_read_in_another_form(files: StudyFiles, tmp_path: Path) -> None:
    old = write_study(tmp_path / "old", Wanted(trials=6))
    settings = load_settings(files.settings)
    form = settings.dataset.model_copy(update={"inverted": True, "levels": (55, 225)})
    save_settings(settings.model_copy(update={"dataset": form}), files.settings)
    found = compare([files, old])
    row = next(row for row in found["protocol"]["rows"] if row["key"] == "form")
    assert (row["values"], row["differs"]) == ([["dark ink made bright", "stretched"], None], True)
