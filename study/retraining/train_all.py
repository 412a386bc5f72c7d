"""Trainings that nothing prunes, over an executor: what a retraining, an ablation and an audit need."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

from study.execution.executors import Executor
from study.execution.jobs import Died, Finished, Job, Report

MAX_ATTEMPTS = 3  # a run whose worker died this often, on machines that lived, has failed
_POLL_SECONDS = 0.25


def train_all(
    executor: Executor,
    next_job: Callable[[], Job | None],
    *,
    on_begin: Callable[[Job], None] = lambda job: None,
    on_report: Callable[[Report], None] = lambda report: None,
    on_end: Callable[[Finished], None],
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Train what `next_job` hands out, in this order and to the end each, until it returns None while nothing trains:
    it may have more once a run has ended.

    `on_begin(job)` comes before each submission, of a run whose worker died once more; `on_end` follows each run, with
    a reason if it failed by its own cause or its workers died three times; `tick` is called at every turn of the loop.
    """
    again: deque[Job] = deque()
    deaths: Counter[str] = Counter()
    in_flight = 0
    while True:
        while in_flight < executor.n_workers and (job := again.popleft() if again else next_job()) is not None:
            on_begin(job)
            executor.submit(job)
            in_flight += 1
        if in_flight == 0:
            return
        event = executor.next_event(_POLL_SECONDS)
        if isinstance(event, Report):
            on_report(event)
            executor.answer(event.job, True)
        elif isinstance(event, Finished):
            in_flight -= 1
            on_end(event)
        elif isinstance(event, Died):
            in_flight -= 1
            deaths[event.job.id] += event.lost is None
            if deaths[event.job.id] < MAX_ATTEMPTS:
                again.append(event.job)
            else:
                on_end(_failed(event))
        tick()


def _failed(event: Died) -> Finished:
    reason = f"its worker died {MAX_ATTEMPTS} times ({event.cause})"
    return Finished(event.job, event.worker, event.held_seconds, reason)
