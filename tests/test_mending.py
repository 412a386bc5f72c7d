"""Whatever single file or run of a finished study is deleted: the command that `study doctor` names makes it whole."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from test_stages import Words, check_whole, contents, finished, light, study, words  # noqa: F401 (fixtures)

from study.command.cli import main
from study.command.console import no_study_in
from study.command.doctor import examine_study
from study.dashboard.artifacts import Artifacts
from study.records.files import read_json
from study.records.paths import StudyFiles
from study.records.seal import read_openings
from study.records.trial import read_trials

NAMED = re.compile(r"`(study [^`]+)`")
LOST = [
    "study.toml",
    "study.db",
    "trials.jsonl",
    "trials.csv",
    "ledger.json",
    "samples.npz",
    "finalists.json",
    "last_stage.json",
    "report.json",
    "report.html",
    "model",
    "model/model.json",
    "model/model.safetensors",
    "model/second_reader.safetensors",
    "model/MODEL_CARD.md",
    "test/seal.json",
    "test/predictions.npz",
    "test/candidates.npz",
    "test/images.npz",
    "test/shipped.npz",
    "test/duplicates.json",
    "test/robustness.json",
    "test/strip.npz",
    "test/latency.json",
    "test/ensemble.json",
    "test/baselines.json",
    "runs/mlp-final-seed0",
    "runs/cnn-t0-seed0",
    "runs/mlp-t0-seed0/DONE",
    "runs/mlp-t0-seed0/config.toml",
    "runs/mlp-t0-seed0/history.csv",
    "runs/mlp-t0-seed0/metrics.json",
    "runs/mlp-t0-seed0/validation.npz",
    "runs/mlp-t0-seed0/model.safetensors",
]
# Files that tell how long something took, or when; a SQLite file is never the same bytes.
CLOCKED = re.compile(
    r"study\.db|report\.(json|html)|finalists\.json|model/model\.json|model/MODEL_CARD\.md"
    r"|test/(latency|robustness)\.json|runs/[^/]+/(metrics\.json|history\.csv)"
)


def test_the_list_of_what_can_be_lost_is_whole(finished: tuple[Path, list[str]]) -> None:  # noqa: F811
    root = finished[0] / "kept"
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name != ".lock"}
    files = {path for path in files if not is_for_the_dashboard(path)}
    alike = {re.sub(r"runs/[a-z]+-(t0|final)-seed0/", "runs/mlp-t0-seed0/", path) for path in files}
    assert alike <= set(LOST), sorted(alike - set(LOST))


def is_for_the_dashboard(path: str) -> bool:
    """One of the pictures that are drawn of a run when it ends. They may stay lost: a run's own files say all that they
    show, and only the dashboard reads them, which shows an empty one in place of one that is gone."""
    return path.startswith("artifacts/")


def noted(lost: str) -> set[str]:
    """The same networks read the test split once more: no other opening, but the seal has the time."""
    read = {f"test/{name}.npz" for name in ("predictions", "candidates", "images", "shipped")}
    return {"test/seal.json"} if lost in read else set()


def unsound(files: StudyFiles) -> str:
    """All that `study doctor` finds wrong with the study, in one text."""
    findings = examine_study(files, None) if files.exists() else [{"sound": False, "found": no_study_in(files)}]
    return "; ".join(finding["found"] for finding in findings if not finding["sound"])


@pytest.mark.parametrize("lost", LOST)
def test_a_lost_file_is_named_and_the_named_command_makes_the_study_whole(
    lost: str,
    study: StudyFiles,  # noqa: F811
    words: Words,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    before, records, path = contents(study), read_trials(study.trials_jsonl), study.root / lost
    spent = [command["command"] for command in read_json(study.ledger)["commands"]]
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    found = unsound(study)
    assert str(path) in found
    command = NAMED.findall(found)[0]
    assert main(shlex.split(command)[1:]) == 0, capsys.readouterr().err
    assert unsound(study) == ""
    after = contents(study)
    assert before.keys() <= after.keys()
    # A run that is trained again is another trial of the dashboard's study, with pictures of its own.
    added = after.keys() - before.keys()
    assert all(map(is_for_the_dashboard, added))
    assert bool(added) == lost.startswith("runs/")
    changed = {name for name in before if after[name] != before[name]} - {lost} - noted(lost)
    assert [name for name in changed if not CLOCKED.fullmatch(name)] == []
    assert len(read_openings(study.seal)) == 1
    assert read_trials(study.trials_jsonl) == records
    assert [command["command"] for command in read_json(study.ledger)["commands"]][: len(spent)] == spent
    if "test/latency.json" in lost:
        assert main(words("run")) == 0  # a report that shows another latency is made anew
    check_whole(study, words("run"), capsys, openings=1)


def test_pictures_for_the_dashboard_may_stay_lost(
    study: StudyFiles,  # noqa: F811
    words: Words,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.rmtree(study.artifacts)
    assert unsound(study) == ""
    check_whole(study, words("run"), capsys, openings=1)
    assert not study.artifacts.exists()
    with Artifacts(study.artifacts).open_reader("of a run") as picture:
        assert picture.read() == b""


def test_a_study_of_a_version_that_counted_no_copies_lacks_nothing(study: StudyFiles) -> None:  # noqa: F811
    """Its report may be of now: `study report` counts none either."""
    report = read_json(study.report_json)
    report["repeated"]["n_test"] = None
    study.report_json.write_text(json.dumps(report))
    study.duplicates.unlink()
    assert unsound(study) == ""


def test_without_a_report_that_keeps_them_settings_and_seal_are_lost_for_good_and_it_is_said(
    study: StudyFiles,  # noqa: F811
    words: Words,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = study.report_json.read_bytes()
    study.report_json.write_text("{}")
    for path in (study.settings, study.seal):
        kept = path.read_bytes()
        path.unlink()
        for command in (words("run"), [*words("doctor"), "--repair"]):
            assert main(command) == 1
            assert str(path) in capsys.readouterr().err
        assert main([*words("doctor"), "--repair"]) == 1
        assert "nothing can" in capsys.readouterr().err
        path.write_bytes(kept)
    study.report_json.write_bytes(report)


def test_a_ledger_without_a_report_has_the_time_of_trials_and_runs(
    study: StudyFiles,  # noqa: F811
    words: Words,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    study.ledger.unlink()
    study.report_json.unlink()
    assert main(words("run")) == 1
    assert "--repair` makes it again" in capsys.readouterr().err
    assert main([*words("doctor"), "--repair"]) == 0
    assert "made from what trials and runs took" in capsys.readouterr().err
    spent = sum(command["seconds"] for command in read_json(study.ledger)["commands"])
    assert spent > sum(record.held_seconds for record in read_trials(study.trials_jsonl))
    trials = study.trials_jsonl.read_bytes()
    assert main(words("run", "--n-trials", "1")) == 0
    assert study.trials_jsonl.read_bytes() == trials
    check_whole(study, words("run", "--n-trials", "1"), capsys, openings=1)
