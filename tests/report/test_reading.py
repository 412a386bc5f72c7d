"""The report's numbers against values computed here by other means from the same files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made import build
from synthetic import Wanted, write_study

from study.errors import ResultsError
from study.records.paths import StudyFiles
from study.report.page import write_report

Files = Callable[[str], StudyFiles]
Reports = Callable[[str], dict[str, Any]]


@pytest.mark.parametrize("name", ["finalists.json", "ledger.json", "test/seal.json", "test/predictions.npz"])
def test_a_damaged_file_is_refused_by_name(name: str, tmp_path: Path) -> None:
    files = write_study(tmp_path / "damaged", Wanted(trials=4))
    (files.root / name).write_text("{not json")
    with pytest.raises(ResultsError, match=name):
        build(files)


def test_a_file_of_another_version_is_refused_in_one_line(tmp_path: Path) -> None:
    files = write_study(tmp_path / "older", Wanted(trials=4))
    files.finalists.write_text('{"families": {"cnn": {"best": 3, "candidates": [{"n": 1}], "finalist": 1}}}')
    with pytest.raises(ResultsError, match="unknown form"):
        write_report(files)


def test_a_missing_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"study\.toml is missing"):
        build(StudyFiles(tmp_path / "nothing"))
