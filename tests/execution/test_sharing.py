"""Sharing a GPU by a service that a script stands for: it does what NVIDIA's does with a folder, and no more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pretended_gpus import install_service

from study.execution import sharing
from study.execution.sharing import shared_gpus

GPU = torch.device("cuda")  # naming one needs none
PATIENCE = 30.0
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts the service in the path; answers with what it writes down."""
    monkeypatch.setattr(sharing, "_SOMEBODY_ELSES", tmp_path / "none")
    monkeypatch.delenv("CUDA_MPS_PIPE_DIRECTORY", raising=False)
    log = tmp_path / "log"
    log.touch()

    def put(fails: bool = False) -> Path:
        folder = install_service(tmp_path / "bin", log, fails)
        monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
        return log

    return put


def wait_until(found: Callable[[], bool]) -> None:
    last = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < last, "it did not happen"
        time.sleep(0.02)


def test_the_service_runs_for_the_block_and_leaves_nothing(install: Install) -> None:
    log = install()
    with shared_gpus(GPU) as (environment,):
        folder = Path(environment["CUDA_MPS_PIPE_DIRECTORY"])
        assert (folder / "control").exists()
        assert log.read_text().split() == [str(folder)]
    assert log.read_text().split() == [str(folder), "quit"]
    assert not folder.exists()


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda gpu: SimpleNamespace(uuid=f"0000-{gpu.index}"))


@pytest.mark.usefixtures("two_gpus")
def test_each_gpu_has_a_service_of_its_own(install: Install) -> None:
    log = install()
    with shared_gpus(GPU) as environments:
        assert [one["CUDA_VISIBLE_DEVICES"] for one in environments] == ["GPU-0000-0", "GPU-0000-1"]
        folders = [one["CUDA_MPS_PIPE_DIRECTORY"] for one in environments]
        assert log.read_text().split() == [
            f"{folder}({gpu})" for folder, gpu in zip(folders, ("GPU-0000-0", "GPU-0000-1"), strict=True)
        ]
        assert len(set(folders)) == 2
    assert log.read_text().split()[2:] == ["quit", "quit"]
    assert not any(Path(folder).exists() for folder in folders)


@pytest.mark.usefixtures("two_gpus")
def test_one_gpu_of_two_is_the_only_one_that_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with shared_gpus(torch.device("cuda:1")) as environments:
        assert environments == [{"CUDA_VISIBLE_DEVICES": "GPU-0000-1"}]


def test_a_cpu_is_shared_without_it(install: Install) -> None:
    log = install()
    with shared_gpus(torch.device("cpu")) as environments:
        assert environments == [{}]
    assert log.read_text() == ""


def test_without_the_service_workers_take_turns(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with shared_gpus(GPU) as environments:
        assert environments == [{}]


def test_a_service_that_does_not_start_is_done_without(install: Install) -> None:
    log = install(fails=True)
    with shared_gpus(GPU) as environments:
        assert environments == [{}]
    assert log.read_text() == ""


@pytest.mark.parametrize("by", ["variable", "folder"])
def test_the_users_own_service_is_left_alone(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    log = install()
    if by == "variable":
        monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    else:
        (tmp_path / "none").mkdir()
        (tmp_path / "none" / "control").touch()
    with shared_gpus(GPU) as environments:
        assert environments == [{}]
    assert log.read_text() == ""


KILLED = """
import signal, torch
from study.execution.sharing import shared_gpus
with shared_gpus(torch.device("cuda")) as (environment,):
    print(environment["CUDA_MPS_PIPE_DIRECTORY"], flush=True)
    signal.pause()
"""


@pytest.mark.skipif(sharing._is_running(), reason="a service of the user's own runs here")
def test_the_service_of_a_command_that_is_killed_ends(install: Install) -> None:
    log = install()
    with subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        folder = Path(command.stdout.readline().strip())
        assert (folder / "control").exists()
        command.send_signal(signal.SIGKILL)
    wait_until(lambda: not folder.exists())
    assert log.read_text().split() == [str(folder), "quit"]
