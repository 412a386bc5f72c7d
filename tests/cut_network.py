"""A cluster of two machines, of which one can be cut from the network: it is in a network namespace of its own."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

import pytest

from study.errors import StudyError
from study.execution.ray_address import check_address

PATIENCE = 120.0  # seconds until a thing that must come is given up
HERE, THERE = "10.78.0.1", "10.78.0.2"
_SPACE, _OUTER, _INNER = "digit-study-cut", "digit-cut0", "digit-cut1"
_RAY = (sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--block")
_STORE = f"--object-store-memory={10**8}"
# A machine that does not answer is given up after some 9 s in place of a minute, as the head of a cluster is told.
_IMPATIENT = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}


def lacking() -> str | None:
    """Why no machine can be cut off here; None if one can."""
    if os.geteuid() != 0:
        return "a network namespace needs root"
    return None if shutil.which("ip") else "ip is not installed: apt-get install iproute2"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Divided:
    """The head with one core is on this side; a machine with one core is on the other."""

    def __init__(self, folder: str) -> None:
        with socket.socket() as free:
            free.bind((HERE, 0))
            self.address = f"{HERE}:{free.getsockname()[1]}"
        port = self.address.rpartition(":")[2]
        quiet = ("--include-dashboard=false", f"--temp-dir={folder}")
        self._running = [self._start([], "--head", f"--node-ip-address={HERE}", f"--port={port}", *quiet)]
        self._wait_for_head()
        inside = ["ip", "netns", "exec", _SPACE]
        self._running.append(self._start(inside, f"--address={self.address}", f"--node-ip-address={THERE}"))

    def _start(self, inside: Sequence[str], *words: str) -> subprocess.Popen[bytes]:
        nowhere = subprocess.DEVNULL
        return subprocess.Popen(
            [*inside, *_RAY, "--num-cpus=1", _STORE, *words],
            env=os.environ | _IMPATIENT,
            stdin=nowhere,
            stdout=nowhere,
            stderr=nowhere,
            start_new_session=True,
        )

    def _wait_for_head(self) -> None:
        last = time.monotonic() + PATIENCE
        while True:
            try:
                check_address(self.address)
                return
            except StudyError:
                assert time.monotonic() < last, "the head does not come up"
                assert self._running[0].poll() is None, "the head has ended"

    def cut(self) -> None:
        """Nothing that one side sends reaches the other, and nobody is told."""
        _ip("link", "set", _OUTER, "down")

    def end(self) -> None:
        for process in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def divided() -> Iterator[Divided]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "1")  # a cluster of this machine alone, before, needed none
        with _divided() as machines:
            yield machines


@contextlib.contextmanager
def _divided() -> Iterator[Divided]:
    _ip("netns", "add", _SPACE)
    folder = tempfile.mkdtemp(prefix="ray-")
    try:
        _ip("link", "add", _OUTER, "type", "veth", "peer", "name", _INNER, "netns", _SPACE)
        _ip("address", "add", f"{HERE}/24", "dev", _OUTER)
        _ip("link", "set", _OUTER, "up")
        _ip("-n", _SPACE, "address", "add", f"{THERE}/24", "dev", _INNER)
        _ip("-n", _SPACE, "link", "set", _INNER, "up")
        _ip("-n", _SPACE, "link", "set", "lo", "up")
        machines = Divided(folder)
        try:
            yield machines
        finally:
            machines.end()
    finally:
        found = subprocess.run(["ip", "netns", "pids", _SPACE], capture_output=True, text=True, check=True)
        for process in found.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)
        subprocess.run(["ip", "link", "delete", _OUTER], capture_output=True, check=False)  # it may not be there yet
        _ip("netns", "delete", _SPACE)
        shutil.rmtree(folder, ignore_errors=True)
