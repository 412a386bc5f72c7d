from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import build, page_of
from synthetic import Wanted, write_study

from study.records.files import read_json, read_jsonl, write_json
from study.records.paths import StudyFiles
from study.report.added import Added, in_brief


@pytest.fixture
def files(tmp_path: Path) -> StudyFiles:
    return write_study(tmp_path / "added", Wanted(apart=True, warm_starts=2, trials=4, candidates=4))


def added(files: StudyFiles) -> dict[str, Any]:
    """Found against given, by family."""
    return {row["family"]: row for row in build(files)["answer"]["added"] if row["against"] == "given"}


def best(files: StudyFiles, family: str) -> dict[str, dict[str, Any]]:
    """The candidate of each origin with the best mean on validation."""
    origins = {t["number"]: t["role"] for t in read_jsonl(files.trials_jsonl) if t["family"] == family}
    found: dict[str, dict[str, Any]] = {}
    for row in read_json(files.finalists)["families"][family]["candidates"]:
        origin = "found" if origins[row["trial"]] == "sampled" else "given"
        found[origin] = max(found.get(origin, row), row, key=lambda one: one["mean_accuracy"])
    return found


def on_test(files: StudyFiles, run: str) -> float:
    with np.load(files.candidate_predictions) as arrays:
        return float((arrays[run].argmax(axis=1) == arrays["labels"]).mean())


def test_the_best_found_is_compared_with_the_best_given_on_images_that_chose_neither(files: StudyFiles) -> None:
    for family, row in added(files).items():
        chosen = {origin: one["runs"][0] for origin, one in best(files, family).items()}
        assert (row["found"], row["other"]) == tuple(on_test(files, chosen[origin]) for origin in ("found", "given"))
        low, high = row["interval95"]
        assert low < row["difference"] < high
        assert "of the test split, the best one given (#" in row["sentence"]
        assert ", warm start)" in row["sentence"]
    page = page_of(files)
    assert "What the search added:" in page
    assert "before the test split was opened" in page
    assert "Each is one run" in page

    # Beside it stands the first configuration that the search drew, where that was trained again, too.
    first = {row["family"]: row for row in build(files)["answer"]["added"] if row["against"] == "first drawn"}
    assert first
    for family, row in first.items():
        drawn = [t["number"] for t in read_jsonl(files.trials_jsonl) if (t["family"], t["role"]) == (family, "sampled")]
        assert f"#{min(drawn)}" in row["sentence"]


def test_groups_of_images_are_drawn_whole(files: StudyFiles) -> None:
    alone = added(files)["cnn"]["interval95"]
    for path in (files.predictions, files.candidate_predictions):
        with np.load(path) as read:
            arrays = dict(read)
        # A group's images stand together where the candidates differ, so that few groups say less than the images do.
        np.savez(path, **arrays, groups=np.arange(len(arrays["labels"])) * 20 // len(arrays["labels"]))
    grouped = added(files)["cnn"]["interval95"]
    assert grouped != alone
    assert "clustered by 20 groups of images" in page_of(files)


def test_before_the_test_split_is_opened_validation_says_it_and_that_it_chose(tmp_path: Path) -> None:
    wanted = Wanted(apart=True, warm_starts=2, trials=4, candidates=4, stage="retrained")
    files = write_study(tmp_path / "sealed", wanted)
    for family, row in added(files).items():
        means = {origin: one["mean_accuracy"] for origin, one in best(files, family).items()}
        assert {"found": row["found"], "given": row["other"]} == means
        assert row["images"] == "validation"
    assert "on these very images" in page_of(files)


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
    for path in [*files.runs.glob("cnn-t*/validation.npz"), files.candidate_predictions]:
        path.unlink()
    row = added(files)["cnn"]
    assert row["difference"] is None
    assert np.isclose(row["found"], best(files, "cnn")["found"]["mean_accuracy"])


def test_what_was_not_given_is_compared_with_nothing(tmp_path: Path) -> None:
    rows = build(write_study(tmp_path / "plain", Wanted(warm_starts=0, trials=4)))["answer"]["added"]
    assert {row["against"] for row in rows} == {"first drawn"}


def test_what_the_search_added_is_told_in_one_sentence() -> None:
    def row(family: str, low: float, high: float) -> Added:
        return Added(family, "given", "test", 1, 0.99, 0.99, (low + high) / 2, (low, high), "")

    rows = (row("a", 0.001, 0.002), row("b", -0.002, -0.001), row("c", -0.001, 0.001))
    assert in_brief(rows) == (
        "For a the search found a better one than was given; for b the search found none as good as was given; for c "
        "found and given differ by no more than chance."
    )
    assert in_brief(()) is None
