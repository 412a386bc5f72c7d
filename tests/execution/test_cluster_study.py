"""Whole studies over a cluster of pretended machines: equal to a local one, and interrupted anywhere."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from clusters import CLUSTER, Machines
from postgresql import Server
from tiny_spaces import TINY_SPACES

from study.records.paths import StudyFiles, done_runs
from study.records.trial import TrialRecord, read_trials

pytestmark = CLUSTER
WATCHED = 180.0  # seconds until a command is given up


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    found = Machines()
    for _ in range(3):
        found.add()
    yield found
    found.end()


@pytest.fixture
def words(tmp_path: Path, write_idx: Callable[[Path], Path]) -> list[str]:
    """Of a command on a slice of the digits and a tiny space; a verb's name is still to come."""
    write_idx(tmp_path / "digits")
    (tmp_path / "mlp.toml").write_text(TINY_SPACES["mlp"], encoding="utf-8")
    family = ["--space", str(tmp_path / "mlp.toml"), "--families", "mlp", "--single-family", "--n-trials", "4"]
    return [*family, "--data-dir", str(tmp_path / "digits"), "--results", str(tmp_path), "--workers", "1"]


def command(verb: str, *words: str) -> list[str]:
    return [sys.executable, "-m", "study", verb, *words]


def outcome(record: TrialRecord) -> TrialRecord:
    """Without what a clock said, and where it was."""
    rungs = tuple(replace(rung, training_seconds=0.0) for rung in record.rungs)
    return replace(
        record, rungs=rungs, start=None, end=None, worker=None, held_seconds=0.0, training_seconds=0.0, node=None
    )


def test_a_study_on_a_cluster_is_equal_to_a_local_one(machines: Machines, words: list[str], tmp_path: Path) -> None:
    for name, more in (("here", ()), ("there", ("--cluster", machines.address))):
        run = command("run", *words, "--name", name, "--no-evaluate", *more)
        done = subprocess.run(run, capture_output=True, text=True, timeout=WATCHED)
        assert done.returncode == 0, done.stderr
    here, there = (StudyFiles(tmp_path / name) for name in ("here", "there"))
    trials = [[outcome(record) for record in read_trials(files.trials_jsonl)] for files in (here, there)]
    assert len(trials[0]) == 6
    assert trials[0] == trials[1]
    runs = [done_runs(files) for files in (here, there)]
    assert len(runs[0]) == len(runs[1]) > 3
    content = [{str(path.relative_to(files.runs)): path for path in files.runs.rglob("*.*")} for files in (here, there)]
    assert content[0].keys() == content[1].keys()
    same = [name for name in content[0] if content[0][name].read_bytes() == content[1][name].read_bytes()]
    assert [name for name in content[0] if name.endswith("model.safetensors") and name not in same] == []


def interrupted(words: list[str], at: str) -> tuple[int, str]:
    """Exit status and standard error of a command that gets Ctrl-C when it says `at`, as a terminal sends it."""
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, process_group=0) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if line.strip().startswith(at):
                os.killpg(process.pid, signal.SIGINT)
                break
        rest = process.stderr.read()
        return process.wait(WATCHED), "".join(said) + rest


@pytest.mark.slow
def test_ctrl_c_loses_nothing_and_the_same_command_goes_on(
    machines: Machines, words: list[str], tmp_path: Path
) -> None:
    over = [*words, "--name", "cut", "--cluster", machines.address]
    files = StudyFiles(tmp_path / "cut")
    for verb, at, more in (
        ("run", "mlp #2", ["--no-evaluate"]),
        ("run", "mlp-t", ["--no-evaluate"]),
        ("examine", "1 of", ["--ablation"]),
    ):
        before = read_trials(files.trials_jsonl) if files.exists() else []
        status, said = interrupted(command(verb, *over, *more), at)
        assert status == 130, said
        assert "nothing finished is lost; continue with: study" in said
        assert "Traceback" not in said
        kept = read_trials(files.trials_jsonl)
        assert [record for record in before if record not in kept] == []
        if verb == "run" and at == "mlp-t":
            done = subprocess.run(command(verb, *over, *more), capture_output=True, text=True, timeout=WATCHED)
            assert done.returncode == 0, done.stderr
    assert sum(record.origin == "found" for record in read_trials(files.trials_jsonl).counted) == 4


def test_a_lost_head_ends_the_command_in_one_line(words: list[str], tmp_path: Path) -> None:
    machines = Machines()
    machines.add()
    endless = ["--name", "head", "--no-evaluate", "--n-trials", "100000"]  # it is at work whenever the head is missed
    run = command("run", *words, *endless, "--cluster", machines.address)
    with subprocess.Popen(run, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert next(line for line in process.stderr if line.strip().startswith("mlp #1"))
        machines.kill_head()
        *_, last = process.stderr.readlines()
        assert process.wait(WATCHED) == 1
    machines.end()
    assert f"the cluster's head at {machines.address} is gone; start it, and the same command goes on" in last
    assert len(read_trials(StudyFiles(tmp_path / "head").trials_jsonl).counted) >= 2


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def answer(url: str, process: subprocess.Popen[str]) -> Any:
    """What a server that this process starts says at a URL."""
    last = time.monotonic() + WATCHED
    while True:
        try:
            with urllib.request.urlopen(url) as found:
                return json.load(found)
        except OSError:
            assert time.monotonic() < last, "it does not answer"
            assert process.poll() is None, "the dashboard has ended"
            time.sleep(0.1)


def test_a_dashboard_that_has_only_the_url_shows_a_study_at_work_on_a_cluster(
    machines: Machines, words: list[str], tmp_path: Path, postgresql: Server
) -> None:
    url, port = postgresql.url(), free_port()
    endless = ["--name", "far", "--no-evaluate", "--n-trials", "100000", "--storage", url]
    run = command("run", *words, *endless, "--cluster", machines.address)
    # As optuna-dashboard starts, from a folder that has nothing of the study.
    show = [sys.executable, "-c", "from optuna_dashboard._cli import main; main()", url, "--port", str(port)]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    quiet = subprocess.DEVNULL
    with subprocess.Popen(run, stderr=subprocess.PIPE, text=True, process_group=0) as process:
        assert process.stderr is not None
        assert next(line for line in process.stderr if line.strip().startswith("mlp #1"))
        with subprocess.Popen(show, cwd=elsewhere, stdout=quiet, stderr=quiet, text=True) as dashboard:
            base = f"http://127.0.0.1:{port}/api/studies"
            found = {study["study_name"]: study["study_id"] for study in answer(base, dashboard)["study_summaries"]}
            trials = answer(f"{base}/{found['far/mlp']}?after=0", dashboard)["trials"]
            os.killpg(process.pid, signal.SIGINT)
            process.stderr.read()
            assert process.wait(WATCHED) == 130
            dashboard.terminate()
    shown = {trial["number"]: trial for trial in trials if trial["state"] == "Complete"}
    assert len(shown) >= 2
    records = {record.number: record for record in read_trials(StudyFiles(tmp_path / "far").trials_jsonl)}
    assert [records[number].value for number in shown] == [trial["values"][0] for trial in shown.values()]
    assert not StudyFiles(tmp_path / "far").database.exists()
