"""The job scripts, and what becomes of a job in a real Slurm, whose nodes are pretended (see slurm_nodes)."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from slurm_nodes import Slurm, lacking, slurm_of
from tiny_spaces import TINY_SPACES

from study.command.cli import main
from study.records.ledger import read_ledger
from study.records.paths import StudyFiles
from study.records.trial import read_trials

JOB_SECONDS = 400.0  # of a study of a few seconds, on a machine that is busy with others


@pytest.mark.parametrize("words", [[], ["--exclusive", "--gpus", "4"]])
def test_a_job_script_is_bash_and_runs_this_installation(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["slurm", *words]) == 0
    script = capsys.readouterr().out
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert f"export PATH={Path(sys.executable).parent}:$PATH" in script
    for line in ("#SBATCH --exclusive\n", "#SBATCH --gpus-per-node=4\n", "study run --device cuda --cluster "):
        assert (line in script) == bool(words)


def test_a_job_ends_where_ray_does_not_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["slurm"]) == 0
    (tmp_path / "study.sh").write_text(capsys.readouterr().out)
    for name, line in (("scontrol", "echo localhost"), ("srun", "echo no room >&2; exit 1")):
        (tmp_path / name).write_text(f"#!/bin/bash\n{line}\n")
        (tmp_path / name).chmod(0o755)
    job = {"JOB_ID": "7", "JOB_NODELIST": "localhost", "JOB_NUM_NODES": "1", "CPUS_PER_TASK": "2"}
    told = {f"SLURM_{name}": value for name, value in job.items()}
    words, around = ["bash", "study.sh"], {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", **told}
    ended = subprocess.run(words, cwd=tmp_path, env=around, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (1, "Ray did not start on localhost: ray-7.log says why\n")
    assert (tmp_path / "ray-7.log").read_text() == "no room\n"


# --- in a real Slurm -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Desk:
    """A user's folder on a cluster: the digits, the spaces, and the job scripts of each kind."""

    slurm: Slurm
    folder: Path

    def submit(self, kind: str, *words: str, nodes: str = "n1,n2") -> str:
        """The number of a job that runs a study of this name."""
        options = [f"--nodelist={nodes}", *(["--cpus-per-task=2"] if kind == "shared" else [])]
        script = self.folder / f"{kind}.sh"
        spaces = [word for family in TINY_SPACES for word in ("--space", f"{family}.toml")]
        flags = ["--data-dir", "digits", *spaces, "--name", kind, "--families", "mlp,cnn", *words]
        return self.slurm.run("sbatch", "--parsable", *options, script, *flags, cwd=self.folder).strip()

    def log(self, job: str) -> str:
        told = self.folder / f"study-{job}.out", self.folder / f"ray-{job}.log"
        return "\n".join(path.read_text(encoding="utf-8") for path in told if path.exists())

    def files(self, kind: str) -> StudyFiles:
        return StudyFiles(self.folder / "results" / kind)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, write_idx: Callable[[Path], Path]) -> Iterator[Desk]:
    why = lacking() or (None if importlib.util.find_spec("ray") else "Ray is not installed")
    if why is not None:
        pytest.skip(why)
    shared = tmp_path_factory.mktemp("shared")
    folder = shared / "home"
    write_idx(folder / "digits")
    for family, space in TINY_SPACES.items():
        (folder / f"{family}.toml").write_text(space)
    for kind, words in (("shared", []), ("exclusive", ["--exclusive"])):
        made = subprocess.run(
            [sys.executable, "-m", "study", "slurm", *words], capture_output=True, text=True, check=True
        )
        (folder / f"{kind}.sh").write_text(made.stdout)
    with slurm_of(3, 2, shared / "slurm", shared, {"n3": "Another Processor"}) as slurm:
        yield Desk(slurm, folder)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "workers"), [("shared", [1, 2]), ("exclusive", [2, 2])])
def test_a_study_runs_on_all_nodes_of_a_job(desk: Desk, kind: str, workers: list[int]) -> None:
    job = desk.submit(kind, "--n-trials", "4")
    assert desk.slurm.wait_for(job, JOB_SECONDS) == "COMPLETED", desk.log(job)
    files = desk.files(kind)
    assert files.report_html.is_file()
    assert {node.name: node.workers for node in read_ledger(files.ledger).nodes} == dict(
        zip(("n1", "n2"), workers, strict=True)
    )
    trials = read_trials(files.trials_jsonl).counted.found
    assert [len(trials.of(family)) for family in ("mlp", "cnn")] == [4, 4]
    assert {trial.node for trial in trials} == {"n1", "n2"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["shared", "exclusive"])
def test_what_slurm_cuts_short_goes_on_with_the_same_words(desk: Desk, kind: str) -> None:
    files = desk.files(f"{kind}-long")
    words = ("--name", files.name, "--n-trials", "100000")
    job = desk.submit(kind, *words)
    last = time.monotonic() + JOB_SECONDS
    while not files.trials_jsonl.exists() or not read_trials(files.trials_jsonl):
        assert time.monotonic() < last, desk.log(job)
        time.sleep(0.5)
    desk.slurm.run("scancel", "--batch", "--signal=TERM", job)  # as Slurm does before the time limit
    assert desk.slurm.wait_for(job, JOB_SECONDS) == "FAILED", desk.log(job)
    assert "continue with the same command: sbatch" in desk.log(job)
    done = len(read_trials(files.trials_jsonl).counted)
    again = desk.submit(kind, "--name", files.name, "--n-trials", str(done + 2), "--no-evaluate")
    assert desk.slurm.wait_for(again, JOB_SECONDS) == "COMPLETED", desk.log(again)
    assert len(read_trials(files.trials_jsonl).counted) > done


@pytest.mark.slow
def test_a_time_budget_is_not_shared_among_unlike_nodes(desk: Desk) -> None:
    job = desk.submit("shared", "--name", "unlike", "--budget", "1m", nodes="n1,n3")
    assert desk.slurm.wait_for(job, JOB_SECONDS) == "FAILED", desk.log(job)
    assert "its machines are of 2 kinds" in desk.log(job)
    assert "Another Processor: n3" in desk.log(job)
    assert not read_ledger(desk.files("unlike").ledger).spent
