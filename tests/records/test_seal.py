"""The seal's file: what is read back, and what a damaged one says."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from study.errors import ResultsError
from study.records.paths import StudyFiles
from study.records.seal import Opening, is_made_from, read_openings, run_hashes, trained_again, write_openings

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


@pytest.fixture
def study(tmp_path: Path) -> StudyFiles:
    files = StudyFiles(tmp_path / "a")
    for run in ("one", "two"):
        files.run(run).root.mkdir(parents=True)
        files.run(run).weights.write_bytes(run.encode())
    return files


def digest(run: str) -> str:
    return hashlib.sha256(run.encode()).hexdigest()


def test_a_run_of_other_weights_was_trained_again_and_one_without_any_was_not(study: StudyFiles) -> None:
    sealed = {"two": "other", "one": digest("one"), "gone": "0", "a-repeat-2/one": "another folder's"}
    assert trained_again(study, sealed) == ["two"]
    assert trained_again(study, {f"a-repeat-2/{run}": found for run, found in sealed.items()}, "a-repeat-2/") == ["two"]
    assert trained_again(study, sealed, "a-repeat-2/") == ["one"]


def test_a_result_stands_while_its_runs_have_the_weights_it_was_made_from(study: StudyFiles) -> None:
    assert is_made_from({"made_from": {"one": digest("one")}}, study, [])
    assert not is_made_from({"made_from": {"one": digest("two")}}, study, [])


def test_an_older_result_stands_if_the_split_was_opened_once_for_the_weights_that_are_there(study: StudyFiles) -> None:
    once = replace(OPENING, hashes={"one": digest("one")})
    assert is_made_from({}, study, [once])
    assert not is_made_from({}, study, [replace(once, hashes={"one": "other"})])
    assert not is_made_from({}, study, [once, once])  # it may be of the first
