"""A machine that no message reaches any more, and that does not know it."""

from __future__ import annotations

import time
from collections.abc import Callable

import cut_network
import pytest
from clusters import CLUSTER, skip_or_fail
from cut_network import PATIENCE
from tiny_spaces import TINY_MLP

from study.execution.executors import Executor
from study.execution.jobs import Died, Event, Finished, Job, Report
from study.execution.joining import joined
from study.training.loop import TrainingData
from study.training.schedule import Schedule

pytestmark = [*CLUSTER, pytest.mark.slow]
BOUND = 60.0  # seconds: the head gives up after some nine, and this machine may be busy


def until(executor: Executor, done: Callable[[Event | None], bool], seconds: float = PATIENCE) -> Event | None:
    """The first event that is it, or None if that came about without one."""
    last = time.monotonic() + seconds
    while not done(event := executor.next_event(0.1)):
        assert time.monotonic() < last, "it did not come about"
    return event


def end(executor: Executor) -> Finished:
    """The next job that ends well; reports before it are answered with go."""
    while True:
        event = until(executor, lambda event: event is not None)
        if isinstance(event, Report):
            executor.answer(event.job, True)
        else:
            assert isinstance(event, Finished), event
            assert event.reason is None
            return event


def test_a_machine_that_is_cut_from_the_network_is_lost_in_time_and_its_job_goes_on_elsewhere(
    training_data: TrainingData,
) -> None:
    skip_or_fail()
    if (why := cut_network.lacking()) is not None:
        pytest.skip(why)
    with cut_network.divided() as machines, joined(machines.address, 1, PATIENCE, lambda _: None) as cluster:
        from study.execution.cluster import ClusterExecutor

        with ClusterExecutor(cluster, None, training_data) as executor:
            until(executor, lambda _: executor.n_workers == 2)
            for name in ("a", "b"):
                executor.submit(Job(name, TINY_MLP, 5, Schedule.whole(40, 20)))
            (node,) = [node for node in executor.nodes() if node.address == cut_network.THERE]
            jobs: dict[bool, Job] = {}
            for _ in range(2):
                report = until(executor, lambda event: isinstance(event, Report))
                assert isinstance(report, Report)
                jobs[report.worker in node.workers] = report.job
            machines.cut()
            death = until(executor, lambda event: isinstance(event, Died), BOUND)
            assert isinstance(death, Died)
            assert death.job == jobs[True]
            assert death.cause == f"machine {node.name} ({node.address}) is lost"
            executor.answer(jobs[False], True)
            executor.submit(death.job)
            assert {end(executor).job.id, end(executor).job.id} == {"a", "b"}
