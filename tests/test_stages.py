"""What stands of a study: a command that was ended between any two stages, and the next one with the same, a larger or
a smaller goal. Real searches and trainings on a slice of digits, in this process."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tiny_spaces import TINY_SPACES

from study.command.cli import main
from study.command.status import study_status
from study.errors import Interrupted
from study.execution.executors import InProcessExecutor
from study.execution.worker import train
from study.records.files import read_json
from study.records.last_stage import read_last_stage
from study.records.paths import StudyFiles
from study.records.predictions import read_logits
from study.records.seal import read_openings, weights_of
from study.records.settings import RetrainSettings
from study.records.trial import read_trials
from study.stages import one_search
from study.stages import plan as planner
from study.stages.holes import holes
from study.training.loop import TrainingData

Words = Callable[..., list[str]]


@pytest.fixture(scope="module")
def light() -> Iterator[None]:
    """Trainings in this process, few of them, and examinations as short as they can be."""

    @contextlib.contextmanager
    def executor(n_workers: int, data: TrainingData, **_: Any) -> Iterator[InProcessExecutor]:
        with InProcessExecutor(1, partial(train, data=data, precision="fp32")) as one:
            yield one

    few = RetrainSettings(candidates=1, candidate_seeds=1, final_seeds=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one_search, "ProcessExecutor", executor)
        patch.setattr(planner, "retrain_settings", lambda *_: few)
        patch.setattr("study.stages.session.retrain_settings", lambda *_: few)
        patch.setattr(planner, "examine_seconds", lambda _: 0.1)
        yield


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, write_idx: Callable[[Path], Path], light: None
) -> tuple[Path, list[str]]:
    """A folder with a finished study, kept as it was made, and the flags of its data and spaces."""
    root = tmp_path_factory.mktemp("stages")
    flags = ["--data-dir", str(write_idx(root / "digits")), "--workers", "1"]
    for family, text in TINY_SPACES.items():
        (root / f"{family}.toml").write_text(text)
        flags += ["--space", str(root / f"{family}.toml")]
    words = ["run", "--results", str(root / "results"), "--name", "done", *flags, "--n-trials", "1", "--quiet"]
    words.append("--no-warm-start")  # so that more trials make other finalists
    assert main(words) == 0
    (root / "results" / "done").rename(root / "kept")
    return root, flags


@pytest.fixture
def study(finished: tuple[Path, list[str]]) -> StudyFiles:
    """The finished study where it was made, to be continued: elsewhere it would be a copy with a life of its own."""
    root, _ = finished
    shutil.rmtree(root / "results", ignore_errors=True)
    return StudyFiles(shutil.copytree(root / "kept", root / "results" / "done"))


@pytest.fixture
def words(finished: tuple[Path, list[str]]) -> Words:
    def make(verb: str, *more: str, name: str = "done") -> list[str]:
        flags = finished[1] if verb == "run" else []
        return [verb, "--results", str(finished[0] / "results"), "--name", name, *flags, *more]

    return make


def interrupted(*_: object, **__: object) -> None:
    raise Interrupted(signal.SIGTERM)


def ended_at(place: str, words: list[str]) -> None:
    """The command, ended as soon as it comes to this place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, interrupted)
        assert main(words) == 128 + signal.SIGTERM


def candidates_of(files: StudyFiles) -> dict[str, list[int]]:
    rows = read_json(files.finalists)["families"]
    return {family: [candidate["trial"] for candidate in row["candidates"]] for family, row in rows.items()}


def check_whole(files: StudyFiles, words: list[str], capsys: pytest.CaptureFixture[str], *, openings: int) -> None:
    """Every file tells of the same trials and networks, and the same command has nothing to do."""
    finalists, report = read_json(files.finalists), read_json(files.report_json)
    records = [record for record in read_trials(files.trials_jsonl) if record.counted]
    assert report["answer"]["trials"] == len([record for record in records if record.origin == "found"])
    told = {row["family"]: row["trial"] for row in report["leaderboard"]["rows"] if row["kind"] == "finalist"}
    assert told == {family: row["finalist"] for family, row in finalists["families"].items()}
    for family, row in finalists["families"].items():
        best = max((r for r in records if r.family == family), key=lambda r: (r.examples, r.value, -r.nll_scaled))
        assert best.number in {candidate["trial"] for candidate in row["candidates"]}
    assert len(read_openings(files.seal)) == openings
    if openings:
        finals = [run for row in finalists["families"].values() for run in row["final_runs"]]
        sealed = read_openings(files.seal)[-1].hashes
        assert weights_of(files, finals) == {run: sealed[run] for run in finals}
        assert report["answer"]["stage"] == "evaluated"
        for name in ("robustness", "latency", "ensemble"):
            made_from = read_json(files.test / f"{name}.json")["made_from"]
            assert made_from == {run: sealed[run] for run in finals}
    shipped = read_json(files.model / "model.json")["weights_sha256"]
    assert shipped == weights_of(files, [finalists["shipped_run"]])[finalists["shipped_run"]]
    assert files.report_html.is_file()
    before = contents(files)
    capsys.readouterr()
    assert main(words) == 0
    assert "this study is complete" in capsys.readouterr().err
    assert contents(files) == before
    assert read_json(files.ledger)["commands"][-1]["seconds"] == 0.0


def contents(files: StudyFiles) -> dict[str, bytes]:
    """All files but the ledger, which every command adds to, and the lock."""
    paths = [path for path in files.root.rglob("*") if path.is_file() and path.name not in ("ledger.json", ".lock")]
    return {str(path.relative_to(files.root)): path.read_bytes() for path in paths if "old" not in path.parts}


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file of a folder, when it was last written and its content."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def looked_ahead(words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The plan of a command, which leaves every file as it is."""
    before = everything(folder)
    capsys.readouterr()
    assert main([*words, "--dry-run", "--format", "json"]) == 0
    assert everything(folder) == before
    return dict(json.loads(capsys.readouterr().out))


def test_a_dry_run_of_a_complete_study_has_nothing_to_do(
    study: StudyFiles, words: Words, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = looked_ahead(words("run"), study.root.parent, capsys)
    assert (plan["exists"], plan["is_complete"], plan["test_split"]) == (True, True, "stays as it was read")
    assert all(stage["is_done"] and stage["writes"] == [] for stage in plan["stages"])


def test_a_dry_run_of_a_larger_goal_says_what_is_left_and_is_not_noted(
    study: StudyFiles, words: Words, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = looked_ahead(words("run", "--n-trials", "3"), study.root.parent, capsys)
    assert (plan["is_complete"], plan["goal"]["n_trials"], plan["test_split"]) == (False, 3, "may be opened again")
    assert not any(stage["is_done"] for stage in plan["stages"])
    assert [family["trials"] for family in plan["families"]] == [1, 1]
    assert any("opened the test split once" in note for note in plan["notes"])
    assert looked_ahead(words("run"), study.root.parent, capsys)["is_complete"]


MOMENTS = [
    "study.stages.all.retrain_candidates",
    "study.stages.all.Stages.evaluate",
    "study.stages.all.Stages.examine",
    "study.stages.all.Stages.report",
]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_continued_study_that_was_ended_between_two_stages_is_finished_by_the_same_command(
    moment: str, study: StudyFiles, words: Words, capsys: pytest.CaptureFixture[str]
) -> None:
    again = words("run", "--n-trials", "3")
    before = candidates_of(study)
    ended_at(moment, again)
    trials = study.trials_jsonl.read_bytes()
    assert main(again) == 0
    assert study.trials_jsonl.read_bytes() == trials  # no trial was repeated
    changed = candidates_of(study) != before
    check_whole(study, again, capsys, openings=1 + changed)


def test_a_report_made_during_the_search_does_not_make_a_study_complete(
    study: StudyFiles, words: Words, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report of a search alone, a kill in the examination: the next command examines and reports."""
    new = words("run", "--n-trials", "1", name="new")
    files = StudyFiles(study.root.parent / "new")
    ended_at("study.stages.all.retrain_candidates", new)
    assert main(words("report", name="new")) == 0
    assert read_json(files.report_json)["answer"]["stage"] == "searching"
    ended_at("study.stages.all.Stages.examine", new)
    assert main(new) == 0
    check_whole(files, new, capsys, openings=1)


def test_a_smaller_goal_changes_nothing_and_a_larger_one_goes_on(
    study: StudyFiles, words: Words, capsys: pytest.CaptureFixture[str]
) -> None:
    ended_at("study.stages.all.retrain_candidates", words("run", "--n-trials", "3"))
    assert "if other networks come of this command, it is opened again" in capsys.readouterr().err
    assert study_status(study)["done"] == ["search"]  # what is there else is of a smaller goal
    assert main(words("run", "--n-trials", "1")) == 0  # what the longer search has found is used
    openings = len(read_openings(study.seal))
    check_whole(study, words("run", "--n-trials", "1"), capsys, openings=openings)
    assert main(words("run", "--n-trials", "4", "--no-evaluate")) == 0
    assert len(read_trials(study.trials_jsonl).counted.found) == 2 * 4
    assert len(read_openings(study.seal)) == openings


def test_no_number_of_the_test_split_is_told_of_networks_that_it_was_not_opened_for(
    study: StudyFiles, words: Words, capsys: pytest.CaptureFixture[str]
) -> None:
    """More trials with --no-evaluate: new finalists under the names of the old ones."""
    sealed = read_openings(study.seal)[-1].hashes
    assert main(words("run", "--n-trials", "6", "--no-evaluate")) == 0
    report = read_json(study.report_json)
    finals = [run for row in read_json(study.finalists)["families"].values() for run in row["final_runs"]]
    assert weights_of(study, finals) != {run: sealed[run] for run in finals}
    assert report["answer"]["stage"] == "retrained"
    assert "trained after the test split was opened for others" in report["findings"]["answer"]
    assert report["robustness"]["measured"] is None
    assert main(words("examine")) == 1
    assert "was trained after the test split was opened" in capsys.readouterr().err
    assert main(words("run", "--n-trials", "6")) == 0
    err = capsys.readouterr().err
    assert err.index("the test split is opened again, for") < err.index("the test split is read")
    check_whole(study, words("run"), capsys, openings=2)


def test_evaluating_finalists_that_the_search_has_left_behind_is_said(
    study: StudyFiles, words: Words, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words("evaluate")) == 0
    assert "the search has gone on" not in capsys.readouterr().err
    assert main(["search", *words("run", "--n-trials", "2")[1:]]) == 0
    capsys.readouterr()
    assert main(words("evaluate")) == 0
    assert "the search has gone on since the finalists were chosen" in capsys.readouterr().err
    assert len(read_openings(study.seal)) == 1


def test_a_last_stage_that_was_cut_short_goes_on_and_what_it_ships_is_sealed_read_and_told(
    study: StudyFiles, words: Words, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The finished study's runs were too short for one; here any run is long enough, and the stage is shipped."""
    skipped, section = read_last_stage(study.last_stage), "learned for too short a time"
    assert skipped is not None
    assert skipped.skipped is not None
    assert section in skipped.skipped
    assert section in study.report_html.read_text()
    monkeypatch.setattr("study.stages.last_stage_plan._FEWEST_OF_RUN", 1)
    assert looked_ahead(words("run"), study.root.parent, capsys)[
        "is_complete"
    ]  # skipped once for this goal, it stays so
    study.last_stage.unlink()
    monkeypatch.setattr("study.records.last_stage.LastStage.ships", True)
    ended_at("study.stages.last_stage._judged", words("run"))
    staged = [study.run(run) for run in (f"{skipped.of}-hands", f"{skipped.candidate}-hands")]
    trained = [run.weights.stat().st_mtime_ns for run in staged]
    assert main(words("run")) == 0
    assert [run.weights.stat().st_mtime_ns for run in staged] == trained
    stage, opening = read_last_stage(study.last_stage), read_openings(study.seal)[-1]
    assert stage is not None
    assert (opening.shipped_run, opening.last_stage) == (stage.run, stage.to_dict())
    assert stage.run in opening.hashes
    assert stage.judged_run not in opening.hashes
    assert stage.run in read_logits(study.candidate_predictions)[1]
    model = read_json(study.model / "model.json")
    assert (model["run"], model["fitted_on"]["run"]) == (stage.run, stage.judged_run)
    assert model["weights_sha256"] == opening.hashes[stage.run]
    report = read_json(study.report_json)
    assert report["leaderboard"]["stage"]["difference"]["n"] == len(read_logits(study.predictions)[0])
    assert report["reproduce"]["shipped_run"] == report["leaderboard"]["shipped"]["run"] == stage.run
    measured = report["robustness"]["measured"]
    assert measured["runs"][f"{stage.family}, shipped"] == stage.run
    assert f"a longer run of {stage.of}" in study.report_html.read_text()
    assert "## Last stage" in study.model_card.read_text()
    before = contents(study)
    assert main(words("run")) == 0
    assert contents(study) == before
    assert looked_ahead(words("run"), study.root.parent, capsys)["is_complete"]
    shutil.rmtree(staged[1].root)
    assert any(stage.judged_run in hole for hole in holes(study))
    assert main(words("run")) == 0
    assert contents(study).keys() == before.keys()
    assert len(read_openings(study.seal)) == 2
