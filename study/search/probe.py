"""How fast this machine trains a family: asked once, when the family's ladder is made."""

from __future__ import annotations

from collections.abc import Sequence

from study.errors import StudyError
from study.execution.executors import Executor
from study.execution.jobs import Finished, Job, Report
from study.space import SearchSpace, branches
from study.training.loop import Schedule

_SECONDS = 1.0
_BATCHES = 8  # between two looks at the clock
_LOOKS = 500


def measure_speeds(executor: Executor, spaces: Sequence[SearchSpace]) -> dict[str, float]:
    """Examples a second of a typical configuration of each family, all at once as in the search.

    The first look is left out: it has the costs of a first batch. StudyError if a family cannot train at all.
    """
    marks = tuple(_BATCHES * (look + 1) for look in range(_LOOKS))
    for space in spaces:
        config = next(iter(branches(space))) | (dict(space.warm_starts[0]) if space.warm_starts else {})
        # Train + validation: a report without the cost of validating.
        executor.submit(Job(space.family, config, 0, Schedule((marks[-1],), marks), "train+validation"))
    first: dict[str, tuple[int, float]] = {}
    speeds: dict[str, float] = {}
    left = len(spaces)
    while left:
        event = executor.next_event(0.5)
        if isinstance(event, Report):
            seconds = event.metrics["training_seconds"]
            examples, begun = first.setdefault(event.job.id, (event.examples, seconds))
            if event.examples > examples:
                speeds[event.job.id] = (event.examples - examples) / (seconds - begun)
            executor.answer(event.job, event.job.id not in speeds or seconds - begun < _SECONDS)
        elif event is not None:
            left -= 1
            if isinstance(event, Finished) and event.reason:
                raise StudyError(f"family {event.job.id} cannot train at all: {event.reason}")
    return speeds
