from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from made import compare
from synthetic import Wanted, write_study

from study.records.paths import StudyFiles
from study.report.comparison.entries import read_entries
from study.report.comparison.groups import why_unpaired

Comparisons = Callable[[str], dict[str, Any]]
Compared = Callable[[str], list[StudyFiles]]


def test_a_sealed_study_stands_in_the_group_of_its_checksums_without_a_test_score(comparison: Comparisons) -> None:
    found = comparison("one sealed")
    assert found["groups"][0] | {"sha256": None, "labels_sha256": None} == {
        "datasets": ["mnist"],
        "studies": ["read", "sealed"],
        "read": ["read"],
        "n_test": 2000,
        "sha256": None,
        "labels_sha256": None,
    }
    sealed = [row for row in found["leaderboard"]["rows"] if row["study"] == "sealed"]
    assert [(row["test"], row["front"]) for row in sealed] == [(None, []), (None, [])]


def test_no_checksum_is_no_proof_of_the_same_images(tmp_path: Path) -> None:
    studies = [write_study(tmp_path / name, Wanted(trials=6, draw=place)) for place, name in enumerate("ab")]
    for files in studies:
        files.settings.write_text(files.settings.read_text().replace("test_images", "other_images"))
        seal = json.loads(files.seal.read_text())
        seal["openings"][0]["test_sha256"] = {}
        files.seal.write_text(json.dumps(seal))
    reason = why_unpaired(*read_entries(studies))
    assert reason is not None
    assert "no checksum" in reason


def test_equal_checksums_with_other_labels_are_not_the_same_images(tmp_path: Path) -> None:
    studies = [write_study(tmp_path / name, Wanted(trials=6, draw=place)) for place, name in enumerate("ab")]
    with np.load(studies[1].predictions) as arrays:
        changed = dict(arrays)
    changed["labels"] = np.roll(changed["labels"], 1)
    np.savez(studies[1].predictions, **changed)
    found = compare(studies)
    assert found["pairwise"]["pairs"] == []
    assert "labels beside the predictions do not" in found["pairwise"]["untested"][0]["reason"]
    assert len(found["groups"]) == 2
