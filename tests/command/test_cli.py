"""The verbs as a user meets them, on a small slice of real digits."""

import contextlib
import errno
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import psutil
import pytest
from PIL import Image

from study.command.cli import main
from study.command.verbs import VERBS
from study.data.datasets import load_train
from study.records.files import read_json
from study.records.paths import StudyFiles, done_runs
from study.records.seal import read_openings
from study.records.settings import load_settings
from study.records.shifts import read_gains, read_shipped
from study.records.trial import read_trials
from study.stages import ship as shipping
from study.stages import standing
from study.streams import FORM

LOG = "{ low = 1e-3, high = 1e-2, log = true }"
MLP = """
family = "mlp"
depth = 1
width = [32]
activation = { choices = ["relu", "tanh"] }
normalisation = "batch"
dropout = 0.0
optimizer = "adamw"
learning_rate = { low = 1e-3, high = 1e-2, log = true }
batch_size = 64
"""
CNN = """
family = "cnn"
stages = 2
convs_per_stage = 1
width = 8
growth = 1.0
kernel_size = 3
activation = "relu"
normalisation = "batch"
pooling = "stride"
residual = false
head = "global"
dropout = 0.0
optimizer = { choices = ["adam", "sgd"] }
learning_rate = { low = 5e-3, high = 2e-2, log = true }
batch_size = 64
"""


def study(*words: str | Path) -> int:
    return main([str(word) for word in words])


def start(*words: str | Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "study", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, write_idx: Callable[[Path], Path]) -> dict[str, Path]:
    """Two small search spaces, a slice of digits, and a results folder with one finished study."""
    root = tmp_path_factory.mktemp("work")
    (root / "mlp.toml").write_text(MLP)
    (root / "cnn.toml").write_text(CNN)
    paths = {"root": root, "results": root / "results", "data": write_idx(root / "digits")}
    assert study("run", *_flags(paths), "--n-trials", "2", "--name", "done", "--quiet") == 0
    return paths


def _flags(work: dict[str, Path]) -> list[str]:
    flags = ["--results", work["results"], "--data-dir", work["data"], "--workers", "2"]
    return [str(flag) for flag in [*flags, "--space", work["root"] / "mlp.toml", "--space", work["root"] / "cnn.toml"]]


def test_a_finished_study_has_every_file(work: dict[str, Path]) -> None:
    files = StudyFiles(work["results"] / "done")
    records = read_trials(files.trials_jsonl)
    assert {family: sum(r.family == family for r in records) for family in ("mlp", "cnn")} == {"mlp": 2, "cnn": 2}
    assert len(done_runs(files)) == 2 * (2 + 3)
    assert len(read_json(files.seal)["openings"]) == 1
    with np.load(files.predictions) as predictions:
        assert set(predictions.files) == {"labels"} | {f"{f}-final-seed{s}" for f in ("mlp", "cnn") for s in range(3)}
    assert "<html" in files.report_html.read_text()
    described, read = read_json(files.model / "model.json"), read_shipped(files.shipped_predictions)
    assert read_openings(files.seal)[0].reading == described["reading"]
    assert (described["reading"] is None) == (read is None) == (not read_gains(described)[0].helps)
    assert "## Reading" in (files.model / "MODEL_CARD.md").read_text()
    shipped = {"model.safetensors", "second_reader.safetensors", "model.json", "MODEL_CARD.md"}
    assert {path.name for path in files.model.iterdir()} == shipped


def test_the_same_command_again_says_complete_and_opens_nothing(
    work: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    files = StudyFiles(work["results"] / "done")
    before = files.seal.read_bytes(), files.trials_jsonl.read_bytes()
    assert study("run", *_flags(work), "--n-trials", "2", "--name", "done") == 0
    assert "complete" in capsys.readouterr().err
    assert (files.seal.read_bytes(), files.trials_jsonl.read_bytes()) == before


def test_more_trials_continue_and_the_total_is_exact(work: dict[str, Path]) -> None:
    assert study("search", *_flags(work), "--n-trials", "1", "--name", "grown", "--quiet") == 0
    assert study("search", *_flags(work), "--n-trials", "3", "--name", "grown", "--quiet") == 0
    records = read_trials(work["results"] / "grown" / "trials.jsonl")
    assert [sum(r.family == family for r in records) for family in ("mlp", "cnn")] == [3, 3]


def test_another_study_is_given_the_trials_of_an_old_one(work: dict[str, Path]) -> None:
    flags = [*_flags(work), "--name", "heir", "--quiet"]
    assert study("search", *flags, "--n-trials", "3", "--from", "done") == 0
    records = read_trials(work["results"] / "heir" / "trials.jsonl")
    roles = [r.role for r in records if r.family == "mlp"]
    assert (roles.count("imported"), roles.count("sampled")) == (2, 3)


def test_the_summary_and_the_status_of_a_finished_study_say_who_won(
    work: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--results", work["results"], "--name", "done"]
    said = []
    for verb in ("report", "status"):
        assert study(verb, *where) == 0
        said.append(capsys.readouterr().out)
    summary = said[0].splitlines()
    begins = [line.partition(":")[0] for line in summary]
    assert {"winner", "network", "report", "dashboard", "next"} <= set(begins)
    assert any(line.startswith(("what the search added: ", "Trial #")) for line in summary)
    assert len(summary) <= 8
    assert " % of the test images right (95 % interval " in summary[0]
    assert summary[0] in said[1]
    assert summary[begins.index("network")] in said[1]


def forms() -> dict[str, set[str]]:
    """The keys of each verb's answer, as FORMS.md has them."""
    text = (Path(__file__).parents[2] / "study/command/FORMS.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[a-z`, -]+`) \| (.*?) \|", text, re.MULTILINE)
    return {
        verb: set(re.findall(r"`(\w+)`", keys)) for verbs, keys in rows for verb in re.findall(r"`([a-z -]+)`", verbs)
    }


@pytest.mark.parametrize("verb", [*VERBS, "run --dry-run"])
def test_every_verb_answers_in_the_form_that_is_documented(
    verb: str,
    work: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if verb == "export":
        pytest.importorskip("onnx")
    monkeypatch.setattr("study.command.dashboard.serve", lambda *_, **__: None)
    monkeypatch.setattr("study.command.draw.server.serve", lambda *words: words[-1]())
    Image.fromarray(load_train("mnist").images[0].numpy()).save(tmp_path / "0.png")
    (tmp_path / "mine.toml").write_text(MLP.replace('{ choices = ["relu", "tanh"] }', '"relu"').replace(LOG, "1e-3"))
    where = ["--results", work["results"], "--name", "done"]
    working = [*_flags(work), "--name", "done"]
    words: dict[str, list[str | Path]] = {
        "run": [*working, "--n-trials", "2"],
        "run --dry-run": [*working, "--n-trials", "2"],
        **{stage: [*working, "--n-trials", "2"] for stage in ("search", "retrain", "evaluate")},
        "examine": [*working, "--audit", "1"],
        "train": [tmp_path / "mine.toml", "--data-dir", work["data"], "--results", tmp_path, "--epochs", "1"],
        "propose": [tmp_path / "mine.toml", "--name", "sealed", "--results", tmp_path],
        "compare": ["done", "done-too", "--results", work["results"], "--out", tmp_path / "both.html"],
        "show": ["best", *where],
        "predict": [tmp_path / "0.png", *where],
        "export": [*where, "--output", tmp_path / "model.onnx"],
        "data": ["--data-dir", work["data"]],
        "spaces": ["list"],
        "completion": ["bash"],
        "slurm": [],
    }
    if verb == "compare":
        shutil.copytree(work["results"] / "done", work["results"] / "done-too")
    if verb == "propose":  # to a study whose test split is sealed
        shutil.copytree(work["results"] / "done", tmp_path / "sealed", ignore=shutil.ignore_patterns("test"))
    assert study(*verb.split(), *words.get(verb, where), "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    for row in found if isinstance(found, list) else [found]:
        assert list(row)[:2] == ["form", "verb"]
        assert (row["form"], row["verb"]) == (FORM, verb.partition(" ")[0])
        assert forms()[verb] <= set(row)


@pytest.mark.parametrize(
    ("words", "status", "error", "hint"),
    [
        (["status", "--name", "absent"], 1, "holds no study", "start one with `study run`"),
        (["run", "--budget", "5"], 2, "duration '5' is not usable", "see `study run --help`"),
        (["fly"], 2, "invalid choice: 'fly'", "see `study --help`"),
        (["run", "--families", "mlp,nope"], 2, "'nope' is unknown", "expected"),
    ],
)
def test_an_error_is_json_where_that_is_asked_for(
    words: list[str], status: int, error: str, hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = [] if words == ["fly"] else ["--results", tmp_path]
    assert study(*words, *where, "--format", "json") == status
    captured = capsys.readouterr()
    found = json.loads(captured.err)
    assert captured.out == ""
    assert list(found) == ["form", "error", "hint"]
    assert error in found["error"]
    assert hint in found["hint"]


def test_predict_reads_digits_and_reports_a_bad_file(
    work: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = load_train("mnist")
    for i in range(5):
        Image.fromarray(train.images[i].numpy()).save(tmp_path / f"{i}.png")
    (tmp_path / "5.png").write_text("no picture")
    model = work["results"] / "done" / "model"
    assert study("predict", tmp_path, "--model", model, "--format", "json") == 1
    rows = json.loads(capsys.readouterr().out)
    assert [Path(row["path"]).name for row in rows] == [f"{i}.png" for i in range(6)]
    assert [row["status"] == "error" for row in rows] == [False] * 5 + [True]
    assert sum(row["digit"] == int(train.labels[i]) for i, row in enumerate(rows[:5])) >= 3


def test_predict_explains_how_it_read(
    work: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(load_train("mnist").images[0].numpy()).save(tmp_path / "0.png")
    model, folder = work["results"] / "done" / "model", tmp_path / "why"
    assert study("predict", tmp_path / "0.png", "--model", model, "--explain", folder) == 0
    assert str(folder / "explain.html") in capsys.readouterr().err
    assert "0.png" in (folder / "explain.html").read_text(encoding="utf-8")


def test_predict_names_more_classes_for_more_coverage(
    work: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(load_train("mnist").images[0].numpy()).save(tmp_path / "0.png")
    words = ["predict", tmp_path, "--model", work["results"] / "done" / "model"]
    sizes = []
    for coverage in ("0.8", "0.99999"):
        assert study(*words, "--coverage", coverage, "--format", "json") == 0
        sizes.append(len(json.loads(capsys.readouterr().out)[0]["set"]))
    assert sizes[0] < sizes[1] == 10
    assert study(*words, "--coverage", "1") == 2


def test_the_model_says_what_it_refuses_and_was_fitted_once(
    work: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = StudyFiles(shutil.copytree(work["results"] / "done", tmp_path / "done"))
    assert "| blank | 100.0 % |" in (files.model / "MODEL_CARD.md").read_text()
    before = read_json(files.model / "model.json")

    def fit(*_: object, **__: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr(shipping, "_fit", fit)
    settings = load_settings(files.settings)
    shipping.ship(files, settings, None)  # type: ignore[arg-type]  # a second fit would need the data
    assert read_json(files.model / "model.json")["abstention"] == before["abstention"]
    basis = files.run(before["fitted_on"]["run"])
    basis.weights.write_bytes(basis.weights.read_bytes() + b" ")
    with pytest.raises(AssertionError, match="fitted again"):
        shipping.ship(files, settings, None)  # type: ignore[arg-type]


def test_gains_of_finalists_that_are_no_more_are_fitted_again(
    work: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = StudyFiles(shutil.copytree(work["results"] / "done", tmp_path / "done"))
    assert standing.model_stands([files])
    _, other = read_gains(read_json(files.model / "model.json"))
    with np.load(files.run(other.run).validation) as arrays:
        logits, labels = arrays["logits"], arrays["labels"]
    labels[0] = (logits[0].argmax() + (logits[0].argmax() == labels[0])) % 10  # one answer more, or one less
    np.savez(files.run(other.run).validation, logits=logits, labels=labels)
    assert not standing.model_stands([files])

    def fit(*_: object, **__: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr(shipping, "_fit", fit)
    with pytest.raises(AssertionError, match="fitted again"):
        shipping.ship(files, load_settings(files.settings), None)  # type: ignore[arg-type]


def test_examine_adds_an_ablation_and_an_audit_to_the_report(
    work: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = StudyFiles(shutil.copytree(work["results"] / "done", tmp_path / "results" / "done"))
    flags = ["--results", tmp_path / "results", "--name", "done", "--quiet"]
    before = files.seal.read_bytes()
    assert study("examine", *flags, "--data-dir", work["data"], "--workers", "2", "--ablation", "--audit", "9") == 0
    captured = capsys.readouterr()
    assert "ablation.json" in captured.out
    pruned = read_json(files.audit)["pruned"]
    assert f"--audit 9: all {pruned} pruned trials of this study, there are no more" in captured.err
    assert files.seal.read_bytes() == before
    assert study("report", *flags) == 0
    report = read_json(files.report_json)
    swaps = {name: entry["ablation"]["rows"] for name, entry in report["mattered"]["families"].items()}
    assert {name: [row["parameter"] for row in rows] for name, rows in swaps.items()} == {
        "mlp": ["recipe", "activation"],
        "cnn": ["optimizer"],  # the mlp's recipe is none that its space has a choice for
    }
    pruned = sum(states["PRUNED"] for states in report["health"]["states"].values())
    assert report["health"]["audit"]["drawn"] == min(9, pruned)
    assert "has no score" not in files.report_html.read_text()


def test_doctor_finds_a_sound_study_and_a_changed_trial(
    work: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study("doctor", "--results", work["results"], "--name", "done") == 0
    assert "openings of these test images by your studies: 0" in " ".join(capsys.readouterr().out.split())
    assert study("search", *_flags(work), "--n-trials", "1", "--name", "hurt", "--quiet") == 0
    trials = work["results"] / "hurt" / "trials.jsonl"
    trials.write_text(trials.read_text().replace('"attempt": 1', '"attempt": 2', 1))
    capsys.readouterr()
    assert study("doctor", "--results", work["results"], "--name", "hurt", "--format", "json") == 1
    wrong = [row for row in json.loads(capsys.readouterr().out) if not row["sound"]]
    assert "line 1 is damaged" in wrong[0]["found"]


def test_doctor_misses_a_study_that_was_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, status in ((["--name", "nope"], 1), ([], 0)):
        assert study("doctor", "--results", tmp_path, *words, "--format", "json") == status
        *others, last = json.loads(capsys.readouterr().out)
        assert all(row["sound"] for row in others)
        assert (last["what"], last["sound"]) == ("study", status == 0)
        assert "holds no study" in last["found"]


def test_what_an_error_advises_is_said_of_the_study_that_was_named(
    work: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = tmp_path / "begun"
    begun.mkdir()
    shutil.copy(work["results"] / "done" / "study.toml", begun)
    assert study("export", "--name", "begun", "--results", tmp_path) == 1
    assert f"continue it with `study run --name begun --results {tmp_path}`" in capsys.readouterr().err


def test_spaces_check_trains_every_branch(work: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert study("spaces", "check", work["root"] / "mlp.toml", "--format", "json") == 0
    row = json.loads(capsys.readouterr().out)[0]
    assert row["branches"] >= 2
    assert row["parameters"] == "25,482 to 25,482"  # 784·32 + 2·32 (norm) + 32·10 + 10


def test_data_as_json_counts_every_class(capsys: pytest.CaptureFixture[str]) -> None:
    assert study("data", "--format", "json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (sum(summary["counts"]["train"]), sum(summary["counts"]["test"])) == (60_000, 10_000)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["run", "--dataset", "nope"], 2, "'nope' is unknown"),
        (["run", "--name", "../x"], 2, "study name '../x'"),
        (["run", "--name", "reference"], 2, "reserved"),
        (["run", "--device", "cuda:99"], 2, "--device 'cuda:99' is not there"),
        (["run", "--space", "missing.toml"], 1, "missing.toml: cannot read"),
        (["run", "--families", "mlp,nope"], 2, "--families: 'nope' is unknown"),
        (["run", "--families", "mlp"], 2, "nothing is compared"),
        (["evaluate", "--families", "mlp"], 2, "nothing is compared"),
        (["run", "--data-dir", "missing"], 1, "missing"),
        (["run", "--data-dir", "donn\udce9es"], 2, r"the name 'donn\udce9es' is no UTF-8 text"),
        (["report", "--name", "absent"], 1, "holds no study"),
        (["compare", "absent", "other"], 1, "study 'absent' is missing"),
        (["compare", "one"], 2, "expected two or more"),
        (["predict", "x.png", "--name", "absent"], 1, "holds no study"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    words: list[str], status: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study(*words, "--results", tmp_path / "results") == status
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert said in err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--budget", "0"],
        ["run", "--budget", "5"],
        ["examine", "--ablation", "5"],
        ["run", "--n-trials", "0"],
        ["run", "--n-trials", "٥"],
        ["run", "--port", "0"],
        ["dashboard", "--port", "99999"],
        ["dashboard", "--port", "\uff18\uff10"],  # digits, though no ASCII
        ["fly"],
        ["run", "--seed", "-1"],
    ],
)
def test_wrong_usage_is_one_line_with_status_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert study(*words) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_results_folder_that_is_a_file_is_refused_before_any_work(
    work: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert study("run", "--results", tmp_path / "file", "--data-dir", work["data"]) == 1
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--seed", "7"], "--seed 0, seen 7"),
        (["--sampler", "random"], "--sampler tpe, seen random"),
        (["--split-seed", "3"], "--split-seed 0, seen 3"),
        (["--no-warm-start"], "warm starts per family: 2, seen 0"),
    ],
)
def test_resume_refuses_what_would_make_it_another_comparison(
    work: dict[str, Path], flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study("run", *_flags(work), "--name", "done", *flags) == 1
    assert said in capsys.readouterr().err


def test_resume_refuses_another_space(
    work: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mlp.toml").write_text(MLP.replace("high = 1e-2", "high = 2e-2"))
    flags = ["--results", work["results"], "--data-dir", work["data"], "--name", "done"]
    assert study("run", *flags, "--space", tmp_path / "mlp.toml") == 1
    assert "differs from the one this study was created with" in capsys.readouterr().err


def test_one_family_alone_is_evaluated_only_if_that_is_said_once(
    work: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    files = StudyFiles(work["results"] / "alone")
    words = ["run", "--results", work["results"], "--data-dir", work["data"], "--workers", "2", "--name", "alone"]
    words += ["--space", work["root"] / "mlp.toml", "--families", "mlp", "--n-trials", "1"]
    assert study(*words) == 2
    assert not files.root.exists()
    assert study(*words, "--no-evaluate") == 0
    assert "families: mlp\n" in capsys.readouterr().err
    assert study(*words) == 2
    assert "nothing is compared" in capsys.readouterr().err
    assert study("evaluate", "--results", work["results"], "--name", "alone", "--single-family", "--quiet") == 0
    assert load_settings(files.settings).single_family
    assert study(*words, "--quiet") == 0
    assert len(read_json(files.seal)["openings"]) == 1


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_ends_the_command_soon_and_the_same_command_finishes_the_study(
    work: dict[str, Path], signum: signal.Signals
) -> None:
    name = signum.name.lower()
    words = ["search", *_flags(work), "--n-trials", "4", "--name", name]
    process = start(*words)
    trials = work["results"] / name / "trials.jsonl"
    deadline = time.monotonic() + 60
    while not (trials.exists() and trials.read_bytes().count(b"\n") >= 2):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    whole = psutil.Process(process.pid)  # a terminal and a batch system signal all processes of a command
    for one in [whole, *whole.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(signum)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 128 + signum
    assert "continue with: study search" in err
    assert "Traceback" not in err
    assert study(*words, "--quiet") == 0
    counted = [r for r in read_trials(trials) if r.counted]
    assert [sum(r.family == family for r in counted) for family in ("mlp", "cnn")] == [4, 4]


def test_a_study_on_a_disk_without_locks_continues_from_a_copy_on_another(
    work: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lustre = shutil.copytree(work["results"], tmp_path / "lustre")
    lock = fcntl.flock

    def flock(stream: IO[str], operation: int) -> None:
        if Path(stream.name).is_relative_to(lustre):
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        lock(stream, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    words = ["run", *_flags(work), "--n-trials", "2", "--name", "done", "--results"]
    assert study("status", "--results", lustre, "--name", "done") == 0
    capsys.readouterr()
    assert study(*words, lustre) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "cannot lock files" in err
    shutil.copytree(lustre / "done", tmp_path / "local" / "done")
    assert study(*words, tmp_path / "local") == 0


def test_a_second_command_on_the_same_study_is_refused(
    work: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    from study.records.locking import StudyLock

    with StudyLock(StudyFiles(work["results"] / "done")):
        assert study("run", *_flags(work), "--name", "done") == 1
    assert f"in use by process {os.getpid()}" in capsys.readouterr().err


def test_a_port_that_is_in_use_is_said_before_any_work(
    work: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert study("run", *_flags(work), "--name", "unwatched", "--dashboard", "--port", port) == 2
    err = capsys.readouterr().err
    assert err == f"study: http://127.0.0.1:{port} cannot be served (Address already in use); choose another --port\n"
    assert not (work["results"] / "unwatched").exists()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def is_served(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_dashboard_runs_along_and_ends_with_a_command_that_nobody_watches(work: dict[str, Path]) -> None:
    port = free_port()
    process = start("run", *_flags(work), "--n-trials", "2", "--name", "watched", "--dashboard", "--port", port)
    seen = ""
    while process.poll() is None and "watched/mlp" not in seen:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies") as answer:
            seen = answer.read().decode()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "interrupted" not in err
    assert "watched/mlp" in seen
    assert f"watch it: http://127.0.0.1:{port}\n" in err
    assert "the dashboard ends with the run; again: study dashboard --name watched" in err
    assert not is_served(port)


def test_at_a_terminal_the_dashboard_stays_until_ctrl_c_and_leaves_no_orphan(work: dict[str, Path]) -> None:
    words = [sys.executable, "-m", "study", "run", *_flags(work), "--n-trials", "2", "--name", "done", "--dashboard"]
    for signum, status in ((signal.SIGINT, 0), (signal.SIGKILL, -signal.SIGKILL)):
        port = free_port()
        master, terminal = pty.openpty()
        process = subprocess.Popen(
            [*words, "--port", str(port)], stdin=terminal, stdout=terminal, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        said = iter(process.stderr.readline, "")
        assert any(f"the dashboard stays at http://127.0.0.1:{port} until Ctrl-C" in line for line in said)
        wait_for(lambda port=port: is_served(port))  # type: ignore[misc]
        process.send_signal(signum)
        assert process.wait(timeout=60) == status
        wait_for(lambda port=port: not is_served(port))  # type: ignore[misc]
        process.stderr.close()
        os.close(master)
        os.close(terminal)


def test_a_budget_gives_every_family_the_same_allowance(
    work: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert study("run", *_flags(work), "--budget", "16s", "--name", "timed") == 0
    planned = "a budget of 16 s plans one run per family: the test split will be opened without a verdict"
    said = capsys.readouterr().err
    assert planned in said
    # What is left is the command's, from the plan: 2.9 s before the test split was read, and as many for the report.
    for stage in ("evaluate …  0:06 left", "examine …  0:03 left", "report …  0:03 left"):
        assert f"{stage}\n" in said
    assert "starting" not in said
    ledger = read_json(work["results"] / "timed" / "ledger.json")
    spent = [family["held_seconds"] for family in ledger["spent"].values()]
    longest = max(r.held_seconds for r in read_trials(work["results"] / "timed" / "trials.jsonl"))
    assert max(spent) - min(spent) <= 2 * longest
    mlp = read_json(work["results"] / "timed" / "finalists.json")["families"]["mlp"]
    assert mlp["final_runs"] == [f"mlp-t{mlp['finalist']}-seed0"]
    assert study("run", *_flags(work), "--budget", "17s", "--name", "timed") == 0
    assert "will be opened without a verdict" not in capsys.readouterr().err  # it was opened before


def test_a_little_more_budget_is_not_spent_on_a_worse_network(
    work: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    files = StudyFiles(work["results"] / "little")
    words = ["run", *_flags(work), "--name", "little", "--no-evaluate"]
    assert study(*words, "--budget", "13s", "--quiet") == 0
    kept = (files.finalists, files.trials_jsonl, files.model / "model.safetensors")
    before = [path.read_bytes() for path in kept]
    capsys.readouterr()
    assert study(*words, "--budget", "14s") == 0
    err = capsys.readouterr().err
    assert "a budget of 14 s buys nothing" in err
    assert "this study is complete" in err
    assert [path.read_bytes() for path in kept] == before
