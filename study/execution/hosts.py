"""The hosts of a cluster's machines that work for one executor: started, compared, lost and replaced."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.errors import StudyError
from study.execution.host import About, Begun, Command, Host, HostEvent, about
from study.execution.installation import Installation
from study.execution.jobs import Job
from study.execution.line import connect, converse
from study.execution.memory import as_arrays
from study.execution.nodes import Node, unlike
from study.execution.ray_address import Cluster, Kind, Place
from study.records.ledger import kind_of
from study.training.loop import TrainingData

_LOOK_SECONDS = 2.0  # between looks for machines that came
_START_SECONDS = 60.0  # that a command waits for machines that were there when it began, once it has a worker
_TURN_SECONDS = 0.2
_MAX_REPLACED = 3  # hosts of a machine, without one job that ended between: then it is left alone
_ONLY_THE_HOST = "worker process has died"  # as Ray says where the machine is still there
_DEATHS = ray.exceptions.RayActorError
_FULL = (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError)
_WHY_FULL = (
    "the training data do not fit into Ray's object store there, and its disk is full, too: start Ray there with a "
    "larger --object-store-memory, or free space on the disk of its temporary folder"
)


@dataclass(eq=False)
class Remote:
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
    outbox: queue.SimpleQueue[Command | None] = field(default_factory=queue.SimpleQueue)  # None ends whoever sends it
    lost: str | None = None

    @property
    def title(self) -> str:
        return f"{self.place.name} ({self.place.address})"

    @property
    def n_idle(self) -> int:
        return self.n_workers - len(self.jobs)

    def as_node(self) -> Node:
        assert self.about is not None
        workers = tuple(range(self.first, self.first + self.n_workers))
        return Node(self.place.name, self.place.address, workers, self.about.cpu, self.about.gpus, self.lost)

    def end(self) -> None:
        self.outbox.put(None)
        with contextlib.suppress(Exception):  # it may be gone, and the cluster with it
            ray.kill(self.actor)


Then = Callable[[Remote, Any], None]
Hear = Callable[[Remote, HostEvent], None]


class Hosts:
    """A host on every machine of a cluster that has free cores, with as many workers, `limit` in all at most. Where
    `device` is `cuda`, on every machine that has free GPUs, too: a host has all of them, and no more workers than fit.

    They begin at once, and have workers after `start`. What happens on them arrives in `wait` alone, so that whoever
    has them needs no lock. A host that was killed is replaced while its machine is there.
    """

    def __init__(self, cluster: Cluster, limit: int | None, device: str) -> None:
        self._cluster = cluster
        self._limit = limit
        self._only_kind: str | None = None
        self._kind: Kind = "GPU" if device == "cuda" else "CPU"
        self._device = device
        self._arrived: queue.SimpleQueue[tuple[Remote, Then, Any]] = queue.SimpleQueue()
        self._hosts: dict[str, Remote] = {}  # by Ray's names of their machines
        self._past: list[Remote] = []  # with workers that are gone
        self._lost: list[Remote] = []  # of these, those that nobody has asked for
        self._refused: dict[str, str] = {}
        self._n_lost: dict[str, int] = {}  # hosts of a machine, since a job ended there
        self._n_numbers = 0
        self._places = cluster.places()
        self.first_room = sum(place.room(self._kind) for place in self._places.values())
        self._closing = threading.Event()
        self._without_worker: float | None = None  # since when
        self._missing: str | None = None  # of Ray, in words
        self._begin_hosts()
        threading.Thread(target=self._keep_looking, daemon=True).start()

    # --- what an executor asks ---------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Remote]:
        """Those with workers, and those that start."""
        return iter(self._hosts.values())

    @property
    def n_workers(self) -> int:
        return sum(host.n_workers for host in self._hosts.values())

    def nodes(self) -> Sequence[Node]:
        hosts = sorted([*self._past, *self._hosts.values()], key=lambda host: host.first)
        return [host.as_node() for host in hosts if host.n_workers]

    def start(self, data: TrainingData, installation: Installation, hear: Hear, *, alike: bool) -> None:
        """Wait for the workers of all machines that are there, or for one worker if that takes long; what the hosts say
        is heard in `wait`. Machines whose installation is another one are left out. Where they are to be `alike`,
        several kinds are a StudyError now, and one of another kind that joins later is left out."""
        self._installation = installation
        self._data = _put(data, self._cluster)
        self._hear = hear
        last = time.monotonic() + _START_SECONDS
        self.grow()
        while not self.n_workers or (self._n_starting and time.monotonic() < last):
            if not self.n_workers and not self._n_starting and self._are_all_refused():
                raise StudyError(f"--cluster {self._cluster.address}: {'; '.join(self._refused.values())}")
            self.grow()
            self.wait(_TURN_SECONDS)
        if alike:
            if (why := unlike(self.nodes())) is not None:
                raise StudyError(f"--cluster {self._cluster.address}: {why}")
            self._only_kind = self.nodes()[0].kind

    def grow(self) -> None:
        """Start a host on every machine with room that has none. StudyError where no worker came in time, or none can
        come."""
        self._begin_hosts()
        self._check_patience()

    def _begin_hosts(self) -> None:
        for node, place in self._places.items():
            room = place.room(self._kind)
            if self._limit is not None:
                room = min(room, self._limit - sum(host.room for host in self._hosts.values()))
            if room > 0 and node not in self._hosts and node not in self._refused:
                self._begin_host(node, place, room)

    def wait(self, seconds: float) -> None:
        """Take what the hosts have said, and what one of them says within `seconds` if they have said nothing."""
        with contextlib.suppress(queue.Empty):
            self._take(*self._arrived.get(timeout=max(0.0, seconds)))
            while True:
                self._take(*self._arrived.get_nowait())

    def _take(self, host: Remote, then: Then, result: Any) -> None:
        if self._hosts.get(host.id) is host:
            self._lose(host, result) if isinstance(result, BaseException) else then(host, result)

    def call(self, host: Remote, then: Then, reference: Any) -> None:
        """Let `then(host, result)` be called in `wait` after the call of a host has ended."""

        def arrive(future: Any) -> None:
            error = future.exception()
            self._arrived.put((host, then, future.result() if error is None else error))

        reference.future().add_done_callback(arrive)

    def take_lost(self) -> list[Remote]:
        """Hosts that were lost since this was asked last, with the jobs that they had."""
        lost, self._lost = self._lost, []
        return lost

    def is_well(self, host: Remote) -> None:
        """A job of it has ended."""
        self._n_lost.pop(host.id, None)

    def close(self) -> None:
        self._closing.set()
        hosts, self._hosts = list(self._hosts.values()), {}
        for host in hosts if self._missing is None else []:  # else they end by themselves
            host.end()

    # --- machines come and go ----------------------------------------------------------------------------------------

    @property
    def _n_starting(self) -> int:
        return sum(not host.n_workers for host in self._hosts.values())

    def _are_all_refused(self) -> bool:
        with_room = {node for node, place in self._places.items() if place.room(self._kind)}
        return bool(self._refused) and self._refused.keys() >= with_room

    def _keep_looking(self) -> None:
        """Where machines come and go; in a thread, since Ray may take a minute to say that it cannot."""
        before = None
        while not self._closing.wait(_LOOK_SECONDS):
            missing = self._cluster.missing()
            self._missing, before = missing and before, missing  # twice in a row
            with contextlib.suppress(Exception):
                if missing is None:
                    self._places = self._cluster.places()

    def _begin_host(self, node: str, place: Place, room: int) -> None:
        there = NodeAffinitySchedulingStrategy(node, soft=False)
        gpus = min(place.n_gpus, room) if self._kind == "GPU" else 0
        actor = ray.remote(num_cpus=room, num_gpus=gpus, max_restarts=0, max_concurrency=3)(Host)
        host = self._hosts[node] = Remote(node, place, actor.options(scheduling_strategy=there).remote(), room)
        self.call(host, self._compare, host.actor.about.remote(self._device))

    def _compare(self, host: Remote, about: About) -> None:
        difference = self._installation.difference(about.installation)
        if difference is not None:
            self._refuse(host, f"is another installation: {difference}; install the same there, or leave it out")
            return
        kind = kind_of(about.cpu, about.gpus)
        if self._only_kind not in (None, kind):
            self._refuse(
                host,
                f"is left out: its kind is {kind}, that of the others {self._only_kind}, and a time "
                "budget needs machines of one kind",
            )
            return
        host.about = about
        if about.fitting is not None:
            host.room = max(1, min(host.room, about.fitting))
        precision = self._installation.precision
        words = self._data, host.room, self._device, precision, host.place.address
        self.call(host, self._connect, host.actor.begin.remote(*words))
        self.call(host, _nothing, host.actor.stay.remote())

    def _connect(self, host: Remote, begun: Begun) -> None:
        """In a thread, since it may take long."""
        threading.Thread(target=self._converse, args=(host, begun), daemon=True).start()

    def _converse(self, host: Remote, begun: Begun) -> None:
        try:
            line = connect(host.place.address, begun.port, begun.key)
            self._arrived.put((host, self._begin, begun.n_workers))
            converse(line, host.outbox, lambda event: self._arrived.put((host, self._hear, event)))
        except Exception as error:  # whatever it is, nothing can be said to this host
            self._arrived.put((host, _nothing, error))

    def _begin(self, host: Remote, n_workers: int) -> None:
        host.first, host.n_workers = self._n_numbers, n_workers
        self._n_numbers += n_workers
        self._cluster.say(f"note: machine {host.title} has {n_workers} {'worker' if n_workers == 1 else 'workers'}")

    def _refuse(self, host: Remote, why: str) -> None:
        text = f"machine {host.title} {why}"
        self._cluster.say(f"note: {text}")
        self._refused[host.id] = text
        self._hosts.pop(host.id, None)
        host.end()

    def _lose(self, host: Remote, error: BaseException) -> None:
        """Its jobs go back to the driver. Where only the host was killed, another one takes its place."""
        if host.about is None or not isinstance(error, _DEATHS):
            host.lost = f"machine {host.title} is lost"
            self._refuse(host, f"cannot work: {_why(error)}")
        else:
            host.lost = f"{'the host on ' if _ONLY_THE_HOST in str(error) else ''}machine {host.title} is lost"
            self._cluster.say(f"note: {host.lost}")
            self._n_lost[host.id] = self._n_lost.get(host.id, 0) + 1
            del self._hosts[host.id]
            host.end()
            if self._n_lost[host.id] > _MAX_REPLACED:
                self._refuse(
                    host, f"is left alone: its host was lost {_MAX_REPLACED + 1} times, and no job ended between"
                )
        self._past.append(host)
        self._lost.append(host)
        self._places = {node: place for node, place in self._places.items() if node != host.id}  # until the next look

    # --- none of them ------------------------------------------------------------------------------------------------

    def _check_patience(self) -> None:
        """What is waited for is said once."""
        if self._missing is not None:
            raise StudyError(
                f"--cluster {self._cluster.address}: {self._missing}; start it, and the same command goes on"
            )
        now = time.monotonic()
        if self.n_workers or any(now - host.began < _START_SECONDS for host in self._hosts.values()):
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


def gpu_machines(cluster: Cluster, ours: Installation) -> Sequence[About]:
    """What the machines with a free GPU say of themselves; of those with another installation only if all have one.
    StudyError where none can say it."""
    asked = []
    for node, place in cluster.places().items():
        if place.room("GPU"):
            there = NodeAffinitySchedulingStrategy(node, soft=False)
            # A process of its own, which leaves no trace on a GPU.
            task = ray.remote(num_cpus=1, num_gpus=place.n_gpus, max_retries=0, max_calls=1)(about)
            asked.append(task.options(scheduling_strategy=there).remote("cuda"))
    found: list[About] = []
    why = "they do not answer"
    for one in ray.wait(asked, num_returns=len(asked), timeout=_START_SECONDS)[0] if asked else []:
        try:
            found.append(ray.get(one))
        except ray.exceptions.RayError as error:
            why = _why(error)
    if not found:
        raise StudyError(f"--cluster {cluster.address}: none of the machines with GPUs can use them: {why}")
    like = replace(ours, precision="fp32")
    return [one for one in found if like.difference(one.installation) is None] or found


def _nothing(host: Remote, result: Any) -> None:
    pass


def _put(data: TrainingData, cluster: Cluster) -> Any:
    """Hand training data to Ray, which keeps it once per machine, as arrays that all processes there map."""
    try:
        return ray.put(as_arrays(data))
    except _FULL:
        raise StudyError(f"--cluster {cluster.address}, this machine: {_WHY_FULL}") from None


def _why(error: BaseException) -> str:
    """In one line, why a machine cannot work."""
    return _WHY_FULL if isinstance(error, _FULL) else f"{type(error).__name__}: {' '.join(str(error).split())[-300:]}"
