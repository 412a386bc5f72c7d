"""What a study has spent: wall-clock by stage, summed over commands, and what has been completed for it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from study.records.files import read_json, write_json

# Asked for by commands of their own, with a time of their own: a budget is for what a study cannot do without.
_BESIDE_THE_BUDGET = frozenset({"ablation", "audit"})
_SAVE_EVERY = 5.0  # seconds: what a killed command may forget to have spent


class Ledger:
    """`ledger.json` of a study. The clock is monotonic: stepping the system's clock changes no duration.

    `stages` has the wall-clock of every stage, `commands` the seconds that each command takes from the budget: all that
    it was active, start-up included, or none if it was there for a stage beside the budget.
    """

    def __init__(self, path: Path, data: dict[str, Any], started: float) -> None:
        self.data = data
        self._path = path
        self._started = started
        self._before = self.used_before
        self._charged = True
        self._saved = 0.0
        self._stage: str | None = None
        self._stage_began = 0.0

    @classmethod
    def open(cls, path: Path, command: str, started: float, versions: Mapping[str, str]) -> Ledger:
        """Continue or begin a ledger; `started` is when the command began, on the monotonic clock."""
        data = read_json(path) if path.exists() else {"stages": {}, "commands": [], "families": {}}
        now = datetime.now(UTC).isoformat(timespec="seconds")
        data["commands"].append({"command": command, "start": now, "seconds": 0.0, "versions": dict(versions)})
        return cls(path, data, started)

    @property
    def used_before(self) -> float:
        """Seconds that earlier commands took from the budget."""
        return float(sum(command["seconds"] for command in self.data["commands"][:-1]))

    @property
    def used(self) -> float:
        return self._before + self._of_this_command

    @property
    def _of_this_command(self) -> float:
        return time.monotonic() - self._started if self._charged else 0.0

    def left(self, budget: float) -> float:
        return budget - self.used

    def charge_nothing(self) -> None:
        """This command has found nothing to do: what a budget is for has not begun."""
        self._charged = False

    def stage_seconds(self, name: str) -> float:
        return float(self.data["stages"].get(name, 0.0))

    @property
    def running_seconds(self) -> float:
        """Seconds of the stage now running, which its total does not hold yet."""
        return 0.0 if self._stage is None else time.monotonic() - self._stage_began

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Charge the block's wall-clock to a stage."""
        self._stage, self._stage_began = name, time.monotonic()
        self._charged = self._charged and name not in _BESIDE_THE_BUDGET
        try:
            yield
        finally:
            self.data["stages"] = self._stages_now()
            self._stage = None
            self.save()

    def _stages_now(self) -> dict[str, float]:
        """Seconds by stage, with those of the one now running."""
        stages = dict(self.data["stages"])
        if self._stage is not None:
            stages[self._stage] = round(self.stage_seconds(self._stage) + self.running_seconds, 3)
        return stages

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The block's wall-clock is charged to another study's ledger, and not to this one."""
        self.save()
        began = time.monotonic()
        try:
            yield
        finally:
            self._started += time.monotonic() - began

    def tick(self) -> None:
        """Save now and then during a long stage."""
        if time.monotonic() - self._saved > _SAVE_EVERY:
            self.save()

    def save(self) -> None:
        self.data["commands"][-1]["seconds"] = round(self._of_this_command, 3)
        # A command that is killed in a long stage must not forget what the stage took.
        write_json(self._path, {**self.data, "stages": self._stages_now()})
        self._saved = time.monotonic()
