"""Joining a cluster of Ray: one that the user runs, or one of this machine alone that ends with the command. Imports no
torch, so that Ray's processes can start before torch is there."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.errors import StudyError
from study.execution.processes import short_folder
from study.execution.ray_address import LOCAL, Cluster, Say, check_address
from study.interrupts import FOR_THE_DRIVER

_SIGNALS = (*FOR_THE_DRIVER, signal.SIGTERM)
_SOCKET = len("/digit-study-xxxxxxxx/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store")
_END_SECONDS = 5.0
_STORE = 512 * 2**20  # bytes for training data on the way to a machine
# Waits until nobody holds the other end of its pipe, which a command does that lives. Two of Ray's processes wait for
# a minute when all others were killed: who has a file of the folder open then is ended.
_SWEEP = """
read -r _
sleep 2
for file in $(find /proc/[0-9]*/fd -lname "$1/*" 2>/dev/null); do
    process=${file#/proc/}
    kill -9 "${process%%/*}" 2>/dev/null
done
rm -rf "$1"
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """The cluster that a command asks for: the address, the cores of a `local` one, and what `Cluster` says. Where it
    is known which `workers` are wanted, their hosts start as soon as the cluster is joined."""

    address: str
    cores: int
    patience: float
    machines: Sequence[str] = ()
    workers: Wanted | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """So many workers at most, as many as there is room for where there is no `limit`."""

    limit: int | None
    device: str


class Joining:
    """Joins a cluster in a thread, so that Ray's own processes start while this process loads what it needs itself.

    For the `local` one, of this machine with so many cores, there is a `folder`, in which it has its files."""

    def __init__(self, asked: Asked, folder: str | None) -> None:
        self._asked = asked
        self._folder = folder
        self._say: Say = lambda _: None
        self._options: dict[str, Any] = {"address": asked.address}
        if folder is not None:
            self._options |= {
                "num_cpus": asked.cores,
                "object_store_memory": _STORE,
                "include_dashboard": False,
                # Ray's own is 15: whatever else runs on this machine would come before the training.
                "_system_config": {"worker_niceness": 0},
                "_temp_dir": folder,
            }
        self._handlers = {signum: signal.getsignal(signum) for signum in _SIGNALS}
        self._is_joined, self._is_over = threading.Event(), threading.Event()
        self._found: Cluster | Exception | None = None
        threading.Thread(target=self._join, daemon=True).start()

    def _join(self) -> None:
        try:
            _init(self._options, self._folder)
            self._found = self._cluster()
        except Exception as error:  # raised where the cluster is waited for
            self._found = error
        self._is_joined.set()
        self._is_over.wait()  # the system would end Ray's processes with the thread that began them

    def _cluster(self) -> Cluster:
        import ray

        door = ray._private.worker._global_node.raylet_socket_name
        address, asked = ray.get_runtime_context().gcs_address, self._asked
        cluster = Cluster(address, asked.patience, lambda text: self._say(text), door, asked.machines)
        if asked.workers is not None:
            from study.execution.hosts import Hosts

            cluster.begun.append(Hosts(cluster, asked.workers.limit, asked.workers.device))
        return cluster

    def wait(self, say: Say) -> Cluster:
        """The cluster, once it is joined. StudyError in one line where there is none, or none that this machine
        belongs to."""
        import ray

        self._say = say
        self._is_joined.wait()
        self._restore_signals()
        if isinstance(self._found, Cluster):
            return self._found
        assert self._found is not None
        if isinstance(self._found, RuntimeError | ValueError | OSError | ray.exceptions.RayError):
            raise StudyError(_not_joined(self._asked.address, self._found)) from None
        raise self._found

    def _restore_signals(self) -> None:
        """Ray sets handlers of its own; this program's come back, for which only the main thread can ask."""
        if threading.current_thread() is threading.main_thread():
            for signum, handler in self._handlers.items():
                signal.signal(signum, handler)

    def leave(self) -> None:
        """Leave the cluster; where that does not end, since it is gone, without saying so."""
        import ray

        def leave() -> None:
            self._is_joined.wait()
            for hosts in self._found.begun if isinstance(self._found, Cluster) else ():
                hosts.close()
            ray.shutdown()

        leaving = threading.Thread(target=leave, daemon=True)
        leaving.start()
        leaving.join(_END_SECONDS)
        if leaving.is_alive():
            atexit.unregister(ray.shutdown)
        self._restore_signals()
        self._is_over.set()


@contextlib.contextmanager
def joining(asked: Asked) -> Iterator[Joining]:
    """Begin to join a cluster, which is left at the end of the block. The errors of `check_address`."""
    check_address(asked.address)
    with _local_folder() if asked.address == LOCAL else contextlib.nullcontext() as folder:
        begun = Joining(asked, folder)
        try:
            yield begun
        finally:
            begun.leave()


@contextlib.contextmanager
def joined(address: str, cores: int, patience: float, say: Say) -> Iterator[Cluster]:
    """The cluster at an address until the end of the block, as `joining` and its `wait` say."""
    with joining(Asked(address, cores, patience)) as begun:
        yield begun.wait(say)


def _init(options: Mapping[str, Any], folder: str | None) -> None:
    import ray
    from ray.job_config import JobConfig

    logging.getLogger("ray").setLevel(logging.ERROR)  # else it says that a thread cannot set a handler for SIGTERM
    # Else workers would look for modules in the folder that the command is called in. To go elsewhere meanwhile is no
    # way: the main thread reads and writes there.
    elsewhere = JobConfig(_client_job=True)
    with few_processes(), _temporary_files_in(folder):
        ray.init(log_to_driver=False, logging_level=logging.ERROR, job_config=elsewhere, **options)
    # A machine that dies would print a page of its log into this command's progress, whatever log_to_driver says.
    ray._private.worker.print_to_stdstream = lambda *_, **__: None


@contextlib.contextmanager
def few_processes() -> Iterator[None]:
    """Within this block Ray starts a cluster's head without its dashboard's server, its readers of logs and its
    autoscaler: nobody asks them anything, and the first one was waited for."""
    from ray._private import services
    from ray._private.node import Node

    def nothing(*_: object, **__: object) -> None:
        pass

    replaced: list[tuple[Any, str, Callable[..., Any]]] = [
        (services, "start_api_server", lambda *_, **__: ("", None)),
        (Node, "start_log_monitor", nothing),
        (Node, "start_monitor", nothing),
    ]
    known = [(where, name, instead) for where, name, instead in replaced if hasattr(where, name)]  # by this version
    kept = [(where, name, getattr(where, name)) for where, name, _ in known]
    try:
        for where, name, instead in known:
            setattr(where, name, instead)
        yield
    finally:
        for where, name, own in kept:
            setattr(where, name, own)


def _not_joined(address: str, error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    return (
        f"--cluster {address}: {text}; this machine must have the cluster's token (RAY_AUTH_TOKEN) and belong to it: "
        "`ray start --address=HOST:PORT --num-cpus=0` adds it without workers of its own"
    )


@contextlib.contextmanager
def _local_folder() -> Iterator[str]:
    """A folder for a cluster that ends with the block, which goes though this process is killed."""
    folder = tempfile.mkdtemp(prefix="digit-study-", dir=short_folder(_SOCKET))
    sweeper = subprocess.Popen(
        ["sh", "-c", _SWEEP, "sweep", folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the command
    )
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        sweeper.kill()
        sweeper.communicate()


@contextlib.contextmanager
def _temporary_files_in(folder: str | None) -> Iterator[None]:
    """What is started in the block has its temporary files there, if a folder is given."""
    before = os.environ.get("TMPDIR")
    if folder is not None:
        os.environ["TMPDIR"] = folder
    try:
        yield
    finally:
        if before is not None:
            os.environ["TMPDIR"] = before
        else:
            os.environ.pop("TMPDIR", None)
