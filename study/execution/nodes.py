"""The machines whose workers an executor has."""

from __future__ import annotations

import platform
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from study.records.ledger import kind_of


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

    @property
    def kind(self) -> str:
        return kind_of(self.cpu, self.gpus)


def unlike(nodes: Iterable[Node]) -> str | None:
    """Why machines of several kinds cannot share a time budget, and what to do; None of those of one kind."""
    by_kind: dict[str, list[str]] = {}
    for node in nodes:
        by_kind.setdefault(node.kind, []).append(node.name)
    if len(by_kind) < 2:
        return None
    most = max(by_kind.values(), key=lambda names: len(names))
    told = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in by_kind.items())
    return f"its machines are of {len(by_kind)} kinds ({told}), {not_shared(most)}"


def not_shared(names: Iterable[str]) -> str:
    """What follows from unlike machines; `names` are some that are alike."""
    return (
        "so that equal seconds would not buy the families equal work: choose like machines, such as "
        f"--cluster-machines {','.join(names)}, or set --n-trials without --budget"
    )


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
