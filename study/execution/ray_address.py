"""The address of a cluster of Ray, and the machines of the one that is joined there."""

from __future__ import annotations

import contextlib
import fnmatch
import itertools
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from study.errors import StudyError, UsageError

if TYPE_CHECKING:
    from study.execution.hosts import Hosts

LOCAL, AUTO = "local", "auto"
_ANSWER_SECONDS = 5.0  # for a connection to an address that the user gave: Ray itself would try for a minute
_LOOK_SECONDS = 1.0
_PROBE_SECONDS = 3.0
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
    begun: list[Hosts] = field(default_factory=list)  # that start, for the first who needs hosts

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
        if room := sum(hosts.first_room for hosts in self.begun):
            return room
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
    """UsageError for an address that can be none; StudyError where Ray is not installed, or nobody answers at it. What
    RAY_ADDRESS names is the address where that is `auto`."""
    told = os.environ.get("RAY_ADDRESS") or AUTO if address == AUTO else address
    named = f"--cluster {address!r}" if told == address else f"RAY_ADDRESS {told!r}"
    host, _, port = told.rpartition(":")
    is_pair = host and port.isascii() and port.isdecimal() and 1 <= int(port) <= 65535
    if not is_pair and (told != address or address not in (LOCAL, AUTO)):
        raise UsageError(f"{named} is not usable: expected local, auto or HOST:PORT, such as 10.0.0.1:6379")
    if sys.modules.get("ray") is None:
        _prepare(address)
    try:
        import ray  # noqa: F401
    except ImportError:
        raise StudyError(f"--cluster {address} needs Ray: pip install 'digit-study[cluster]'") from None
    if host:
        _check_answer(told, host, int(port))


def _check_answer(address: str, host: str, port: int) -> None:
    try:
        socket.create_connection((host, port), _ANSWER_SECONDS).close()
    except OSError as error:
        raise StudyError(
            f"--cluster {address}: nobody answers there ({error.strerror or error}); start Ray there with "
            f"`ray start --head --port={port}`"
        ) from None


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
