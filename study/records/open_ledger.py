"""The ledger of a study that a command works on: what the command spends is charged to it, stage by stage."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from study.records.ledger import Command, Ledger, NodeSeen, read_ledger, write_ledger

# Asked for by commands of their own, with a time of their own: a budget is for what a study cannot do without.
_BESIDE_THE_BUDGET = frozenset({"ablation", "audit"})
_SAVE_EVERY = 5.0  # seconds: what a killed command may forget to have spent


class OpenLedger(Ledger):
    """A ledger that is written again now and then. The clock is monotonic: stepping the system's clock changes no
    duration.

    A command takes from the budget all the time that it is active, start-up included, or nothing if it was there for a
    stage beside the budget.
    """

    _path: Path
    _started: float
    _paused: float | None = None  # since when
    _before: float = 0.0
    _charged: bool = True
    _saved: float = 0.0
    _stage: str | None = None
    _stage_began: float = 0.0
    _others: Callable[[], float] | None = None

    @classmethod
    def open(cls, path: Path, command: str, started: float, versions: Mapping[str, str]) -> OpenLedger:
        """Continue or begin a ledger; `started` is when the command began, on the monotonic clock."""
        ledger = cls.model_validate(dict(read_ledger(path)))
        ledger._path, ledger._started, ledger._before = path, started, sum(c.seconds for c in ledger.commands)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        ledger.commands.append(Command(command=command, start=now, versions=dict(versions)))
        return ledger

    @property
    def used_before(self) -> float:
        """Seconds that earlier commands took from the budget."""
        return self._before

    @property
    def used(self) -> float:
        return self._before + self._of_this_command

    @property
    def _of_this_command(self) -> float:
        now = self.clock() if self._paused is None else self._paused
        return now - self._started if self._charged else 0.0

    def clock(self) -> float:
        """The monotonic clock, less the seconds that were charged to searches beside this one."""
        return time.monotonic() - (0.0 if self._others is None else self._others())

    def share_with(self, others: Callable[[], float]) -> None:
        """Charge this search with its part of the seconds alone, while others are at work beside it: `others()` are
        those that were charged to them, from now on."""
        before = others()
        self._others = lambda: others() - before

    def left(self, budget: float) -> float:
        return budget - self.used

    def charge_nothing(self) -> None:
        """This command has found nothing to do: what a budget is for has not begun."""
        self._charged = False

    def stage_seconds_now(self, name: str) -> float:
        return self._stages_now().get(name, 0.0)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Charge the block's wall-clock to a stage."""
        self._stage, self._stage_began = name, self.clock()
        self._charged = self._charged and name not in _BESIDE_THE_BUDGET
        try:
            yield
        finally:
            self.stages = self._stages_now()
            self._stage = None
            self.save()

    def _stages_now(self) -> dict[str, float]:
        """Seconds by stage, with those of the one now running."""
        if self._stage is None:
            return self.stages
        running = self.clock() - self._stage_began
        return {**self.stages, self._stage: round(self.stage_seconds(self._stage) + running, 3)}

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The block's wall-clock is charged to another study's ledger, and not to this one."""
        self.save()
        self._paused = self.clock()
        try:
            yield
        finally:
            self._started += self.clock() - self._paused
            self._paused = None

    def note_nodes(self, nodes: Sequence[NodeSeen]) -> None:
        """The machines of this command's workers, those that were lost, too."""
        self.commands[-1] = self.commands[-1].model_copy(update={"nodes": tuple(nodes)})

    def tick(self) -> None:
        """Save now and then during a long stage."""
        if time.monotonic() - self._saved > _SAVE_EVERY:
            self.save()

    def save(self) -> None:
        self.commands[-1] = self.commands[-1].model_copy(update={"seconds": round(self._of_this_command, 3)})
        # A command that is killed in a long stage must not forget what the stage took.
        write_ledger(self._path, self.model_copy(update={"stages": self._stages_now()}))
        self._saved = time.monotonic()
