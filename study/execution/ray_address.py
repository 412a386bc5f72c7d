"""Joining a cluster of Ray: one that the user runs, or one of this machine alone that ends with the command."""

from __future__ import annotations

import atexit
import contextlib
import fnmatch
import itertools
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from study.errors import StudyError, UsageError
from study.execution.processes import short_folder
from study.interrupts import FOR_THE_DRIVER

LOCAL, AUTO = "local", "auto"
_ANSWER_SECONDS = 5.0  # for a connection to an address that the user gave: Ray itself would try for a minute
_SOCKET = len("/digit-study-xxxxxxxx/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store")
_LOOK_SECONDS = 1.0
_PROBE_SECONDS = 3.0
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
_TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
Say = Callable[[str], None]
Kind = Literal["CPU", "GPU"]


@dataclass(frozen=True, slots=True)
class Place:
    """A machine of a cluster, and how many of its cores and GPUs nobody has taken."""

    name: str
    address: str
    free: Mapping[str, float]

    @property
    def n_gpus(self) -> int:
        return int(self.free.get("GPU", 0))

    def room(self, kind: Kind) -> int:
        """Workers that it can have at most: one for each core, and where they are to train on GPUs none without one."""
        return 0 if kind == "GPU" and self.n_gpus < 1 else int(self.free.get("CPU", 0))


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that this process has joined. A command waits `patience` seconds for a worker; `say` tells of it. It
    uses the machines whose names match one of the patterns in `machines`, all if there is none."""

    address: str
    patience: float
    say: Say
    door: str  # the socket of Ray's process on this machine
    machines: Sequence[str] = ()

    def missing(self) -> str | None:
        """Which of Ray's two processes that a command cannot do without is gone, in words; None if neither is. Ray
        itself would end the command without them, after a while and without a chance to record why."""
        host, _, port = self.address.rpartition(":")
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_PROBE_SECONDS)
            probe.connect(self.door)
            with contextlib.suppress(OSError):
                socket.create_connection((host, int(port)), _PROBE_SECONDS).close()
                return None
            return f"the cluster's head at {self.address} is gone"
        return "Ray's process on this machine is gone"

    def places(self) -> dict[str, Place]:
        """The machines that are there now, by Ray's names for them."""
        import ray
        from ray._private.state import available_resources_per_node  # the public ways know no machine's free cores

        free = available_resources_per_node()
        return {
            node["NodeID"]: Place(node["NodeManagerHostname"], node["NodeManagerAddress"], free.get(node["NodeID"], {}))
            for node in ray.nodes()
            if node["Alive"] and self.is_chosen(node["NodeManagerHostname"])
        }

    def is_chosen(self, name: str) -> bool:
        """Whether a machine of this host name is used."""
        return not self.machines or any(fnmatch.fnmatchcase(name, pattern) for pattern in self.machines)

    def wait_for_room(self, kind: Kind) -> int:
        """How many workers there can be, at least one. StudyError where no machine for one came in time."""
        last = time.monotonic() + self.patience
        for look in itertools.count():
            places = self.places()
            if (room := sum(place.room(kind) for place in places.values())) > 0:
                return room
            why = self.why_no_room(len(places), kind)
            if time.monotonic() > last:
                raise StudyError(self.gave_up(why))
            if look == 0:
                self.say(f"note: {why}; {self.waits}")
            time.sleep(_LOOK_SECONDS)
        raise AssertionError

    def why_no_room(self, n_machines: int, kind: Kind) -> str:
        chosen = f" that --cluster-machines {','.join(self.machines)} names" if self.machines else ""
        free = "CPU" if kind == "CPU" else "GPU and a free CPU"
        return f"none of the cluster's {n_machines} machines{chosen} has a free {free}"

    @property
    def waits(self) -> str:
        return f"waits for a worker, {self.patience:.0f} s at most"

    def gave_up(self, why: str) -> str:
        return (
            f"--cluster {self.address}: no worker came in {self.patience:.0f} s: {why}; add a machine with "
            f"`ray start --address={self.address}`, or wait longer with --cluster-patience"
        )


def check_address(address: str) -> None:
    """UsageError for an address that can be none; StudyError where Ray is not installed, or nobody answers at it."""
    host, _, port = address.rpartition(":")
    if address not in (LOCAL, AUTO) and not (host and port.isascii() and port.isdecimal() and 1 <= int(port) <= 65535):
        raise UsageError(
            f"--cluster {address!r} is not usable: expected local, auto or HOST:PORT, such as 10.0.0.1:6379"
        )
    if sys.modules.get("ray") is None:
        _prepare(address)
    try:
        import ray  # noqa: F401
    except ImportError:
        raise StudyError(f"--cluster {address} needs Ray: pip install 'digit-study[cluster]'") from None
    if host:
        _check_answer(address, host, int(port))


def _check_answer(address: str, host: str, port: int) -> None:
    try:
        socket.create_connection((host, port), _ANSWER_SECONDS).close()
    except OSError as error:
        raise StudyError(
            f"--cluster {address}: nobody answers there ({error.strerror or error}); start Ray there with "
            f"`ray start --head --port={port}`"
        ) from None


@contextlib.contextmanager
def joined(address: str, cores: int, patience: float, say: Say, machines: Sequence[str] = ()) -> Iterator[Cluster]:
    """The cluster at an address until the end of the block: `local` is a new one of this machine, with so many cores.

    StudyError in one line where there is none, or none that this machine belongs to.
    """
    check_address(address)
    with _local_folder() if address == LOCAL else contextlib.nullcontext() as folder:
        import ray

        options: dict[str, Any] = {"address": address}
        if folder is not None:
            options = {
                "num_cpus": cores,
                "object_store_memory": _STORE,
                "include_dashboard": False,
                "_temp_dir": folder,
            }
        with (
            _own_signals(),
            _temporary_files_in(folder),
            contextlib.chdir(Path(ray.__file__).parents[1]),
        ):  # else workers look for modules here
            try:
                ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
            except (RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
                raise StudyError(_not_joined(address, error)) from None
        # A machine that dies would print a page of its log into this command's progress, whatever log_to_driver says.
        ray._private.worker.print_to_stdstream = lambda *_, **__: None
        try:
            door = ray._private.worker._global_node.raylet_socket_name
            yield Cluster(ray.get_runtime_context().gcs_address, patience, say, door, machines)
        finally:
            _leave()


def _leave() -> None:
    """Leave the cluster; where that does not end, since it is gone, without saying so."""
    import ray

    leaving = threading.Thread(target=ray.shutdown, daemon=True)
    leaving.start()
    leaving.join(_END_SECONDS)
    if leaving.is_alive():
        atexit.unregister(ray.shutdown)


def _not_joined(address: str, error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    return (
        f"--cluster {address}: {text}; this machine must have the cluster's token (RAY_AUTH_TOKEN) and belong to it: "
        "`ray start --address=HOST:PORT --num-cpus=0` adds it without workers of its own"
    )


def _prepare(address: str) -> None:
    """Set what Ray reads when it is imported: nothing is told to its makers, and whoever connects needs the token."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address == LOCAL:
        os.environ |= {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),  # else one is written into the user's home
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listen on loopback, as on those systems by default
            "RAY_prestart_worker_first_driver": "0",  # no processes for tasks that never come
        }
    elif any(name in os.environ for name in _TOKENS) or Path.home().joinpath(".ray", "auth_token").exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


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


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Ray sets a handler of its own for SIGTERM, where it is asked in the main thread; this program's come back."""
    is_main = threading.current_thread() is threading.main_thread()
    signums = (*FOR_THE_DRIVER, signal.SIGTERM) if is_main else ()
    taken = {signum: signal.getsignal(signum) for signum in signums}
    try:
        yield
    finally:
        for signum, handler in taken.items():
            signal.signal(signum, handler)
