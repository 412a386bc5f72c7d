"""A GPU shared by several worker processes: NVIDIA's Multi-Process Service (MPS), private to one command.

Without it processes have a GPU in turn, each alone; with it their kernels run side by side.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from study.execution.processes import short_folder

_CONTROL = "nvidia-cuda-mps-control"
_FOLDER = "CUDA_MPS_PIPE_DIRECTORY"  # NVIDIA's environment variables
_LOGS = "CUDA_MPS_LOG_DIRECTORY"
_SOMEBODY_ELSES = Path("/tmp/nvidia-mps")  # where a service for the whole machine is
_END_SECONDS = 5.0
# Waits until nobody holds the other end of its pipe: the command is done, or was ended without a chance to say so.
_SERVE = f"""
{_CONTROL} -d >/dev/null 2>&1 || {{ rm -rf "${_FOLDER}"; echo failed; exit 1; }}
echo started
read -r _
echo quit | {_CONTROL} >/dev/null 2>&1
rm -rf "${_FOLDER}"
"""


@contextlib.contextmanager
def shared_gpu(device: torch.device) -> Iterator[dict[str, str]]:
    """Environment variables with which processes share the GPU `device` until the end of the block.

    There are none where there is nothing to share by: no GPU, no MPS installed, none that starts. A service that the
    user runs already is left alone, and used by itself.
    """
    environment = _private() if device.type == "cuda" and not _is_running() and shutil.which(_CONTROL) else None
    if environment is None:
        yield {}
        return
    guard = subprocess.Popen(
        ["sh", "-c", _SERVE],
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the command, whose workers still need the service
    )
    assert guard.stdin is not None
    assert guard.stdout is not None
    try:
        yield environment if guard.stdout.readline() == b"started\n" else {}
    finally:
        guard.stdin.close()
        guard.stdout.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            guard.wait(_END_SECONDS)


def _is_running() -> bool:
    return _FOLDER in os.environ or (_SOMEBODY_ELSES / "control").exists()


def _private() -> dict[str, str]:
    folder = tempfile.mkdtemp(prefix="digit-study-mps-", dir=short_folder())
    return {_FOLDER: folder, _LOGS: folder}
