"""What runs on each machine of a cluster: worker processes of its own, and what they and the driver say to each other.

A host trains in a folder of its own; what belongs to a run goes to the driver as bytes, which alone writes results. Its
processes load torch, once for all of them, and it loads none itself: it is there sooner, and smaller by that.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import shutil
import signal
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import Any

from study.errors import StudyError
from study.execution.executors import ProcessExecutor
from study.execution.guards import Guard
from study.execution.installation import Installation
from study.execution.jobs import Event, Finished, Job, Report
from study.execution.line import Door
from study.execution.memory import SharedData
from study.execution.nodes import cpu_name
from study.execution.processes import start_process, start_server
from study.interrupts import FOR_THE_DRIVER
from study.records.paths import RunFiles
from study.records.run import Precision, newest_state

_LOOK_SECONDS = 1.0  # how long a new state of a run may wait
Files = Mapping[str, bytes]  # by name


@dataclass(frozen=True, slots=True)
class Submit:
    """Train a job, and go on from the state in `files` if they hold one."""

    job: Job
    files: Files


@dataclass(frozen=True, slots=True)
class Answer:
    job: Job
    go: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """Files of a job's run: all of it if it `is_done`, else a state from which it can go on."""

    job: Job
    files: Files
    is_done: bool


@dataclass(frozen=True, slots=True)
class About:
    """What a machine says of itself before it is given work."""

    installation: Installation
    cpu: str
    process: int
    gpus: tuple[str, ...] = ()  # models
    fitting: int | None = None  # workers for which the memory is enough; None where nobody looked


@dataclass(frozen=True, slots=True)
class Begun:
    """A host's workers are there, and it waits at a port for a driver that knows the key."""

    n_workers: int
    port: int
    key: bytes


def about(device: str) -> About:
    """What this machine is; on `cuda` with the GPUs that Ray gives this process."""
    import torch

    from study.execution.gpus import models_of, room_on

    where = torch.device(device)
    fitting = room_on(where) if where.type == "cuda" else None
    return About(Installation.here(where), cpu_name(), os.getpid(), models_of(where), fitting)


def _tell_about(connection: Connection, device: str) -> None:
    try:
        connection.send(about(device))
    except Exception as error:  # which the driver tells
        connection.send(error)


Command = Submit | Answer
HostEvent = Event | Kept


class Host:
    """The workers of one machine, and a thread that serves them: over a line to the driver commands come and events go.
    Ray starts and ends it, and tells when it is gone."""

    def __init__(self) -> None:
        _steady_signals()
        start_server()
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._scratch = Path(tempfile.mkdtemp(dir=get_temp_dir()))
        # The server of the workers, which removes its folder when its driver is gone, is killed with this process.
        self._guard = Guard('read -r _\nsleep 1\nrm -rf "$1"', get_temp_dir())
        self._services = contextlib.ExitStack()
        self._runs: dict[str, tuple[Job, float]] = {}  # what trains, and when the state of it was written that was sent

    def about(self, device: str) -> About:
        """As a process of its own sees this machine, which leaves no trace on a GPU."""
        ours, theirs = multiprocessing.Pipe()
        process = start_process(_tell_about, (theirs, device), "about")
        theirs.close()
        try:
            found: About | Exception = ours.recv()
        except EOFError:
            found = StudyError("its processes end as soon as they start")
        process.join()
        if isinstance(found, Exception):
            raise found
        self._about = replace(found, process=os.getpid())
        return self._about

    def begin(self, data: Mapping[str, Any], n_workers: int, device: str, precision: Precision, address: str) -> Begun:
        """Start the workers on training data whose tensors are arrays, and wait for the driver at this address."""
        seen, environments = self._views(device)
        self._executor = ProcessExecutor(
            n_workers,
            SharedData(data),
            device=seen,
            precision=precision,
            environments=environments,
            gpus=self._about.gpus,
        )
        door = Door(address)
        threading.Thread(target=self._serve, args=(door,), daemon=True).start()
        return Begun(n_workers, door.port, door.key)

    def stay(self) -> None:
        """Never comes back: Ray tells the driver when it cannot any more."""
        threading.Event().wait()

    def _views(self, device: str) -> tuple[str, Sequence[Mapping[str, str]]]:
        """The device as its workers see it, each of them one GPU alone, and their environments."""
        if device == "cpu":
            return device, ({},)
        import torch

        from study.execution.gpus import in_view
        from study.execution.sharing import shared_gpus

        where = torch.device(device)
        return in_view(where), self._services.enter_context(shared_gpus(where))

    def _serve(self, door: Door) -> None:
        try:
            self._driver = door.let_in()
            threading.Thread(target=self._listen, daemon=True).start()
            while True:
                self._carry_out_all()
                event = self._executor.next_event(_LOOK_SECONDS)
                if event is not None:
                    self._pass_on(event)
                self._send_states()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)  # a machine that cannot serve: the driver sees that it is gone

    def _listen(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._commands.put(self._driver.recv())
                self._executor.wake()
        os._exit(1)  # nobody is left to work for

    def _carry_out_all(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                command = self._commands.get_nowait()
                if isinstance(command, Submit):
                    self._executor.submit(self._at_home(command))
                else:
                    self._executor.answer(command.job, command.go)

    def _at_home(self, command: Submit) -> Job:
        """The job with a folder of this machine for its run."""
        job = command.job
        if job.run is None:
            return job
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        for name, content in command.files.items():
            (folder / name).write_bytes(content)
        job = replace(job, run=replace(job.run, folder=str(folder)))
        self._runs[job.id] = job, _written(folder)
        return job

    def _pass_on(self, event: Event) -> None:
        if not isinstance(event, Report) and event.job.run is not None:
            folder = Path(event.job.run.folder)
            if isinstance(event, Finished) and event.reason is None:
                self._driver.send(Kept(event.job, _files(folder), is_done=True))
            del self._runs[event.job.id]
            shutil.rmtree(folder, ignore_errors=True)
        self._driver.send(event)

    def _send_states(self) -> None:
        for job_id, (job, sent) in list(self._runs.items()):
            assert job.run is not None
            folder = Path(job.run.folder)
            if (written := _written(folder)) > sent and (files := newest_state(RunFiles(folder))):
                self._runs[job_id] = job, written
                self._driver.send(Kept(job, files, is_done=False))


def _steady_signals() -> None:
    """Ctrl-C and its like are for the driver. SIGTERM ends this process: the handler that was set here never runs,
    since the main thread does not come back to Python."""
    for signum in FOR_THE_DRIVER:
        signal.signal(signum, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _written(folder: Path) -> float:
    try:
        return RunFiles(folder).state.stat().st_mtime
    except OSError:
        return 0.0


def _files(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
