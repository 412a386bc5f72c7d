"""The machines that work for a command: what its ledger keeps of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from study.execution.nodes import Node
from study.records.ledger import NodeSeen
from study.records.open_ledger import OpenLedger

Key = tuple[str, tuple[int, ...]]  # numbers of workers are given once in a command


class NodeLog:
    """Looks at the machines now and then, and keeps in the ledger who came, who left and what each offered to the
    search. `clock` is monotonic, in seconds."""

    def __init__(self, ledger: OpenLedger, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._clock = clock
        self._seen: dict[Key, NodeSeen] = {}
        self._looked: float | None = None  # when, if that was in the search

    def look(self, nodes: Sequence[Node], *, in_search: bool = False) -> None:
        """Between two looks in the search the machines that were there at the first have offered their workers."""
        now = self._clock()
        since = 0.0 if self._looked is None or not in_search else now - self._looked
        self._looked = now if in_search else None
        is_first = not self._seen
        for node in nodes:
            key = node.name, node.workers
            known = self._seen.get(key)
            self._seen[key] = _came(node, None if is_first else _moment()) if known is None else _after(known, since)
            if node.lost is not None:
                self._seen[key] = _left(self._seen[key], node.lost)
        self._ledger.note_nodes(list(self._seen.values()))


def _came(node: Node, joined: str | None) -> NodeSeen:
    return NodeSeen(name=node.name, workers=len(node.workers), cpu=node.cpu, gpus=node.gpus, joined=joined)


def _after(known: NodeSeen, seconds: float) -> NodeSeen:
    if known.lost is not None:
        return known
    return known.model_copy(update={"offered": round(known.offered + seconds * known.workers, 3)})


def _left(known: NodeSeen, why: str) -> NodeSeen:
    return known if known.lost is not None else known.model_copy(update={"lost": why, "left": _moment()})


def _moment() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
