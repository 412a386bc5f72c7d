"""How worker processes come to be. Imports no torch, so that the server can start before torch is there."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from multiprocessing.util import get_temp_dir
from typing import Any

# Forking a process that has loaded torch is safe only where system libraries allow it, and macOS's do not.
FORKING = sys.platform == "linux"
SOCKET_FOLDER = "DIGIT_STUDY_SOCKET_FOLDER"  # an environment variable of the server
_SERVER_SECONDS = 3.0
# How many compiled kernels torch's CPU library (oneDNN) and torch's wrapper of it keep. By default 1,024 each, so that
# a worker grew by 5 MiB with every new architecture; one run needs some dozens (benchmarks/worker_memory.py).
KERNEL_CACHES = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128", "LRU_CACHE_CAPACITY": "64"}


def start_server() -> None:
    """Let a fork server load what workers need, beside whatever this process does meanwhile; returns at once.

    Workers are forked from it in milliseconds and share its memory. It is a fresh process, so that they inherit no
    open database and no thread of this one, on any device: it never touches a GPU. It ends with this process. Where
    there is no fork server this does nothing, and workers are spawned.
    """
    if FORKING:
        multiprocessing.get_context("forkserver").set_forkserver_preload(["study.execution.preload"])
        with _environment(_server_environment()):
            forkserver.ensure_running()


def start_process(target: Callable[..., None], arguments: tuple[Any, ...], name: str) -> BaseProcess:
    """A worker process, which ends with this one at the latest. A server that was killed is replaced."""
    process = worker_context().Process(target=target, args=arguments, name=name, daemon=True)
    last = time.monotonic() + _SERVER_SECONDS
    while True:
        start_server()
        try:
            process.start()
            return process
        except (ConnectionError, EOFError):  # it was killed just now, and the system has not yet said so
            if time.monotonic() > last:
                raise
            time.sleep(0.01)


def worker_context() -> ForkServerContext | SpawnContext:
    """The multiprocessing context of workers."""
    return multiprocessing.get_context("forkserver") if FORKING else multiprocessing.get_context("spawn")


def _server_environment() -> dict[str, str]:
    return {
        # Its modules must be the driver's: by itself it would look into the current folder first.
        "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path),
        "PYTHONSAFEPATH": "1",
        # The driver's own, which removes it unless it is killed.
        SOCKET_FOLDER: get_temp_dir(),
        # numpy's BLAS would start threads while it is loaded, which a fork leaves behind.
        "OPENBLAS_NUM_THREADS": "1",
        **{name: os.environ.get(name, size) for name, size in KERNEL_CACHES.items()},
    }


@contextlib.contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
