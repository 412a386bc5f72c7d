from __future__ import annotations

import pytest
import torch

from study import machine
from study.errors import UsageError
from study.machine import available_cores, choose_device, describe_machine, fitting_workers

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
    monkeypatch.setattr(machine, "_available_memory", lambda: host)
    monkeypatch.setattr(machine, "available_cores", lambda: cores)
    assert fitting_workers(torch.device("cuda")) == workers


def test_memory_is_read_from_the_system() -> None:
    available = machine._available_memory()
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


def test_a_machine_without_a_gpu_has_none_in_its_description() -> None:
    assert describe_machine(CPU).keys() == {"cpu", "cores"}
