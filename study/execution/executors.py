"""Executors: `submit(job)`, `next_event()`, `answer(job, go)`. One over processes, and its twin inside this process.

Both run the same worker loop over the same kind of pipe; they differ in how a worker is started and ended. What loads
torch is loaded where a worker is: the host of a cluster's machine has worker processes, and no torch.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Protocol

from study.execution.jobs import Died, Ended, Event, Finished, Job, Reached, Report
from study.execution.memory import SharedData
from study.execution.nodes import Node, this_node
from study.execution.processes import let_go, start_process
from study.records.run import Precision

if TYPE_CHECKING:
    from study.execution.worker import Work
    from study.training.loop import TrainingData

_END_SECONDS = 3.0


class Executor(Protocol):
    """What the driver needs of whoever trains. Jobs beyond the number of workers wait and can be withdrawn."""

    @property
    def n_workers(self) -> int: ...

    def nodes(self) -> Sequence[Node]:
        """The machines that have or had its workers, in the order in which they came."""

    def submit(self, job: Job) -> None: ...

    def next_event(self, timeout: float | None = None) -> Event | None:
        """The next event, or None after `timeout` seconds."""

    def answer(self, job: Job, go: bool) -> None: ...

    def withdraw(self) -> list[Job]:
        """Take back the jobs that no worker has started."""

    def running(self) -> dict[str, float]:
        """Seconds that each running job has held its worker, by job id."""

    def close(self) -> None: ...


@dataclass
class PipeWorker:
    number: int
    connection: Connection
    end: Callable[[], int | None]
    sentinel: Any = None
    job: Job | None = None
    since: float = 0.0

    @property
    def sources(self) -> list[Any]:
        """What becomes readable when it says something, or ends."""
        return [self.connection] if self.sentinel is None else [self.connection, self.sentinel]


class PipeExecutor:
    """The common part: hand jobs to idle workers, and turn messages and deaths into events."""

    def __init__(self, n_workers: int, start: Callable[[int], PipeWorker], gpus: tuple[str, ...] = ()) -> None:
        self.n_workers = n_workers
        self._node = this_node(n_workers, gpus)
        self._start = start
        self._waiting: deque[Job] = deque()
        self._woken, self._waking = multiprocessing.Pipe(duplex=False)
        # Kept from event to event: to watch hundreds of pipes anew for each took longer than the driver's own work.
        self._watched = selectors.DefaultSelector()
        self._watched.register(self._woken, selectors.EVENT_READ)
        self._workers = [start(number) for number in range(n_workers)]

    def nodes(self) -> Sequence[Node]:
        return [self._node]

    def submit(self, job: Job) -> None:
        self._waiting.append(job)
        self._hand_out()

    def _hand_out(self) -> None:
        for worker in self._workers:
            if worker.job is None and self._waiting:
                worker.job, worker.since = self._waiting.popleft(), time.monotonic()
                for source in worker.sources:
                    self._watched.register(source, selectors.EVENT_READ, worker)
                with contextlib.suppress(OSError):  # its death is reported by next_event
                    worker.connection.send(worker.job)

    def next_event(self, timeout: float | None = None) -> Event | None:
        for key, _ in self._watched.select(timeout):
            if key.data is not None:
                return self._event_of(key.data)
            self._woken.recv_bytes()
        return None

    def wake(self) -> None:
        """Let a thread that waits for the next event go on without one, or the next that would."""
        self._waking.send_bytes(b"")

    def _event_of(self, worker: PipeWorker) -> Event:
        job, held = worker.job, time.monotonic() - worker.since
        assert job is not None
        try:
            # A message sent before a death still counts: look at the pipe first.
            if not worker.connection.poll():
                raise EOFError
            message: Reached | Ended = worker.connection.recv()
        except (EOFError, OSError):
            return self._replace(worker, job, held)
        if isinstance(message, Reached):
            return Report(job, worker.number, message.examples, message.metrics)
        worker.job = None
        self._unwatch(worker)
        self._hand_out()
        return Finished(job, worker.number, held, message.reason, message.outcome)

    def _unwatch(self, worker: PipeWorker) -> None:
        for source in worker.sources:
            self._watched.unregister(source)

    def _replace(self, worker: PipeWorker, job: Job, held: float) -> Died:
        self._unwatch(worker)
        exit_code = worker.end()
        self._workers[self._workers.index(worker)] = self._start(worker.number)
        self._hand_out()
        return Died(job, worker.number, held, exit_code)

    def answer(self, job: Job, go: bool) -> None:
        for worker in self._workers:
            if worker.job is not None and worker.job.id == job.id:
                with contextlib.suppress(OSError):
                    worker.connection.send(go)

    def withdraw(self) -> list[Job]:
        jobs = list(self._waiting)
        self._waiting.clear()
        return jobs

    def running(self) -> dict[str, float]:
        now = time.monotonic()
        return {worker.job.id: now - worker.since for worker in self._workers if worker.job is not None}

    def close(self) -> None:
        """End the workers; a job in flight is lost, and its trial is the driver's to mark."""
        for worker in self._workers:
            if worker.job is None:
                with contextlib.suppress(OSError):
                    worker.connection.send(None)
        for worker in self._workers:
            worker.end()
        self._watched.close()
        self._woken.close()
        self._waking.close()

    def __enter__(self) -> PipeExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ProcessExecutor(PipeExecutor):
    """Workers are processes, kept alive between jobs, with `threads` torch threads each. They take turns in
    `environments`, of which each has one in addition to this process's own: a GPU of several, for example. `gpus` are
    the models of all that they use."""

    def __init__(
        self,
        n_workers: int,
        data: TrainingData | SharedData,
        *,
        device: str = "cpu",
        precision: Precision = "fp32",
        threads: int = 1,
        environments: Sequence[Mapping[str, str]] = ({},),
        gpus: tuple[str, ...] = (),
    ) -> None:
        shared = data if isinstance(data, SharedData) else SharedData.of(data)
        self._arguments = (shared, device, precision, threads)
        self._environments = [dict(environment) for environment in environments]
        super().__init__(n_workers, self._start_process, gpus)

    def _start_process(self, number: int) -> PipeWorker:
        ours, theirs = multiprocessing.Pipe()
        environment = self._environments[number % len(self._environments)]
        process = start_process(_worker_process, (theirs, *self._arguments, environment), f"worker-{number}")
        theirs.close()

        def end() -> int | None:
            # An idle worker has been told and leaves by itself; a busy one is ended.
            process.join(0.0 if worker.job is not None else _END_SECONDS)
            if process.is_alive():
                process.terminate()
                process.join(_END_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()
            ours.close()
            exit_code = process.exitcode
            # A worker whose server was killed counts as dead, and lives: it ends when nobody holds this end of it.
            let_go(process)
            return exit_code

        worker = PipeWorker(number, ours, end, process.sentinel)
        return worker


def _worker_process(*words: Any) -> None:
    from study.execution.worker import worker_process

    worker_process(*words)


class InProcessExecutor(PipeExecutor):
    """Workers are threads of this process: for tests, debugging and stand-ins for `train`."""

    def __init__(self, n_workers: int, work: Work) -> None:
        self._work = work
        super().__init__(n_workers, self._start_thread)

    def _start_thread(self, number: int) -> PipeWorker:
        ours, theirs = multiprocessing.Pipe()
        thread = threading.Thread(target=self._serve, args=(theirs,), name=f"worker-{number}", daemon=True)
        thread.start()

        def end() -> int | None:
            ours.close()
            thread.join(_END_SECONDS)
            return None

        return PipeWorker(number, ours, end)

    def _serve(self, connection: Connection) -> None:
        from study.execution.worker import serve

        with connection:
            serve(connection, self._work)
