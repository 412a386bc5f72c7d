"""The seal's file: what is read back, and what a damaged one says."""

from pathlib import Path

import pytest

from study.errors import ResultsError
from study.records.paths import StudyFiles
from study.records.seal import Opening, read_openings, run_hashes, write_openings

OPENING = Opening("2026-01-01T00:00:00+00:00", "study run", "cnn", "cnn-final-seed0", [["cnn", "mlp"]], {"r": "0"}, {})


def test_openings_are_read_back_as_written(tmp_path: Path) -> None:
    write_openings(tmp_path / "test" / "seal.json", [OPENING, OPENING])
    assert read_openings(tmp_path / "test" / "seal.json") == [OPENING, OPENING]


def test_without_a_seal_there_was_no_opening(tmp_path: Path) -> None:
    assert read_openings(tmp_path / "seal.json") == []


@pytest.mark.parametrize("content", ["{", "{}", '{"openings": [{"time": "now"}]}'])
def test_a_damaged_seal_is_named_and_not_taken_for_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "seal.json"
    path.write_text(content)
    with pytest.raises(ResultsError, match=r"seal\.json"):
        read_openings(path)


def test_a_run_without_weights_is_named(tmp_path: Path) -> None:
    files = StudyFiles(tmp_path)
    files.run("cnn-final-seed0").root.mkdir(parents=True)
    files.run("cnn-final-seed0").done.write_text("{}")
    with pytest.raises(ResultsError, match=r"model\.safetensors is missing"):
        run_hashes(files, ["cnn-final-seed0"])
