"""Data that workers share: the same bytes in every process, and none of them in /dev/shm."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from study.execution import memory, processes
from study.execution.memory import SharedData
from study.training.loop import TrainingData

PATIENCE = 60.0
TENSORS = ("images", "labels", "train", "validation")


def copy_of(data: TrainingData) -> TrainingData:
    return replace(data, **{name: getattr(data, name).clone() for name in TENSORS})


def double(shared: SharedData) -> None:
    """What a worker does to show that it has the bytes and no copy of them."""
    assert "/dev/shm" not in Path("/proc/self/maps").read_text()
    assert shared.data.n_classes == 10
    for name in TENSORS:
        getattr(shared.data, name).mul_(2)


@pytest.mark.parametrize("forking", [True, False])
def test_every_process_has_the_same_bytes(
    training_data: TrainingData, monkeypatch: pytest.MonkeyPatch, forking: bool
) -> None:
    if forking and not processes.FORKING:
        pytest.skip("workers are spawned here")
    monkeypatch.setattr(processes, "FORKING", forking)
    data = copy_of(training_data)
    data = replace(data, validation=data.validation[:0])  # nothing is a tensor, too
    process = processes.start_process(double, (SharedData.of(data),), "worker")
    process.join(PATIENCE)
    assert process.exitcode == 0
    for name in ("images", "labels", "train"):
        assert torch.equal(getattr(data, name), 2 * getattr(training_data, name))


@pytest.mark.parametrize("nameless", [True, False])
def test_the_data_moves_and_stays_what_it_was(
    training_data: TrainingData, monkeypatch: pytest.MonkeyPatch, nameless: bool
) -> None:
    monkeypatch.setattr(memory, "_NAMELESS", nameless and memory._NAMELESS)
    data = copy_of(training_data)
    shared = SharedData.of(data).data
    for name in TENSORS:
        assert torch.equal(getattr(data, name), getattr(training_data, name))
        assert getattr(shared, name).data_ptr() == getattr(data, name).data_ptr()


def has_its_own_mounts() -> bool:
    words = ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", "/dev/shm"]
    try:
        return subprocess.run(words, capture_output=True, timeout=PATIENCE).returncode == 0
    except FileNotFoundError:
        return False


TRAIN = """
import torch
from study.execution.executors import ProcessExecutor
from study.execution.jobs import Finished, Job, Report
from study.training.loop import TrainingData
from study.training.schedule import Schedule

if __name__ == "__main__":
    images = torch.zeros(1000, 28, 28, dtype=torch.uint8)
    labels, index = torch.arange(1000) % 10, torch.arange(1000)
    data = TrainingData(images, labels, index[:900], index[900:], 0.1, 0.3, 10)
    config = {"family": "mlp", "depth": 1, "width": [8], "activation": "relu", "normalisation": "none", "dropout": 0.0,
              "optimizer": "adamw", "learning_rate": 0.01, "batch_size": 50, "augmentation": "none"}
    with ProcessExecutor(1, data) as executor:
        executor.submit(Job("one", config, 0, Schedule((1,), ())))
        print(executor.next_event(60))
"""


@pytest.mark.skipif(not has_its_own_mounts(), reason="this needs a mount of its own")
def test_workers_train_where_dev_shm_is_tiny(tmp_path: Path) -> None:
    """A container has 64 MB by default; here one page stands for it."""
    (tmp_path / "train.py").write_text(TRAIN)
    mount = 'mount -t tmpfs -o size=4k tmpfs /dev/shm && exec "$@"'
    words = ["unshare", "-m", "sh", "-c", mount, "sh", sys.executable, str(tmp_path / "train.py")]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.stdout.startswith("Finished("), ended.stderr
    assert "reason=None" in ended.stdout
