"""GPUs shared by several worker processes each: NVIDIA's Multi-Process Service (MPS), private to one command.

Without it processes have a GPU in turn, each alone; with it their kernels run side by side.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from study.execution.gpus import views_of
from study.execution.guards import Guard
from study.execution.processes import short_folder

_CONTROL = "nvidia-cuda-mps-control"
_FOLDER = "CUDA_MPS_PIPE_DIRECTORY"  # NVIDIA's environment variables
_LOGS = "CUDA_MPS_LOG_DIRECTORY"
_SOMEBODY_ELSES = Path("/tmp/nvidia-mps")  # where a service for the whole machine is
_SERVE = f"""
{_CONTROL} -d >/dev/null 2>&1 || {{ rm -rf "${_FOLDER}"; echo failed; exit 1; }}
echo started
read -r _
echo quit | {_CONTROL} >/dev/null 2>&1
rm -rf "${_FOLDER}"
"""


@contextlib.contextmanager
def shared_gpus(device: torch.device) -> Iterator[list[dict[str, str]]]:
    """For each of the GPUs that `device` means, environment variables with which processes see it alone and share it
    until the end of the block; for another kind of device none.

    Each GPU has a service of its own. There is none where there is nothing to share by: no GPU, no MPS installed, none
    that starts. A service that the user runs already is left alone, and used by itself.
    """
    with contextlib.ExitStack() as services:
        if device.type != "cuda" or _is_running() or not shutil.which(_CONTROL):
            yield views_of(device)
        else:
            yield [view | services.enter_context(_service(view)) for view in views_of(device)]


@contextlib.contextmanager
def _service(view: dict[str, str]) -> Iterator[dict[str, str]]:
    """Environment variables of a service's clients, which serves what is in `view`; none if it does not start."""
    environment = _private()
    guard = Guard(_SERVE, environment=view | environment)
    try:
        yield environment if guard.read_line() == "started" else {}
    finally:
        guard.end()


def _is_running() -> bool:
    return _FOLDER in os.environ or (_SOMEBODY_ELSES / "control").exists()


def _private() -> dict[str, str]:
    folder = tempfile.mkdtemp(prefix="digit-study-mps-", dir=short_folder())
    return {_FOLDER: folder, _LOGS: folder}
