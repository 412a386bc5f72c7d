"""The machines whose workers an executor has."""

from __future__ import annotations

import platform
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Node:
    """A machine and its workers by their numbers, of which none is given twice in a command. `gpus` are the models of
    those that its workers use. `lost` is why it is gone, with what its workers did; None as long as it is there."""

    name: str
    address: str
    workers: tuple[int, ...]
    cpu: str
    gpus: tuple[str, ...] = ()
    lost: str | None = None


def node_of(worker: int, nodes: Iterable[Node]) -> str | None:
    """The host name of the machine that has, or had, a worker."""
    return next((node.name for node in nodes if worker in node.workers), None)


def this_node(n_workers: int, gpus: tuple[str, ...] = ()) -> Node:
    """This machine with all workers of an executor that has no others."""
    return Node(socket.gethostname(), "127.0.0.1", tuple(range(n_workers)), cpu_name(), gpus)


def cpu_name() -> str:
    """The processor as the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
