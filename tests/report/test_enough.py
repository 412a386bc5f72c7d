from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from made import page_of
from synthetic import Wanted, write_study

from study.records.last_stage import Judged, LastStage, write_last_stage
from study.records.paths import StudyFiles
from study.records.run import read_run
from study.report import enough
from study.report.page import make
from study.report.section import Report


def test_twice_the_budget_is_answered_with_an_interval_or_not_at_all(case_made: Callable[[str], Report]) -> None:
    found = case_made("clear win")[enough]
    assert found is not None
    assert found.doubling is not None
    assert "finalist cnn #11" in found.sentence
    assert "95 % interval" in found.sentence
    assert "Unknown" in replace(found, doubling=None).sentence
    assert case_made("searching")[enough] is None


@pytest.fixture
def part(tmp_path: Path) -> StudyFiles:
    """A study whose trials learned from a part of the images."""
    return write_study(tmp_path / "part", Wanted(images=15_000, trials=12))


def test_trials_on_a_part_of_the_images_say_nothing_of_a_longer_training(part: StudyFiles) -> None:
    found = make(part)[enough]
    assert found is not None
    assert found.doubling is None
    assert "Unknown: no network was trained on the same images at two lengths" in page_of(part)


def test_a_longer_run_of_the_same_configuration_tells_before_the_search_does(part: StudyFiles) -> None:
    choice = make(part).study.shipped[1]
    assert choice is not None
    candidate = f"cnn-t{choice.trial}-seed0"
    examples = read_run(part.run(candidate)).record.examples
    judged = Judged(10_000, 0.99, 0.995, 80, 30, 2600, 0.76, 0.91)
    about = ("cnn", choice.trial, choice.run, "0" * 64, candidate, 4 * examples)
    write_last_stage(part.last_stage, LastStage(0, *about, judged=judged, anew=True))
    part.run(choice.run).weights.unlink(missing_ok=True)  # whose digest would be another one
    found = make(part)[enough]
    assert found is not None
    assert found.doubling is not None
    assert found.doubling.gain == pytest.approx(0.005 * (1 - 0.5**0.5))  # half the error after four times the length
    assert (
        "Trained for 4.0 times as many examples, three in ten of them as other pens and hands would leave them, the "
        f"configuration of cnn #{choice.trial} went from 99.00 % to 99.50 % on validation"
    ) in found.sentence
    worse = replace(judged, after=0.98)
    write_last_stage(part.last_stage, LastStage(0, *about, judged=worse, anew=True))
    assert "which one run may do by chance: what twice the budget would add is unknown" in page_of(part)
    write_last_stage(part.last_stage, LastStage(0, *about, judged=judged, anew=False))
    unknown = make(part)[enough]
    assert unknown is not None
    assert unknown.doubling is None


def test_where_the_longer_run_is_hardly_longer_the_search_tells(tmp_path: Path) -> None:
    files = write_study(tmp_path / "all", Wanted(trials=12))
    before, choice = make(files)[enough], make(files).study.shipped[1]
    assert choice is not None
    candidate = f"cnn-t{choice.trial}-seed0"
    examples = round(1.3 * read_run(files.run(candidate)).record.examples)
    judged = Judged(10_000, 0.99, 0.995, 80, 30, 2600, 0.76, 0.91)
    stage = LastStage(0, "cnn", choice.trial, choice.run, "0" * 64, candidate, examples, judged=judged, anew=True)
    write_last_stage(files.last_stage, stage)
    files.run(choice.run).weights.unlink(missing_ok=True)
    assert before is not None
    assert before.doubling is not None
    assert make(files)[enough] == before
