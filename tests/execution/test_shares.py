"""Several drivers over one executor whose workers and clock are moved by hand."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from study.errors import Interrupted, StudyError
from study.execution.jobs import Event, Finished, Job
from study.execution.nodes import Node, this_node
from study.execution.shares import Share, Shares
from study.interrupts import catching_signals
from study.training.schedule import Schedule

SCHEDULE = Schedule((1,), (1,))


class Workers:
    """An executor and its clock: a job ends in the order in which it came, a second after the one before it."""

    def __init__(self, n_workers: int) -> None:
        self.n_workers = n_workers
        self.now = 0.0
        self.most = 0  # at once
        self.at_work: deque[Job] = deque()
        self.executor = self

    def nodes(self) -> Sequence[Node]:
        return [this_node(self.n_workers)]

    def submit(self, job: Job) -> None:
        self.at_work.append(job)
        self.most = max(self.most, len(self.at_work))

    def next_event(self, timeout: float | None = None) -> Event | None:
        if not self.at_work or timeout == 0.0:
            self.now += timeout or 0.0
            return None
        self.now += 1.0
        return Finished(self.at_work.popleft(), 0, 1.0, None)

    def answer(self, job: Job, go: bool) -> None: ...

    def withdraw(self) -> list[Job]:
        return []

    def running(self) -> dict[str, float]:
        return {job.id: 1.0 for job in self.at_work}

    def close(self) -> None: ...


class Driver:
    """Has so many jobs done, as many at once as its share allows and one more waiting."""

    def __init__(self, n_jobs: int, opens: bool = True) -> None:
        self.n_jobs = n_jobs
        self.opens = opens
        self.ended: list[str] = []
        self.workers: set[int] = set()
        self.charged = 0.0
        self.error: BaseException | None = None

    def __call__(self, share: Share) -> None:
        if self.opens:
            share.let_others_begin()
        begun, now = 0, share._shares.clock()
        try:
            while len(self.ended) < self.n_jobs:
                self.workers.add(share.n_workers)
                while begun < self.n_jobs and begun - len(self.ended) <= share.n_workers:
                    share.submit(Job(f"{begun}", {}, 0, SCHEDULE))
                    begun += 1
                assert share.running().keys() <= {f"{number}" for number in range(begun)}
                event = share.next_event(0.25)
                if isinstance(event, Finished):
                    self.ended.append(event.job.id)
            assert share.withdraw() == []
        except BaseException as error:
            self.error = error
            raise
        self.charged = share._shares.clock() - now - share.charged_to_others()


def run(workers: Workers, drivers: Sequence[Callable[[Share], None]], n_at_once: int) -> Shares:
    shares: Any = Shares(workers, lambda: workers.now)  # type: ignore[arg-type]
    shares.run(drivers, n_at_once)
    return shares  # type: ignore[no-any-return]


def test_each_has_its_part_of_the_workers_and_of_the_seconds_and_what_one_leaves_is_the_others() -> None:
    workers, drivers = Workers(5), [Driver(4), Driver(12)]
    run(workers, drivers, 2)
    assert [driver.ended for driver in drivers] == [[f"{k}" for k in range(driver.n_jobs)] for driver in drivers]
    assert [max(driver.workers) for driver in drivers] == [5, 5]  # the first one while the other has not begun
    assert drivers[1].workers == {2, 5}
    assert workers.most == 5
    assert sum(driver.charged for driver in drivers) == pytest.approx(workers.now)
    assert drivers[0].charged < 4.0 < 12.0 < drivers[1].charged + 4.0


def test_no_more_than_so_many_are_at_work_and_they_begin_when_the_first_lets_them_or_has_ended() -> None:
    workers, drivers = Workers(2), [Driver(3, opens=False), Driver(3), Driver(3), Driver(3)]
    shares = run(workers, drivers, 2)
    assert [driver.workers for driver in drivers] == [{2}, {1}, {1}, {1, 2}]
    assert workers.now == sum(driver.charged for driver in drivers) == 12.0
    assert [share.n_workers for share in shares._all] == [0, 0, 0, 0]
    before = shares._all[0].charged_to_others()
    workers.now += 10.0  # the study goes on, and is charged with all of it
    assert shares._all[0].charged_to_others() == before == 9.0


def test_an_error_of_one_ends_the_others_where_they_wait() -> None:
    def fails(share: Share) -> None:
        share.next_event(0.25)
        raise StudyError("the disk is full")

    other = Driver(1000)
    with pytest.raises(StudyError, match="the disk is full"):
        run(Workers(2), [other, fails], 2)
    assert str(other.error) == "the disk is full"


def test_a_signal_reaches_all_of_them_between_two_events() -> None:
    drivers = [Driver(1000), Driver(1000)]

    def interrupts(share: Share) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        share.submit(Job("last", {}, 0, SCHEDULE))  # goes on until it waits
        drivers.append(Driver(0))
        share.next_event(0.25)

    with catching_signals(), pytest.raises(Interrupted):
        run(Workers(3), [*drivers, interrupts], 3)
    assert len(drivers) == 3
    assert [type(driver.error) for driver in drivers[:2]] == [Interrupted, Interrupted]
