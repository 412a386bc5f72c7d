"""GPUs for tests on machines without one: a service that shares one, and processes that believe they have some."""

from __future__ import annotations

import os
from pathlib import Path

SERVICE = """#!/bin/sh
# As the real one: with -d it goes into the background and serves from its folder; what it is told comes by a pipe.
if [ "$1" = -d ]; then
    {fails}
    touch "$CUDA_MPS_PIPE_DIRECTORY/control"
    echo "$CUDA_MPS_PIPE_DIRECTORY${{CUDA_VISIBLE_DEVICES:+($CUDA_VISIBLE_DEVICES)}}" >> "{log}"
else
    read -r told
    echo "$told" >> "{log}"
    rm "$CUDA_MPS_PIPE_DIRECTORY/control"
fi
"""
# Every GPU that CUDA_VISIBLE_DEVICES names is there, and has room for one worker, which trains on the processor.
_BELIEVE = """
import importlib.abc, importlib.machinery, os, sys
from types import SimpleNamespace

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "study.execution.gpus":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        run = spec.loader.exec_module
        def exec_module(module):
            run(module)
            names = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
            cuda = SimpleNamespace(
                device_count=lambda: len(names),
                get_device_name=lambda gpu: os.environ["PRETENDED_GPU"],
                get_device_properties=lambda gpu: SimpleNamespace(uuid=names[gpu.index]),
                mem_get_info=lambda gpu: (3 * 2**30, 4 * 2**30),
            )
            module.torch = SimpleNamespace(cuda=cuda, device=module.torch.device)
            module.in_view = lambda device: "cpu"
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Finder())
"""


def install_service(folder: Path, log: Path, fails: bool = False) -> Path:
    """Put the service into a new folder; what it is told is in `log`."""
    folder.mkdir()
    script = folder / "nvidia-cuda-mps-control"
    script.write_text(SERVICE.format(log=log, fails="exit 1" if fails else ":"))
    script.chmod(0o755)
    return folder


def believing(folder: Path, model: str) -> dict[str, str]:
    """The environment of processes that believe that GPUs of this model are there."""
    (folder / "sitecustomize.py").write_text(_BELIEVE, encoding="utf-8")
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    return {"PYTHONPATH": path, "PRETENDED_GPU": model}
