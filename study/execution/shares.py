"""Several drivers over one executor, each with its share of the workers.

Every driver has a thread, but one of them goes on at a time, from one wait for an event to the next: what they write
needs no locks, and a signal, which reaches the main thread, finds all of them waiting.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from study.execution.executors import Executor
from study.execution.jobs import Event, Job, Report
from study.execution.nodes import Node
from study.interrupts import shielded

Clock = Callable[[], float]


class Pool(Protocol):
    """Workers that are started when first needed."""

    @property
    def executor(self) -> Executor: ...

    @property
    def n_workers(self) -> int: ...


class Share:
    """An executor over a part of another's workers, for the thread of one driver. While that works, its part of the
    seconds that pass is `rate`: those of all shares add up to one."""

    def __init__(self, shares: Shares, number: int, now: float) -> None:
        self.number = number
        self.due = now  # when it goes on without an event
        self.inbox: deque[Event] = deque()
        self.waiting: deque[Job] = deque()
        self.jobs: dict[str, Job] = {}  # that workers have, by the names that all shares tell apart
        self.turn = threading.Semaphore(0)
        self.has_ended = False
        self.error: BaseException | None = None
        self._shares = shares
        self._others = 0.0  # seconds that were charged to other shares, until `_since`
        self._since = now

    # --- as an executor -----------------------------------------------------------------------------------------------

    @property
    def n_workers(self) -> int:
        return self._shares.quota(self)

    def nodes(self) -> Sequence[Node]:
        return self._shares.executor.nodes()

    def submit(self, job: Job) -> None:
        self.waiting.append(job)
        self._shares.hand_out()

    def next_event(self, timeout: float | None = None) -> Event | None:
        """As of any executor; meanwhile the other drivers go on, unless `timeout` is 0."""
        if timeout == 0.0:
            self._shares.collect(0.0)
        else:
            self._shares.wait(self, timeout)
        return self.inbox.popleft() if self.inbox else None

    def answer(self, job: Job, go: bool) -> None:
        self._shares.executor.answer(self.named(job), go)

    def withdraw(self) -> list[Job]:
        jobs = list(self.waiting)
        self.waiting.clear()
        return jobs

    def running(self) -> dict[str, float]:
        seconds = self._shares.executor.running()
        return {job.id: seconds[name] for name, job in self.jobs.items() if name in seconds}

    def close(self) -> None:
        """The workers are the others', too."""

    def named(self, job: Job) -> Job:
        return replace(job, id=f"{self.number}:{job.id}")

    # --- among others -------------------------------------------------------------------------------------------------

    def let_others_begin(self) -> None:
        """The first one says that what the others need of it is there."""
        self._shares.are_open = True

    @property
    def rate(self) -> float:
        return self._shares.rate(self)

    def charged_to_others(self) -> float:
        """Seconds since it began that other shares are charged with."""
        return self._others + (1.0 - self.rate) * (self._shares.clock() - self._since)

    def settle(self) -> None:
        self._others, self._since = self.charged_to_others(), self._shares.clock()


class Shares:
    """Shares of the workers of `pool`, which are equal among those whose drivers are at work."""

    def __init__(self, pool: Pool, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self.are_open = False
        self._pool = pool
        self._all: list[Share] = []
        self._active: list[Share] = []
        self._turns: deque[Share] = deque()
        self._back = threading.Semaphore(0)
        self._stopped: BaseException | None = None
        self._is_over = False

    @property
    def executor(self) -> Executor:
        return self._pool.executor

    def run(self, works: Sequence[Callable[[Share], None]], n_at_once: int) -> None:
        """Do each work in a thread of its own with a share of its own, no more than so many at once, the second and the
        others once the first lets them begin or has ended.

        An error of one of them, or a signal, is raised where each of the others waits, and then here.
        """
        due = deque(works)
        try:
            while due or self._active:
                while due and len(self._active) < n_at_once and (self.are_open or not self._active):
                    self._begin(due.popleft())
                self._go_on()
        except BaseException as error:
            self._stop(error)
            raise
        finally:
            self._settle()
            self._is_over = True

    # --- turns --------------------------------------------------------------------------------------------------------

    def _begin(self, work: Callable[[Share], None]) -> None:
        share = Share(self, len(self._all) + 1, self.clock())
        thread = threading.Thread(target=self._live, args=(share, work), name=f"share-{share.number}", daemon=True)
        with shielded():  # a signal finds it begun or not
            self._settle()
            for known in (self._all, self._active, self._turns):
                known.append(share)
            thread.start()

    def _live(self, share: Share, work: Callable[[Share], None]) -> None:
        share.turn.acquire()
        try:
            if self._stopped is None:
                work(share)
        except BaseException as error:  # raised again in the thread that all of them return to
            share.error = error
        finally:
            share.has_ended = True
            self._back.release()

    def _go_on(self) -> None:
        """Let one of them go on that has an event or has waited long enough, in turn, or wait for that."""
        self.collect(0.0)  # and so send what workers of a cluster wait for
        now = self.clock()
        ready = next((share for share in self._turns if share.inbox or share.due <= now), None)
        if ready is None:
            self.collect(min(share.due for share in self._turns) - now)
            return
        with shielded():
            self._turns.remove(ready)
            self._turns.append(ready)
        self._resume(ready)
        if ready.error is not None:
            raise ready.error

    def _resume(self, share: Share) -> None:
        with shielded():  # a signal waits until the one at work waits, too
            share.turn.release()
            self._back.acquire()
            if share.has_ended:
                self.are_open = True
                self._settle()
                self._active.remove(share)
                self._turns.remove(share)
                self.hand_out()

    def wait(self, share: Share, timeout: float | None) -> None:
        """In a driver's thread: let the others go on until it has an event, or `timeout` seconds have passed."""
        share.due = self.clock() + (threading.TIMEOUT_MAX if timeout is None else timeout)
        if self._stopped is None:
            self._back.release()
            share.turn.acquire()
        if self._stopped is not None:
            raise self._stopped

    def _stop(self, error: BaseException) -> None:
        """End those that are at work: each may mark what it has in flight, and why it ends."""
        self._stopped = error
        with shielded():
            for share in list(self._active):
                self._resume(share)

    # --- workers ------------------------------------------------------------------------------------------------------

    def quota(self, share: Share) -> int:
        """How many workers a share has: none once its driver has ended, else at least one, as any executor has."""
        if share not in self._active:
            return 0
        whole, rest = divmod(self._pool.n_workers, len(self._active))
        return max(1, whole + (self._active.index(share) < rest))

    def rate(self, share: Share) -> float:
        """Equal for all at work: on a cluster the number of workers changes, and what was charged must stay."""
        if self._is_over:
            return 1.0
        return 1.0 / len(self._active) if share in self._active else 0.0

    def _settle(self) -> None:
        """Before the shares become others."""
        for share in self._all:
            share.settle()

    def hand_out(self) -> None:
        """What no worker is free for stays here, where it can be withdrawn."""
        free = self._pool.n_workers - sum(len(share.jobs) for share in self._active)
        for share in self._active:
            n = max(0, min(free, len(share.waiting), self.quota(share) - len(share.jobs)))
            free -= n
            for _ in range(n):
                job = share.waiting.popleft()
                named = share.named(job)
                share.jobs[named.id] = job
                self.executor.submit(named)

    def collect(self, timeout: float) -> None:
        """Put the events that have come where they belong; wait so many seconds for the first."""
        event = self.executor.next_event(timeout)
        while event is not None:
            self._deliver(event)
            event = self.executor.next_event(0.0)

    def _deliver(self, event: Event) -> None:
        share = next(share for share in self._active if event.job.id in share.jobs)
        share.inbox.append(replace(event, job=share.jobs[event.job.id]))
        if not isinstance(event, Report):
            del share.jobs[event.job.id]
            self.hand_out()
