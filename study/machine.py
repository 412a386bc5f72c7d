"""What this machine has: processor, cores, a GPU, and how many workers they feed."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import torch

from study.errors import UsageError

# Bytes that a worker on a GPU takes. Of 16 on an H200 each had 1.1 GiB of the GPU at first and 1.9 at the end of a
# search, and 1.2 GiB of the machine's memory: torch's CUDA libraries are loaded anew in each (benchmarks/gpu.py).
_GPU_MEMORY = 2 * 2**30
_HOST_MEMORY = 3 * 2**29


def available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Processor and cores, and the GPU where `device` is one."""
    gpu = {"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
    return {"cpu": cpu_name(), "cores": available_cores(), **gpu}


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def choose_device(name: str) -> torch.device:
    """`auto` is the GPU if there is one. UsageError for a device that torch does not know, that this machine lacks, or
    that does not serve this process."""
    if name == "auto" and not torch.cuda.is_available():
        return torch.device("cpu")
    try:
        device = torch.device("cuda" if name == "auto" else name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        if name == "auto":
            cause = str(error).strip().partition("\n")[0]
            raise UsageError(f"the GPU does not serve this command ({cause}): free it, or use --device cpu") from None
        there = ["cpu"] + [f"cuda:{index}" for index in range(torch.cuda.device_count())]
        raise UsageError(f"--device {name!r} is not there: expected auto or one of {', '.join(there)}") from None
    return device


def fitting_workers(device: torch.device) -> int:
    """One worker a core; on a GPU no more than fit into its free memory and the machine's. More workers than cores
    trained less there, too: 32 on 16 cores 0.8 to 0.9 times as much as 16."""
    if device.type != "cuda":
        return available_cores()
    free, _ = torch.cuda.mem_get_info(device)
    limits = [available_cores(), free // _GPU_MEMORY]
    if (host := _available_memory()) is not None:
        limits.append(host // _HOST_MEMORY)
    return max(1, min(limits))


def _available_memory() -> int | None:
    """Bytes that programs may still take without swapping; None where the system does not say (not Linux)."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
