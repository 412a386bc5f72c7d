"""The GPUs of this machine that a command uses, and how a process is shown one of them alone."""

from __future__ import annotations

import os
from pathlib import Path

import torch

# Bytes that a worker on a GPU takes. Of 16 on an H200 each had 1.1 GiB of the GPU at first and 1.9 at the end of a
# search, and 1.2 GiB of the machine's memory: torch's CUDA libraries are loaded anew in each (benchmarks/gpu.py).
_GPU_MEMORY = 2 * 2**30
_HOST_MEMORY = 3 * 2**29


def gpus_of(device: torch.device) -> list[torch.device]:
    """The GPUs that a device means: all of the machine's for `cuda`, one for `cuda:1`, none for another kind."""
    if device.type != "cuda":
        return []
    if device.index is not None:
        return [device]
    return [torch.device("cuda", index) for index in range(torch.cuda.device_count())]


def models_of(device: torch.device) -> tuple[str, ...]:
    """What the GPUs that a device means are called, each as often as it is there."""
    return tuple(torch.cuda.get_device_name(gpu) for gpu in gpus_of(device))


def room_on(device: torch.device) -> int:
    """How many workers fit into the free memory of the GPUs that `device` means, over which they are spread, and into
    the machine's."""
    gpus = gpus_of(device) or [device]
    room = len(gpus) * (min(torch.cuda.mem_get_info(gpu)[0] for gpu in gpus) // _GPU_MEMORY)
    memory = _available_memory()
    return room if memory is None else min(room, memory // _HOST_MEMORY)


def views_of(device: torch.device) -> list[dict[str, str]]:
    """For every GPU that `device` means, environment variables of a process that is to see it alone. A machine's only
    GPU needs none, and neither does another kind of device."""
    # Chosen by its number, as Ray does: the service that shares a GPU counts those that it serves anew.
    is_numbered = os.environ.get("CUDA_VISIBLE_DEVICES", "").isdigit()
    if device.type != "cuda" or (torch.cuda.device_count() < 2 and not is_numbered):
        return [{}]
    return [{"CUDA_VISIBLE_DEVICES": _name(gpu)} for gpu in gpus_of(device)]


def _name(gpu: torch.device) -> str:
    """What NVIDIA calls a GPU wherever it is listed: the service that shares one counts those that it serves anew."""
    return f"GPU-{torch.cuda.get_device_properties(gpu).uuid}"


def in_view(device: torch.device) -> str:
    """The name of a device in a process that sees it alone."""
    return "cuda" if device.type == "cuda" else str(device)


def _available_memory() -> int | None:
    """Bytes that programs may still take without swapping; None where the system does not say (not Linux)."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
