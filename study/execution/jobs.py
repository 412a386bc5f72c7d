"""What travels between the driver and a worker. All plain data: it is pickled, logged and compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from study.records.run import DataPart, RunRecord
from study.space.parameters import Config
from study.training.schedule import HeldOut, Schedule


@dataclass(frozen=True)
class EqualSeconds:
    """Rungs that take as long as the family's `typical` configuration would for so many `examples`."""

    examples: tuple[int, ...]
    typical: Config


@dataclass(frozen=True)
class Job:
    """One training. `run` (search trials have none) names the folder to write, its identity and what to record;
    `held_out` are the images that validate it, where the worker's data have others; it learns from so many `images` of
    the training part, None for all of them. Where there are `equal_seconds` the worker makes the schedule of them, once
    it knows how fast the configuration trains."""

    id: str
    config: dict[str, Any]
    seed: int
    schedule: Schedule
    part: DataPart = "train"
    run: RunTarget | None = None
    held_out: HeldOut | None = None
    images: int | None = None
    equal_seconds: EqualSeconds | None = None


@dataclass(frozen=True)
class RunTarget:
    """Where a run is written. `state_seconds` lie between two of its states on disk: what a killed run may have to
    train again. Writing one took half a second on a slow disk, so that every 10 seconds cost a study of short runs 4 %
    (benchmarks/safety_cost.py)."""

    folder: str
    digest: str
    record: RunRecord
    state_seconds: float = 30.0


@dataclass(frozen=True)
class Validation:
    """How a run does on the validation images: accuracy as a fraction, plain NLL, the fitted temperature and the NLL
    under it."""

    accuracy: float
    nll: float
    nll_scaled: float
    temperature: float


@dataclass(frozen=True)
class RungMetrics:
    """What a run shows at a mark: the mean loss since the last one, and the seconds of training since its start.
    `validation` is None for a run that learns from the validation images, too."""

    train_loss: float
    learning_rate: float
    training_seconds: float
    validation: Validation | None


@dataclass(frozen=True)
class Outcome:
    """What is known of a run at its end, None where it failed before: parameters of its model, floating-point
    operations of one image, the seconds it trained, and where its rungs took equal seconds, how many times the ladder's
    examples they had."""

    n_parameters: int | None = None
    flops: int | None = None
    training_seconds: float | None = None
    rung_scale: float | None = None


@dataclass(frozen=True)
class Reached:
    """A worker's message: its run stood at a mark, after so many examples. It trains on until it is told not to, at
    most to its next mark, where it waits for the answer."""

    examples: int
    metrics: RungMetrics


@dataclass(frozen=True)
class Ended:
    """A worker's last message of a run: `reason` is None unless it failed by its own cause."""

    reason: str | None
    outcome: Outcome


@dataclass(frozen=True)
class Report:
    """A run stood at a mark, and is to be answered whether it goes on."""

    job: Job
    worker: int
    examples: int
    metrics: RungMetrics


@dataclass(frozen=True)
class Finished:
    """A run ended: `reason` is None unless it failed by its own cause. `held_seconds` is how long a worker had it."""

    job: Job
    worker: int
    held_seconds: float
    reason: str | None
    outcome: Outcome = Outcome()


@dataclass(frozen=True)
class Died:
    """A worker ended under its job without a word; another one takes its place. `lost` says how, where it was not by
    the job or anything on its machine: the machine itself is gone."""

    job: Job
    worker: int
    held_seconds: float
    exit_code: int | None
    lost: str | None = None

    @property
    def cause(self) -> str:
        """Why it ended, as part of a sentence."""
        return self.lost or f"exit status {self.exit_code}"


Event = Report | Finished | Died
OnRung = Callable[[int, RungMetrics], bool]  # (examples seen, what is seen there) -> whether to go on
