"""An executor over the machines of a Ray cluster: on each of them a host, with worker processes of its own.

Ray starts the hosts, hands each the training data once, carries messages, and tells when a machine is gone. Between
the driver and a host go batches: one call tells a host what is new and returns when something has happened there.
A machine that is cut from the network counts as lost once Ray says so, after a minute unless its head is told otherwise
(RAY_health_check_period_ms and its like).
"""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ray
import torch
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.errors import StudyError
from study.execution.host import About, Answer, Command, Host, HostEvent, Kept, Submit
from study.execution.installation import Installation
from study.execution.jobs import Died, Event, Finished, Job, Report
from study.execution.nodes import Node, unlike
from study.execution.ray_address import Cluster, Kind, Place
from study.records.files import write_bytes
from study.records.ledger import kind_of
from study.records.paths import RunFiles
from study.records.run import Precision
from study.training.loop import TrainingData
from study.training.state import StateFiles, newest_state

_LOOK_SECONDS = 2.0  # between looks for machines that came
_START_SECONDS = 60.0  # that a command waits for machines that were there when it began, once it has a worker
_TURN_SECONDS = 0.2
_END_SECONDS = 5.0
_MAX_ENDS = 3  # of a machine's hosts, without one job that ended between: the machine is left alone


@dataclass(eq=False)
class _Remote:
    """A host as the driver sees it. `first` is the number of its first worker; it has workers once they are there."""

    id: str
    place: Place
    actor: Any
    room: int
    began: float = field(default_factory=time.monotonic)
    first: int = 0
    n_workers: int = 0
    about: About | None = None
    jobs: dict[str, tuple[Job, float]] = field(default_factory=dict)  # with the time at which each was handed out
    outbox: list[Command] = field(default_factory=list)
    is_polled: bool = False  # a call waits there for events
    lost: str | None = None

    @property
    def title(self) -> str:
        return f"{self.place.name} ({self.place.address})"

    @property
    def workers(self) -> tuple[int, ...]:
        return tuple(range(self.first, self.first + self.n_workers))


class ClusterExecutor:
    """As many workers as the machines of a cluster have free cores, `limit` at most; machines that join later bring
    theirs, and those that leave take them. What a lost machine had is reported as `Died`, with that as the cause.

    Where they are to be `alike`, machines of several kinds are a StudyError at first, and one of another kind that
    joins later is left out."""

    def __init__(
        self,
        cluster: Cluster,
        limit: int | None,
        data: TrainingData,
        *,
        precision: Precision = "fp32",
        alike: bool = False,
    ) -> None:
        self._cluster = cluster
        self._alike = alike
        self._only_kind: str | None = None
        self._limit = limit
        self._kind: Kind = "CPU"
        self._device = "cpu"
        self._installation = replace(Installation.here(torch.device("cpu")), precision=precision)
        self._data = ray.put(_with_arrays(data))
        self._arrived: queue.SimpleQueue[tuple[_Remote, Callable[[_Remote, Any], None], Any]] = queue.SimpleQueue()
        self._events: deque[Event] = deque()
        self._waiting: deque[Job] = deque()
        self._hosts: dict[str, _Remote] = {}
        self._past: list[_Remote] = []  # hosts with workers that are gone
        self._refused: dict[str, str] = {}
        self._ends: dict[str, int] = {}
        self._n_numbers = 0
        self._places = cluster.places()
        self._closing = threading.Event()
        self._without_worker: float | None = None  # since when
        self._missing: str | None = None  # of Ray, in words
        threading.Thread(target=self._keep_looking, daemon=True).start()
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    # --- machines come and go ----------------------------------------------------------------------------------------

    @property
    def n_workers(self) -> int:
        """At least 1: where there is none now, what is submitted waits for one."""
        return max(1, self._n_there)

    @property
    def _n_there(self) -> int:
        return sum(host.n_workers for host in self._hosts.values())

    def nodes(self) -> Sequence[Node]:
        hosts = sorted([*self._past, *self._hosts.values()], key=lambda host: host.first)
        return [
            Node(host.place.name, host.place.address, host.workers, host.about.cpu, lost=host.lost)
            for host in hosts
            if host.n_workers and host.about is not None
        ]

    def _start(self) -> None:
        """Wait for the workers of all machines that are there, or for one worker if that takes long."""
        last = time.monotonic() + _START_SECONDS
        self._grow()
        while not self._n_there or (self._n_starting and time.monotonic() < last):
            if (
                self._refused
                and not self._n_there
                and not self._n_starting
                and self._refused.keys() >= self._with_room()
            ):
                raise StudyError(f"--cluster {self._cluster.address}: {'; '.join(self._refused.values())}")
            self._turn(_TURN_SECONDS)
        if self._alike:
            if (why := unlike(self.nodes())) is not None:
                raise StudyError(f"--cluster {self._cluster.address}: {why}")
            self._only_kind = self.nodes()[0].kind

    @property
    def _n_starting(self) -> int:
        return sum(not host.n_workers for host in self._hosts.values())

    def _with_room(self) -> set[str]:
        return {node for node, place in self._places.items() if place.room(self._kind)}

    def _keep_looking(self) -> None:
        """Where machines come and go; in a thread, since Ray may take a minute to say that it cannot."""
        before = None
        while not self._closing.wait(_LOOK_SECONDS):
            missing = self._cluster.missing()
            self._missing, before = missing and before, missing  # twice in a row
            with contextlib.suppress(Exception):
                if missing is None:
                    self._places = self._cluster.places()

    def _grow(self) -> None:
        """Start a host on every machine with free cores that has none."""
        for node, place in self._places.items():
            room = place.room(self._kind)
            if self._limit is not None:
                room = min(room, self._limit - sum(host.room for host in self._hosts.values()))
            if room < 1 or node in self._hosts or node in self._refused:
                continue
            there = NodeAffinitySchedulingStrategy(node, soft=False)
            actor = ray.remote(num_cpus=room, max_restarts=0, max_concurrency=3)(Host)
            host = _Remote(node, place, actor.options(scheduling_strategy=there).remote(), room)
            self._hosts[node] = host
            self._call(host, self._compare, host.actor.about.remote(self._device))

    def _call(self, host: _Remote, then: Callable[[_Remote, Any], None], reference: Any) -> None:
        """Let `then(host, result)` be called at a turn after the call of a host has ended."""

        def arrive(future: Any) -> None:
            error = future.exception()
            self._arrived.put((host, then, future.result() if error is None else error))

        reference.future().add_done_callback(arrive)

    def _compare(self, host: _Remote, about: About) -> None:
        difference = self._installation.difference(about.installation)
        if difference is not None:
            self._refuse(host, f"is another installation: {difference}; install the same there, or leave it out")
            return
        kind = kind_of(about.cpu, ())
        if self._only_kind not in (None, kind):
            self._refuse(
                host,
                f"is left out: its kind is {kind}, that of the others {self._only_kind}, and a time "
                "budget needs machines of one kind",
            )
            return
        host.about = about
        precision = self._installation.precision
        self._call(host, self._begin, host.actor.begin.remote(self._data, host.room, self._device, precision))

    def _begin(self, host: _Remote, n_workers: int) -> None:
        host.first, host.n_workers = self._n_numbers, n_workers
        self._n_numbers += n_workers
        self._cluster.say(f"note: machine {host.title} has {n_workers} {'worker' if n_workers == 1 else 'workers'}")
        self._hand_out()

    def _refuse(self, host: _Remote, why: str) -> None:
        text = f"machine {host.title} {why}"
        self._cluster.say(f"note: {text}")
        self._refused[host.id] = text
        del self._hosts[host.id]
        _end(host)

    def _lose(self, host: _Remote, error: BaseException) -> None:
        """Its jobs go back to the driver. A machine that is there still gets another host, unless it loses all."""
        host.lost = f"machine {host.title} is lost"
        if host.about is None or not isinstance(error, ray.exceptions.RayActorError):
            self._refuse(host, f"cannot work: {type(error).__name__}: {' '.join(str(error).split())[-300:]}")
        else:
            del self._hosts[host.id]
            _end(host)
            self._ends[host.id] = self._ends.get(host.id, 0) + 1
            if self._ends[host.id] >= _MAX_ENDS:
                self._refused[host.id] = f"machine {host.title} lost its workers {_MAX_ENDS} times"
            self._cluster.say(f"note: {host.lost}")
        self._past.append(host)
        self._places = {node: place for node, place in self._places.items() if node != host.id}  # until the next look
        now = time.monotonic()
        for job, since in host.jobs.values():
            self._events.append(Died(job, host.first, now - since, None, host.lost))

    def _check_patience(self) -> None:
        """StudyError where no worker came in time, or none can come; what is waited for is said once."""
        if self._missing is not None:
            raise StudyError(
                f"--cluster {self._cluster.address}: {self._missing}; start it, and the same command goes on"
            )
        now = time.monotonic()
        if self._n_there or any(now - host.began < _START_SECONDS for host in self._hosts.values()):
            self._without_worker = None
        elif self._without_worker is None:
            self._without_worker = now
            self._cluster.say(f"note: {self._why_none()}; {self._cluster.waits}")
        elif now - self._without_worker > self._cluster.patience:
            raise StudyError(self._cluster.gave_up(self._why_none()))

    def _why_none(self) -> str:
        if self._refused:
            return "; ".join(self._refused.values())
        return self._cluster.why_no_room(len(self._places), self._kind)

    # --- messages ----------------------------------------------------------------------------------------------------

    def _turn(self, seconds: float) -> None:
        """Tell the hosts what is new, and take what one of them says within `seconds`."""
        self._grow()
        self._flush()
        self._check_patience()
        with contextlib.suppress(queue.Empty):
            host, then, result = self._arrived.get(timeout=max(0.0, seconds))
            if self._hosts.get(host.id) is host:
                self._lose(host, result) if isinstance(result, BaseException) else then(host, result)

    def _flush(self) -> None:
        for host in self._hosts.values():
            if host.n_workers and not host.is_polled:
                self._call(host, self._take, host.actor.poll.remote(host.outbox))
                host.is_polled, host.outbox = True, []
            elif host.outbox:
                host.actor.tell.remote(host.outbox)
                host.outbox = []

    def _take(self, host: _Remote, events: Sequence[HostEvent]) -> None:
        host.is_polled = False
        for event in events:
            job, _ = host.jobs[event.job.id]
            if isinstance(event, Kept):
                _keep(job, event)
                continue
            if not isinstance(event, Report):
                del host.jobs[job.id]
            if isinstance(event, Finished):
                self._ends.pop(host.id, None)
            self._events.append(replace(event, job=job, worker=host.first + event.worker))
        self._hand_out()

    def _hand_out(self) -> None:
        """Waiting jobs go to the machines with the most idle workers, in this order."""
        while self._waiting:
            idle = max(self._hosts.values(), key=lambda host: host.n_workers - len(host.jobs), default=None)
            if idle is None or idle.n_workers <= len(idle.jobs):
                return
            job = self._waiting.popleft()
            idle.jobs[job.id] = job, time.monotonic()
            files = newest_state(RunFiles(Path(job.run.folder))) if job.run is not None else {}
            idle.outbox.append(Submit(job, files))

    # --- what every executor does ------------------------------------------------------------------------------------

    def submit(self, job: Job) -> None:
        self._waiting.append(job)
        self._hand_out()

    def next_event(self, timeout: float | None = None) -> Event | None:
        last = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            self._turn(0.0 if self._events else min(_TURN_SECONDS, last - time.monotonic()))
            if self._events:
                return self._events.popleft()
            if time.monotonic() >= last:
                return None

    def answer(self, job: Job, go: bool) -> None:
        for host in self._hosts.values():
            if job.id in host.jobs:
                host.outbox.append(Answer(job, go))

    def withdraw(self) -> list[Job]:
        jobs = list(self._waiting)
        self._waiting.clear()
        return jobs

    def running(self) -> dict[str, float]:
        now = time.monotonic()
        return {id: now - since for host in self._hosts.values() for id, (_, since) in host.jobs.items()}

    def close(self) -> None:
        self._closing.set()
        hosts, self._hosts = list(self._hosts.values()), {}
        for host in hosts if self._missing is None else []:  # else they end by themselves
            _end(host)

    def __enter__(self) -> ClusterExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _end(host: _Remote) -> None:
    with contextlib.suppress(Exception):  # it may be gone, and the cluster with it
        ray.kill(host.actor)


def _with_arrays(data: TrainingData) -> Mapping[str, Any]:
    """Training data as Ray keeps it once per machine: arrays that all processes there map."""
    return {name: x.contiguous().numpy() if isinstance(x, torch.Tensor) else x for name, x in vars(data).items()}


def _keep(job: Job, kept: Kept) -> None:
    """Write what came of a run, what names the rest after it: nobody takes half of it for the whole."""
    assert job.run is not None
    files = RunFiles(Path(job.run.folder))
    last = (files.state.name, files.done.name)
    for name in sorted(kept.files, key=lambda name: (name in last, name)):
        write_bytes(files.root / name, kept.files[name])
    if kept.is_done:
        StateFiles(files, job.run.digest).remove()
