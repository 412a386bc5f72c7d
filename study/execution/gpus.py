"""The GPUs of this machine that a command uses, and how a process is shown one of them alone."""

from __future__ import annotations

import torch


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


def views_of(device: torch.device) -> list[dict[str, str]]:
    """For every GPU that `device` means, environment variables of a process that is to see it alone. A machine's only
    GPU needs none, and neither does another kind of device."""
    if device.type != "cuda" or torch.cuda.device_count() < 2:
        return [{}]
    return [{"CUDA_VISIBLE_DEVICES": _name(gpu)} for gpu in gpus_of(device)]


def _name(gpu: torch.device) -> str:
    """What NVIDIA calls a GPU wherever it is listed: the service that shares one counts those that it serves anew."""
    return f"GPU-{torch.cuda.get_device_properties(gpu).uuid}"


def in_view(device: torch.device) -> str:
    """The name of a device in a process that sees it alone."""
    return "cuda" if device.type == "cuda" else str(device)
