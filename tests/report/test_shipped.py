"""A study that ships a reading with shifts: its own row in the leaderboard, and what each family would gain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from synthetic import Wanted, write_study

from study.records.files import read_json, write_json
from study.records.last_stage import Judged, LastStage, write_last_stage
from study.records.paths import StudyFiles
from study.report.page import make
from study.report.rendering import render
from study.report.section import Report
from study.report.sections import leaderboard
from study.report.wording import interval, percent

MENDED, SPOILED, AGAIN = 5, 1, 200
READING = {"below": 0.95, "temperature": 1.1}
ABOUT = {"images": 1000, "mended": 8, "spoiled": 3, "passes": 1.25}
GAINS = [
    {"family": "cnn", "run": "cnn-t1-seed0", "once": 0.99, "shifts": 0.995, **ABOUT},
    {"family": "mlp", "run": "mlp-t2-seed0", "once": 0.98, "shifts": 0.985, **ABOUT},
]


def with_shifts(files: StudyFiles) -> str:
    """Let the study have shipped such a reading, which mends some of the shipped run's answers and spoils one."""
    seal = read_json(files.seal)
    write_json(files.seal, {"openings": [{**one, "reading": READING} for one in seal["openings"]]})
    run: str = seal["openings"][0]["shipped_run"]
    with np.load(files.predictions) as arrays:
        labels, logits = arrays["labels"], arrays[run].copy()
    right = logits.argmax(axis=1) == labels
    for index in np.flatnonzero(~right)[:MENDED]:
        logits[index, labels[index]] = 99
    for index in np.flatnonzero(right)[:SPOILED]:
        logits[index, (labels[index] + 1) % 10] = 99
    passes = np.ones(len(labels), np.int64)
    passes[:AGAIN] = 5
    np.savez(files.shipped_predictions, labels=labels, logits=logits, passes=passes)
    files.model.mkdir(exist_ok=True)
    write_json(files.model / "model.json", {"weights_sha256": "0" * 64, "reading": READING, "gains": GAINS})
    return run


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    files = write_study(tmp_path_factory.mktemp("results") / "shifts", Wanted(examined=True))
    with_shifts(files)
    return make(files)


def test_the_shipped_reading_stands_beside_the_same_network_that_reads_once(report: Report) -> None:
    own, n = report[leaderboard].shipped, 2000
    assert own is not None
    assert own.run == "cnn-final-seed0"
    assert own.accuracy - own.once == pytest.approx(own.difference.mean)
    assert own.difference.mean == pytest.approx((MENDED - SPOILED) / n)
    assert own.difference.interval95[0] < own.difference.mean < own.difference.interval95[1]
    assert own.passes == pytest.approx(1 + 4 * AGAIN / n)
    assert own.latency_p50_ms == pytest.approx(own.passes * 0.31)
    metrics = report.study.runs[own.run].metrics
    assert metrics is not None
    assert own.flops == pytest.approx(own.passes * metrics.flops)


def test_the_finalists_are_those_of_images_read_once(report: Report, tmp_path: Path) -> None:
    same = make(write_study(tmp_path / "shifts", Wanted(examined=True)))
    assert report[leaderboard].rows == same[leaderboard].rows


def test_the_page_says_what_shifts_add_and_cost(report: Report) -> None:
    page = render(report)
    own = report[leaderboard].shipped
    assert own is not None
    told = f"cnn-final-seed0, which reads {percent(own.accuracy)} (95 % interval {interval(own.interval95)}) of"
    assert told in page.replace("\u00a0", " ")
    assert "cnn-final-seed0, read with shifts" in page
    assert "1.40 passes per image" in page
    assert "What reading with shifts would give each family, one run on 1,000 validation images" in page


def test_a_study_that_reads_once_has_neither(case_made: Callable[[str], Report]) -> None:
    board = case_made("examined")[leaderboard]
    assert (board.shipped, board.gains) == (None, None)
    assert not {"shipped", "gains"} & set(board.to_dict())


def test_a_model_that_shifts_would_harm_reads_once_and_the_page_says_so(tmp_path: Path) -> None:
    files = write_study(tmp_path / "harmed", Wanted())
    files.model.mkdir(exist_ok=True)
    harmed = [{**GAINS[0], "mended": 2, "spoiled": 6}]
    write_json(files.model / "model.json", {"weights_sha256": "0" * 64, "reading": None, "gains": harmed})
    report = make(files)
    assert report[leaderboard].shipped is None
    assert "The shipped model reads each image once: shifts mended no more" in render(report)


def test_networks_that_were_trained_again_have_no_reading_yet(tmp_path: Path) -> None:
    files = write_study(tmp_path / "shifts", Wanted())
    run = with_shifts(files)
    files.run(run).weights.write_bytes(b"other")
    assert make(files)[leaderboard].shipped is None


def after_last_stage(files: StudyFiles, ships: bool, anew: bool) -> str:
    """Let the study have a last stage of the run that it ships, which mends five of its answers; the name of it."""
    opening = read_json(files.seal)["openings"][0]
    of, trial = opening["shipped_run"], read_json(files.finalists)["families"]["cnn"]["finalist"]
    candidate = f"cnn-t{trial}-seed0"
    judged = Judged(10_000, 0.994, 0.9938, 12, 14 if ships else 99, 2600, 0.76, 0.91)
    write_last_stage(
        files.last_stage, LastStage(0, "cnn", trial, of, "0" * 64, candidate, 51_200, judged=judged, anew=anew)
    )
    files.run(of).weights.unlink(missing_ok=True)  # whose digest would be another one
    with np.load(files.predictions) as arrays:
        labels, logits = arrays["labels"], arrays[of].copy()
    for index in np.flatnonzero(logits.argmax(axis=1) != labels)[:MENDED]:
        logits[index, labels[index]] = 99
    with np.load(files.candidate_predictions) as arrays:
        known = dict(arrays)
    np.savez(files.candidate_predictions, **known, **({f"{of}-hands": logits} if ships else {}))
    return str(of)


@pytest.mark.parametrize(("ships", "anew"), [(True, True), (True, False), (False, True)])
def test_a_last_stage_is_told_and_stands_beside_the_network_without_it(tmp_path: Path, ships: bool, anew: bool) -> None:
    files = write_study(tmp_path / "staged", Wanted(examined=True))
    of = after_last_stage(files, ships, anew)
    report = make(files)
    page = render(report).replace("\u00a0", " ")
    own, stage = report[leaderboard].shipped, report[leaderboard].stage
    assert stage is not None
    assert stage.ships == ships
    assert "12 answers mended" in stage.sentences
    assert stage.sentences in page
    assert "choose the winner, judge its last stage, and fit temperature" in page
    if not ships:
        assert own is None
        assert f"was tried on {of} and is not shipped" in page
        return
    assert own is not None
    assert (own.run, own.below, own.difference) == (f"{of}-hands", None, None)
    assert own.accuracy == own.once == stage.after
    assert stage.difference is not None
    assert stage.difference.mean == pytest.approx(MENDED / 2000)
    name = f"a longer run of {of}" if anew else f"{of} after a last stage"
    told = f"{name} on pictures by other hands, too. It reads {percent(own.accuracy)} (95 % interval "
    told += f"{interval(own.interval95)}) of the test images right and 91 % of corrupted validation images, 76 % before"
    assert told in page
