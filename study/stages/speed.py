"""How fast this machine trains: asked when a family's ladder is made, and before runs that leave workers idle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import mean
from typing import Any

from study.errors import StudyError
from study.execution.executors import Executor
from study.execution.jobs import Died, Finished, Job, Report
from study.execution.nodes import node_of, not_shared
from study.space.parameters import SearchSpace
from study.space.sampling import typical
from study.training.schedule import Schedule

_SECONDS = 1.0
_BATCHES = 8  # up to the first look at the clock
_GROWTH = 1.1  # from look to look: a GPU takes thousands of batches in that time, and must not wait for each look
_LOOKS = 70
_UNLIKE = 2.0  # times as fast: less lies between two looks at one machine that others use, too


@dataclass
class Speed:
    """Examples a second, None as long as there are not two looks; `reason` if the training ended by itself."""

    examples_per_second: float | None = None
    reason: str | None = None
    seconds: float = 0.0
    worker: int | None = None
    ended: bool = False
    _first: tuple[int, float] | None = None

    @property
    def is_measured(self) -> bool:
        return self.ended or (self.examples_per_second is not None and self.seconds >= _SECONDS)

    def look(self, examples: int, seconds: float) -> None:
        """The first look is left out: it has the costs of a first batch."""
        if self._first is None:
            self._first = examples, seconds
            return
        first_examples, begun = self._first
        self.seconds = seconds - begun
        self.examples_per_second = (examples - first_examples) / max(1e-9, self.seconds)


def run_speeds(executor: Executor, configs: Sequence[Mapping[str, Any]]) -> list[Speed]:
    """How fast each configuration trains while all of them do, as many at once as there are workers."""
    marks = tuple(accumulate(max(1, round(_BATCHES * _GROWTH**look)) for look in range(_LOOKS)))
    for number, config in enumerate(configs):
        # Train + validation: a report without the cost of validating.
        executor.submit(Job(str(number), dict(config), 0, Schedule((marks[-1],), marks), "train+validation"))
    speeds = [Speed() for _ in configs]
    while not all(speed.ended for speed in speeds):
        event = executor.next_event(0.5)
        if event is None:
            continue
        speed = speeds[int(event.job.id)]
        if isinstance(event, Report):
            speed.worker = event.worker
            speed.look(event.examples, event.metrics.training_seconds)
            # Each is to be measured beside the others: none stops before the last, unless one waits for its worker.
            one_waits = sum(not speed.ended for speed in speeds) > executor.n_workers
            may_stop = speed.is_measured if one_waits else all(speed.is_measured for speed in speeds)
            executor.answer(event.job, not may_stop)
        elif isinstance(event, Died) and event.lost is not None:  # it is measured on another machine
            speeds[int(event.job.id)] = Speed()
            executor.submit(event.job)
        else:
            speed.ended = True
            speed.reason = event.reason if isinstance(event, Finished) else None
    return speeds


def measure_speeds(executor: Executor, spaces: Sequence[SearchSpace]) -> dict[str, float]:
    """Examples a second of a typical configuration of each family while every worker is busy, as in the search.

    StudyError if a family cannot train at all, or trains on one machine twice as fast as on another.
    """
    found = _measured(executor, spaces)
    if (why := _too_unlike(found)) is not None:
        found = _measured(executor, spaces)  # it may have been a moment in which others worked there
        if _too_unlike(found) is not None:
            raise StudyError(why)
    return {family: mean(speed for _, speed in speeds) for family, speeds in found.items()}


def _measured(executor: Executor, spaces: Sequence[SearchSpace]) -> Mapping[str, list[tuple[str, float]]]:
    """(machine, examples a second) of each training, by family."""
    copies = max(1, executor.n_workers // len(spaces))
    rounds = [[space for space in spaces for _ in range(copies)]]
    if len(executor.nodes()) > 1:  # each family on each machine
        rounds = [[space] * executor.n_workers for space in spaces]
    found: dict[str, list[tuple[str, float]]] = {}
    for families in rounds:
        for space, speed in zip(families, run_speeds(executor, [typical(space) for space in families]), strict=True):
            if speed.reason:
                raise StudyError(f"family {space.family} cannot train at all: {speed.reason}")
            if speed.examples_per_second is not None and speed.worker is not None:
                node = node_of(speed.worker, executor.nodes()) or ""
                found.setdefault(space.family, []).append((node, speed.examples_per_second))
    return found


def _too_unlike(found: Mapping[str, list[tuple[str, float]]]) -> str | None:
    """Where machines train a family at speeds too far apart for equal seconds to be equal work."""
    for family, measured in found.items():
        by_node = {name: mean(speed for node, speed in measured if node == name) for name, _ in measured}
        fastest = max(by_node.values())
        slow = [name for name, speed in by_node.items() if speed * _UNLIKE < fastest]
        if slow:
            told = ", ".join(f"{name} {speed:,.0f}" for name, speed in by_node.items())
            alike = [name for name in by_node if name not in slow]
            return f"the machines train {family} at unlike speeds, in examples a second {told}, {not_shared(alike)}"
    return None
