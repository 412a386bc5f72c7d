"""The user's count of openings: what is counted once, what again, and where it cannot be kept."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from study.errors import ResultsError
from study.records.openings import count_openings, how_counted, openings_file, openings_of
from study.records.paths import StudyFiles
from study.records.seal import Opening

ONE = Opening("2026-01-01T00:00:00+00:00", "study run", "cnn", "r", [], {"r": "0"}, {"test-images": "a" * 64})
OTHER = replace(ONE, hashes={"r": "1"})


def test_it_lies_in_the_state_folder(state_home: Path) -> None:
    assert openings_file() == state_home / "digit-study" / "openings.jsonl"


def test_an_opening_is_counted_once_wherever_its_study_lies_now(tmp_path: Path) -> None:
    assert count_openings(StudyFiles(tmp_path / "mnist"), [ONE]) == 1
    assert count_openings(StudyFiles(tmp_path / "moved" / "mnist"), [ONE]) == 1
    assert openings_of("a" * 64) == 1


def test_a_later_study_of_the_same_images_is_not_the_first(tmp_path: Path) -> None:
    count_openings(StudyFiles(tmp_path / "mnist"), [ONE])
    assert count_openings(StudyFiles(tmp_path / "another"), [OTHER]) == 2
    assert count_openings(StudyFiles(tmp_path / "mnist"), [ONE]) == 1


def test_other_images_have_a_count_of_their_own(tmp_path: Path) -> None:
    count_openings(StudyFiles(tmp_path), [ONE])
    assert count_openings(StudyFiles(tmp_path), [replace(ONE, test_sha256={"test-images": "b" * 64})]) == 1


def test_what_a_study_opened_before_it_was_counted_is_counted_with_its_next(tmp_path: Path) -> None:
    assert count_openings(StudyFiles(tmp_path), [ONE, OTHER]) == 2


def test_images_without_a_known_sha256_are_not_counted(tmp_path: Path) -> None:
    assert count_openings(StudyFiles(tmp_path), [replace(ONE, test_sha256={})]) is None
    assert not openings_file().exists()


@pytest.mark.parametrize("ends", [b"", b'{"time": '])
def test_a_line_that_a_crash_left_torn_costs_nothing(tmp_path: Path, ends: bytes) -> None:
    count_openings(StudyFiles(tmp_path), [ONE])
    with openings_file().open("ab") as stream:
        stream.write(ends)
    assert count_openings(StudyFiles(tmp_path), [OTHER]) == 2


def test_where_it_cannot_be_written_the_reason_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(ResultsError, match=r"openings\.jsonl cannot be written \(Not a directory\)"):
        count_openings(StudyFiles(tmp_path), [ONE])


def test_a_damaged_count_is_named(tmp_path: Path) -> None:
    count_openings(StudyFiles(tmp_path), [ONE])
    openings_file().write_text(openings_file().read_text().replace("2026", "2025"))
    with pytest.raises(ResultsError, match=r"openings\.jsonl line 1 is damaged"):
        count_openings(StudyFiles(tmp_path), [OTHER])
    assert "line 1 is damaged" in how_counted("a" * 64)


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(ResultsError, match="set XDG_STATE_HOME"):
        openings_file()
    assert "no home folder" in how_counted("a" * 64)


def test_the_words_name_the_number_the_file_and_the_way_out(tmp_path: Path) -> None:
    count_openings(StudyFiles(tmp_path), [ONE, OTHER])
    words = how_counted("a" * 64)
    assert ": 2, counted in" in words
    assert str(openings_file()) in words
    assert "--uncounted" in words
    shutil.rmtree(openings_file().parent)
    assert ": 0, counted in" in how_counted("a" * 64)


def _count(root: str, number: int) -> None:
    count_openings(StudyFiles(Path(root) / str(number)), [replace(ONE, hashes={"r": str(number)})])


def test_commands_that_count_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        pool.starmap(_count, [(str(tmp_path), number) for number in range(24)])
    entries = [json.loads(line) for line in openings_file().read_text().splitlines()]
    assert openings_of("a" * 64) == len({entry["weights"] for entry in entries}) == len(entries) == 24


def test_an_opening_that_was_to_stay_uncounted_is_not_counted_with_the_next(tmp_path: Path) -> None:
    uncounted = replace(ONE, uncounted=True)
    assert count_openings(StudyFiles(tmp_path), [uncounted]) is None
    assert not openings_file().exists()
    assert count_openings(StudyFiles(tmp_path), [uncounted, OTHER]) == 1
