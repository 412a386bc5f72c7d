from __future__ import annotations

import pytest
import torch

from study.errors import UsageError
from study.execution import gpus
from study.stages import machine
from study.stages.cores import available_cores
from study.stages.machine import (
    choose_device,
    describe_machine,
    fitting_workers,
    limit_threads,
    too_many,
)

GIB = 2**30
CPU = torch.device("cpu")


def test_a_cpu_has_a_worker_a_core() -> None:
    assert fitting_workers(CPU) == available_cores() >= 1


@pytest.mark.parametrize(
    ("cores", "gpu", "host", "workers"),
    [
        (16, 140 * GIB, 120 * GIB, 16),
        (16, 12 * GIB, 120 * GIB, 6),  # the GPU's memory
        (16, 140 * GIB, 12 * GIB, 8),  # the machine's
        (16, 140 * GIB, None, 16),  # it does not say
        (2, 140 * GIB, 120 * GIB, 2),
        (8, GIB, GIB, 1),
    ],
)
def test_a_gpu_has_no_more_workers_than_memory(
    monkeypatch: pytest.MonkeyPatch, cores: int, gpu: int, host: int | None, workers: int
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (gpu, 2 * gpu))
    monkeypatch.setattr(gpus, "_available_memory", lambda: host)
    monkeypatch.setattr(machine, "available_cores", lambda: cores)
    assert fitting_workers(torch.device("cuda")) == workers


def test_more_workers_than_cores_are_a_word_and_fewer_are_none() -> None:
    assert too_many(1, 2) == too_many(2, 2) == []
    (said,) = too_many(16, 2)
    assert said.startswith("--workers 16 is more than the 2 that this machine feeds")


def test_this_process_has_no_more_threads_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        for cores, threads in ((8, 4), (2, 2)):
            monkeypatch.setattr(machine, "available_cores", lambda cores=cores: cores)
            limit_threads()
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_memory_is_read_from_the_system() -> None:
    available = gpus._available_memory()
    assert available is None or available > 2**20


def test_a_device_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(UsageError, match=r"--device 'cuda:99' is not there: expected auto or one of cpu"):
        choose_device("cuda:99")
    assert choose_device("cpu") == CPU


def test_a_gpu_that_does_not_serve_is_no_reason_to_use_the_cpu_unsaid(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, device: torch.device) -> None:
        raise torch.AcceleratorError(f"{device.type} error: all devices are busy\nmore")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", refuse)
    with pytest.raises(UsageError, match=r"\(cuda error: all devices are busy\): free it, or use --device cpu$"):
        choose_device("auto")


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which the second has less memory left and serves nobody."""

    def zeros(*_: object, device: torch.device) -> None:
        if device.index == 1:
            raise torch.AcceleratorError("CUDA error: all devices are busy\nmore")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda gpu: "NVIDIA A")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda gpu: ((16 - 8 * gpu.index) * GIB, 16 * GIB))
    monkeypatch.setattr(torch, "zeros", zeros)
    monkeypatch.setattr(gpus, "_available_memory", lambda: None)
    monkeypatch.setattr(machine, "available_cores", lambda: 32)


@pytest.mark.usefixtures("two_gpus")
def test_every_gpu_is_used_unless_one_is_named() -> None:
    assert choose_device("cuda:0") == torch.device("cuda:0")
    assert [fitting_workers(torch.device(name)) for name in ("cuda", "cuda:0", "cuda:1")] == [8, 8, 4]
    assert describe_machine(torch.device("cuda")).gpu == "2 × NVIDIA A"
    assert describe_machine(torch.device("cuda:1")).gpu == "NVIDIA A"


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_the_gpu_that_does_not_serve_is_named(name: str) -> None:
    with pytest.raises(UsageError, match=r"^cuda:1 does not serve .*busy\): free it, or use --device cuda:0 or cpu$"):
        choose_device(name)


def test_a_machine_without_a_gpu_has_none_in_its_description() -> None:
    assert describe_machine(CPU).known().keys() == {"cpu", "cores"}
