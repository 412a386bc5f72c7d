"""What a study ships, with and without a last stage of what validation chose."""

from __future__ import annotations

from dataclasses import replace

import pytest
from runs import candidate, family_result

from study.errors import ResultsError
from study.records.files import write_text
from study.records.finalists import Finalists
from study.records.last_stage import Judged, LastStage, read_last_stage, shipped_by, write_last_stage
from study.records.paths import StudyFiles
from study.records.seal import file_sha256

FOUND = Finalists({"cnn": family_result(candidate(3, family="cnn"), final_runs=("cnn-final-seed0",))})
JUDGED = Judged(10_000, 0.994, 0.9938, 12, 14, 2600, 0.76, 0.91)


@pytest.mark.parametrize(
    ("mended", "spoiled", "images", "after", "older", "anew"),
    [
        (0, 5, 10_000, 0.91, True, True),
        (0, 6, 10_000, 0.91, False, False),
        (20, 24, 10_000, 0.91, True, True),
        (20, 31, 10_000, 0.91, False, True),  # 11 worse, of which chance alone makes 1.64 times the root of 51
        (20, 32, 10_000, 0.91, False, False),
        (0, 1, 1_000, 0.91, False, True),
        (0, 0, 1_000, 0.91, True, True),
        (9, 0, 10_000, 0.76, False, False),
    ],
)
def test_the_rule_weighs_answers_on_clean_images_and_asks_for_a_gain_on_corrupted_ones(
    mended: int, spoiled: int, images: int, after: float, older: bool, anew: bool
) -> None:
    judged = replace(JUDGED, mended=mended, spoiled=spoiled, images=images, corrupted_after=after)
    stage = LastStage(0, "cnn", 3, "cnn-final-seed0", "0" * 64, "cnn-t3-seed0", 51_200, judged=judged)
    assert (stage.ships, replace(stage, anew=True).ships) == (older, anew)


def test_an_older_stage_that_was_cut_short_is_not_continued(stage: LastStage) -> None:
    begun = replace(stage, judged=None)
    assert [one.goes_on for one in (stage, begun, replace(begun, anew=True))] == [True, False, True]


@pytest.fixture
def stage(files: StudyFiles) -> LastStage:
    weights = files.run("cnn-final-seed0").weights
    weights.parent.mkdir(parents=True)
    write_text(weights, "weights")
    return LastStage(0, "cnn", 3, "cnn-final-seed0", file_sha256(weights), "cnn-t3-seed0", 51_200, judged=JUDGED)


def test_what_ships_and_what_its_temperature_is_from(files: StudyFiles, stage: LastStage) -> None:
    plain = shipped_by([files], [FOUND])
    assert (plain.run, plain.basis, plain.stage, plain.is_staged) == (
        "cnn-final-seed0",
        ("cnn-t3-seed0",),
        None,
        False,
    )
    write_last_stage(files.last_stage, stage)
    staged = shipped_by([files], [FOUND])
    assert (staged.run, staged.basis, staged.stage) == ("cnn-final-seed0-hands", ("cnn-t3-seed0-hands",), stage)
    assert staged.is_staged
    for kept in (replace(stage, judged=replace(JUDGED, spoiled=99)), replace(stage, judged=None, skipped="no time")):
        write_last_stage(files.last_stage, kept)
        assert shipped_by([files], [FOUND]) == replace(plain, stage=kept)


def test_a_stage_of_other_weights_or_of_another_trial_is_none(files: StudyFiles, stage: LastStage) -> None:
    write_last_stage(files.last_stage, stage)
    other = Finalists({"cnn": family_result(candidate(4, family="cnn"), final_runs=("cnn-final-seed0",))})
    assert shipped_by([files], [other]).stage is None
    write_text(files.run("cnn-final-seed0").weights, "trained again")
    assert shipped_by([files], [FOUND]).stage is None


def test_a_file_that_is_none_is_told(files: StudyFiles) -> None:
    write_text(files.last_stage, '{"search": 0}')
    with pytest.raises(ResultsError, match=r"last_stage\.json is of an unknown form"):
        read_last_stage(files.last_stage)
