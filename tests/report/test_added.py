from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import build, page_of
from synthetic import Wanted, write_study

from study.records.files import read_json, read_jsonl, write_json
from study.records.paths import StudyFiles


@pytest.fixture
def files(tmp_path: Path) -> StudyFiles:
    return write_study(tmp_path / "added", Wanted(apart=True, warm_starts=2, trials=4, candidates=4))


def added(files: StudyFiles) -> dict[str, Any]:
    return {row["family"]: row for row in build(files)["answer"]["added"]}


def means(files: StudyFiles, family: str) -> dict[str, float]:
    """The best mean of each origin among the candidates of a family."""
    origins = {t["number"]: t["role"] for t in read_jsonl(files.trials_jsonl) if t["family"] == family}
    rows = read_json(files.finalists)["families"][family]["candidates"]
    best: dict[str, float] = {}
    for row in rows:
        origin = "found" if origins[row["trial"]] == "sampled" else "given"
        best[origin] = max(best.get(origin, 0.0), row["mean_accuracy"])
    return best


def test_the_best_found_is_compared_with_the_best_given_on_the_same_images(files: StudyFiles) -> None:
    for family, row in added(files).items():
        assert {"found": row["found"], "given": row["given"]} == means(files, family)
        low, high = row["interval95"]
        assert low < row["difference"] < high
        assert "95 % interval" in row["sentence"]
        assert ", warm start)" in row["sentence"]
    assert "What the search added:" in page_of(files)


def test_one_that_was_not_trained_again_is_named(files: StudyFiles) -> None:
    finalists = read_json(files.finalists)
    origins = {t["number"]: t["role"] for t in read_jsonl(files.trials_jsonl) if t["family"] == "cnn"}
    rows = finalists["families"]["cnn"]["candidates"]
    finalists["families"]["cnn"]["candidates"] = [row for row in rows if origins[row["trial"]] == "warm_start"]
    write_json(files.finalists, finalists)
    row = added(files)["cnn"]
    assert (row["found"], row["difference"], row["interval95"]) == (None, None, None)
    assert "no configuration that the search found was trained again" in row["sentence"]


def test_without_logits_only_the_accuracies_are_told(files: StudyFiles) -> None:
    for path in files.runs.glob("cnn-t*/validation.npz"):
        path.unlink()
    row = added(files)["cnn"]
    assert row["difference"] is None
    assert np.isclose(row["found"], means(files, "cnn")["found"])


def test_a_study_that_was_given_nothing_says_nothing_of_it(tmp_path: Path) -> None:
    files = write_study(tmp_path / "plain", Wanted(warm_starts=0, trials=4))
    assert build(files)["answer"]["added"] == []
    assert "What the search added" not in page_of(files)
