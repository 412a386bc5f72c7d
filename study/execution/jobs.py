"""What travels between the driver and a worker. All plain data: it is pickled, logged and compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from study.training.loop import DataPart, Schedule


@dataclass(frozen=True)
class Job:
    """One training. `run` (search trials have none) names the folder to write, its identity and what to record."""

    id: str
    config: dict[str, Any]
    seed: int
    schedule: Schedule
    part: DataPart = "train"
    run: RunTarget | None = None


@dataclass(frozen=True)
class RunTarget:
    folder: str
    digest: str
    record: dict[str, Any]


@dataclass(frozen=True)
class Report:
    """A run stands at a mark and waits for the answer."""

    job: Job
    worker: int
    examples: int
    metrics: dict[str, Any]


@dataclass(frozen=True)
class Finished:
    """A run ended: `reason` is None unless it failed by its own cause. `held_seconds` is how long a worker had it."""

    job: Job
    worker: int
    held_seconds: float
    reason: str | None
    outcome: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Died:
    """A worker ended under its job without a word; another one takes its place."""

    job: Job
    worker: int
    held_seconds: float
    exit_code: int | None


Event = Report | Finished | Died
