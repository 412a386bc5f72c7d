"""An executor over the machines of a Ray cluster: on each of them a host, with worker processes of its own.

Ray starts the hosts, hands each the training data once, and tells when a machine is gone. Jobs, answers and events go
over a line of its own to each host.
A machine that is cut from the network counts as lost once Ray says so, after a minute unless its head is told otherwise
(RAY_health_check_period_ms and its like).
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from study.execution.host import Answer, HostEvent, Kept, Submit
from study.execution.hosts import Hosts, Remote
from study.execution.installation import Installation
from study.execution.jobs import Died, Event, Finished, Job, Report
from study.execution.nodes import Node
from study.execution.ray_address import Cluster
from study.records.files import write_bytes
from study.records.paths import RunFiles
from study.records.run import Precision, newest_state
from study.training.loop import TrainingData
from study.training.state import StateFiles

_TURN_SECONDS = 0.2


class ClusterExecutor:
    """As many workers as the machines of a cluster have free cores, `limit` at most; machines that join later bring
    theirs, and those that leave take them. What a lost machine had is reported as `Died`, with that as the cause. On
    `cuda` they are the machines with free GPUs, as many workers as fit their memory.

    Where they are to be `alike`, machines of several kinds are a StudyError at first, and one of another kind that
    joins later is left out."""

    def __init__(
        self,
        cluster: Cluster,
        limit: int | None,
        data: TrainingData,
        *,
        device: str = "cpu",
        precision: Precision = "fp32",
        alike: bool = False,
    ) -> None:
        installation = replace(Installation.here(torch.device("cpu")), precision=precision)
        self._hosts = cluster.begun.pop() if cluster.begun else Hosts(cluster, limit, device)
        self._events: deque[Event] = deque()
        self._waiting: deque[Job] = deque()
        try:
            self._hosts.start(data, installation, self._hear, alike=alike)
        except BaseException:
            self.close()
            raise

    @property
    def n_workers(self) -> int:
        """At least 1: where there is none now, what is submitted waits for one."""
        return max(1, self._hosts.n_workers)

    def nodes(self) -> Sequence[Node]:
        return self._hosts.nodes()

    # --- messages ----------------------------------------------------------------------------------------------------

    def _turn(self, seconds: float) -> None:
        """Take what the hosts say within `seconds`."""
        self._hosts.grow()
        self._hand_out()
        self._hosts.wait(seconds)
        now = time.monotonic()
        for host in self._hosts.take_lost():
            died = [Died(job, host.first, now - since, None, host.lost) for job, since in host.jobs.values()]
            self._events.extend(died)

    def _hear(self, host: Remote, event: HostEvent) -> None:
        job, _ = host.jobs[event.job.id]
        if isinstance(event, Kept):
            _keep(job, event)
            return
        if not isinstance(event, Report):
            del host.jobs[job.id]
        if isinstance(event, Finished):
            self._hosts.is_well(host)
        self._events.append(replace(event, job=job, worker=host.first + event.worker))
        self._hand_out()

    def _hand_out(self) -> None:
        """Waiting jobs go to the machines with the most idle workers, in this order."""
        while self._waiting:
            idle = max(self._hosts, key=lambda host: host.n_idle, default=None)
            if idle is None or idle.n_idle < 1:
                return
            job = self._waiting.popleft()
            idle.jobs[job.id] = job, time.monotonic()
            files = newest_state(RunFiles(Path(job.run.folder))) if job.run is not None else {}
            idle.outbox.put(Submit(job, files))

    # --- what every executor does ------------------------------------------------------------------------------------

    def submit(self, job: Job) -> None:
        self._waiting.append(job)
        self._hand_out()

    def next_event(self, timeout: float | None = None) -> Event | None:
        last = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            if not self._events:
                self._turn(min(_TURN_SECONDS, last - time.monotonic()))
            if self._events:
                return self._events.popleft()
            if time.monotonic() >= last:
                return None

    def answer(self, job: Job, go: bool) -> None:
        for host in self._hosts:
            if job.id in host.jobs:
                host.outbox.put(Answer(job, go))

    def withdraw(self) -> list[Job]:
        jobs = list(self._waiting)
        self._waiting.clear()
        return jobs

    def running(self) -> dict[str, float]:
        now = time.monotonic()
        return {id: now - since for host in self._hosts for id, (_, since) in host.jobs.items()}

    def close(self) -> None:
        self._hosts.close()

    def __enter__(self) -> ClusterExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _keep(job: Job, kept: Kept) -> None:
    """Write what came of a run, what names the rest after it: nobody takes half of it for the whole."""
    assert job.run is not None
    files = RunFiles(Path(job.run.folder))
    last = (files.state.name, files.done.name)
    for name in sorted(kept.files, key=lambda name: (name in last, name)):
        write_bytes(files.root / name, kept.files[name])
    if kept.is_done:
        StateFiles(files, job.run.digest).remove()
