"""How worker processes come to be. Imports no torch, so that the server can start before torch is there."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from multiprocessing.util import get_temp_dir
from types import ModuleType
from typing import Any

from study.errors import StudyError

# Forking a process that has loaded torch is safe only where system libraries allow it, and macOS's do not.
FORKING = sys.platform == "linux"
SOCKET_FOLDER = "DIGIT_STUDY_SOCKET_FOLDER"  # an environment variable of the server
_CHILDREN = threading.Lock()  # to start one multiprocessing looks at all, and fails at one that is closed meanwhile
_SERVER_SECONDS = 3.0
_LONGEST_PATH = 107  # bytes of a socket's path, as the system has it
_BELOW = len("/pymp-xxxxxxxx/listener-xxxxxxxx")  # what multiprocessing adds to the folder for temporary files
_SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")
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
        with _environment(own_modules() | _server_environment()):
            forkserver.ensure_running()


def start_process(target: Callable[..., None], arguments: tuple[Any, ...], name: str) -> BaseProcess:
    """A worker process, which ends with this one at the latest. A server that was killed is replaced."""
    process = worker_context().Process(target=target, args=arguments, name=name, daemon=True)
    last = time.monotonic() + _SERVER_SECONDS
    while True:
        start_server()
        try:
            # A worker that is spawned begins as the server does.
            with _CHILDREN, _environment(own_modules()), _no_script():
                process.start()
            return process
        except (ConnectionError, EOFError):  # it was killed just now, and the system has not yet said so
            if time.monotonic() > last:
                raise
            time.sleep(0.01)


def let_go(process: BaseProcess) -> None:
    """Close what this process holds of one that has ended; a thread may, while another one starts a process."""
    with _CHILDREN:
        process.close()


@contextlib.contextmanager
def _no_script() -> Iterator[None]:
    """Within this block a process begins without the script that started this one: multiprocessing would run it again
    in each worker, which needs nothing of it, and a script that calls `Study.run` would begin another study."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def worker_context() -> ForkServerContext | SpawnContext:
    """The multiprocessing context of workers."""
    return multiprocessing.get_context("forkserver") if FORKING else multiprocessing.get_context("spawn")


def own_modules() -> dict[str, str]:
    """Environment of a Python process whose modules are to be this one's: by itself it would look into the current
    folder first, where a user may have a `random.py`."""
    return {"PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path), "PYTHONSAFEPATH": "1"}


def short_folder(below: int = _BELOW) -> str:
    """A folder for temporary files in which a socket may lie `below` bytes of a path: the system's own, if its path is
    not too long for that.

    StudyError where no folder can be written, or only such as have long paths.
    """
    with contextlib.suppress(FileNotFoundError):  # there is none at all
        if len(os.fsencode(folder := tempfile.gettempdir())) + below <= _LONGEST_PATH:
            return folder
    for folder in _SHORT_FOLDERS:
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise StudyError(
        f"there is no folder for the workers' sockets: expected one in TMPDIR that can be written and whose path has "
        f"{_LONGEST_PATH - below} bytes at most, seen {os.environ.get('TMPDIR', 'none')}, and "
        f"{' and '.join(_SHORT_FOLDERS)} cannot be written; set TMPDIR to such a folder"
    )


def _socket_folder() -> str:
    """The folder of this process's sockets, which ends with it; multiprocessing makes it when it is first asked for."""
    before, tempfile.tempdir = tempfile.tempdir, short_folder()
    try:
        return get_temp_dir()
    finally:
        tempfile.tempdir = before


def _server_environment() -> dict[str, str]:
    return {
        # The driver's own, which removes it unless it is killed.
        SOCKET_FOLDER: _socket_folder(),
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
