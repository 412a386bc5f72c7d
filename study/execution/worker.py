"""A worker: receives jobs over a pipe, trains, and asks at every mark whether to go on. It trains on until it is told
not to."""

from __future__ import annotations

import gc
import math
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from study.errors import StudyError
from study.execution.jobs import Ended, Job, OnRung, Outcome, Reached, RungMetrics, Validation
from study.execution.memory import SharedData
from study.interrupts import FOR_THE_DRIVER
from study.models import flops_per_image, parameter_count
from study.models.architecture import layers_of
from study.records.paths import RunFiles
from study.records.run import HistoryRow, Layer, Precision, RunMetrics
from study.records.trial import scaled
from study.streams import steady_errors
from study.training.checkpoint import save_run
from study.training.config import build_model, training_config
from study.training.loop import TrainingData, fit
from study.training.schedule import Schedule
from study.training.state import StateFiles, TrainingState
from study.training.tempo import Tempo

_MANY_VALIDATION = 9_000  # images, of which a ninth still tells trials apart
_STATE_SHARE = 0.01  # of a run's time, at most, goes into its states after the first


class DriverLeftError(Exception):
    """Nobody is left to answer: not the run's failure, and nobody to tell."""


class RunFailedError(Exception):
    """A run's own failure, with what is known of it all the same: how large its model was."""

    def __init__(self, reason: str, outcome: Outcome) -> None:
        super().__init__(reason)
        self.outcome = outcome


class Answers:
    """The driver's answers to the reports of a job, of which one at most is still to come. Called it waits for the
    answer, as whoever has nothing to do until then."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._is_due = False
        self._go = True

    def __call__(self, examples: int, metrics: RungMetrics) -> bool:
        return self.tell(examples, metrics) and self.settle()

    def tell(self, examples: int, metrics: RungMetrics) -> bool:
        """Report, unless the answer to the report before, which is waited for, is not to go on."""
        if not self.settle():
            return False
        try:
            self._connection.send(Reached(examples, metrics))
        except OSError:
            raise DriverLeftError from None
        self._is_due = True
        return True

    def goes_on(self) -> bool:
        """Whether nothing else was answered until now."""
        return self.settle() if self._is_due and self._connection.poll() else self._go

    def settle(self) -> bool:
        """Wait for the answer that is still to come."""
        if self._is_due:
            try:
                self._go = bool(self._connection.recv())
            except (EOFError, OSError):
                raise DriverLeftError from None
            self._is_due = False
        return self._go


Work = Callable[[Job, Answers], Outcome]


def serve(connection: Connection, work: Work) -> None:
    """Run jobs until the driver says None or goes away. Every failure of a job becomes its reason.

    Raises AcceleratorError where a GPU has stopped serving this process: every later job would fail with it.
    """
    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            return
        if job is None:
            return
        answers = Answers(connection)
        try:
            message = Ended(None, work(job, answers))
        except DriverLeftError:
            return
        except torch.AcceleratorError:
            raise
        except RunFailedError as error:
            message = Ended(str(error), error.outcome)
        except Exception as error:
            message = Ended(_reason(error), Outcome())
        try:
            answers.settle()  # or it would be taken for the next job
            connection.send(message)
        except (DriverLeftError, OSError):
            return


def _reason(error: Exception) -> str:
    """One line that a user can act on."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error):
        return "out of memory"
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, StudyError) else f"{type(error).__name__}: {text}"


class _Course:
    """What a training has shown so far, and its states on disk if it has a folder: it goes on from the one found."""

    def __init__(self, job: Job, epoch: int, on_rung: OnRung) -> None:
        self._epoch = epoch  # examples
        self._on_rung = on_rung
        self._every = math.inf if job.run is None else job.run.state_seconds
        self._saved, self._pause = time.perf_counter(), self._every
        self._states = StateFiles(RunFiles(Path(job.run.folder)), job.run.digest) if job.run is not None else None
        found = self._states.load() if self._states is not None else None
        self.resume: TrainingState | None = found[0] if found is not None else None
        self.history: list[HistoryRow] = found[1] if found is not None else []
        self.last: RungMetrics | None = None
        self.logits: NDArray[np.float32] | None = None

    @property
    def training_seconds(self) -> float:
        return 0.0 if self.last is None else self.last.training_seconds

    def mark(self, examples: int, found: dict[str, Any]) -> bool:
        """Keep what `fit` tells at a mark, and ask whether to go on; logits stay here."""
        self.logits = found.get("logits")
        self.last = _rung_metrics(found)
        self.history.append(_history_row(examples, self._epoch, self.last))
        return self._on_rung(examples, self.last)

    def save(self, capture: Callable[[], TrainingState]) -> None:
        if self._states is not None and (began := time.perf_counter()) - self._saved >= self._pause:
            self._states.save(capture(), self.history)
            self._saved = time.perf_counter()
            self._pause = max(self._every, (self._saved - began) / _STATE_SHARE)

    def metrics(self, n_parameters: int, flops: int, seconds: float, layers: tuple[Layer, ...]) -> RunMetrics:
        """After the last mark, which is the run's end."""
        assert self.last is not None
        seen = self.last.validation
        return RunMetrics(
            accuracy=None if seen is None else seen.accuracy,
            nll=None if seen is None else seen.nll,
            nll_scaled=None if seen is None else seen.nll_scaled,
            temperature=None if seen is None else seen.temperature,
            train_loss=self.last.train_loss,
            n_parameters=n_parameters,
            flops=flops,
            training_seconds=self.training_seconds,
            seconds=seconds,
            layers=layers,
        )

    def end(self) -> None:
        if self._states is not None:
            self._states.remove()


def train(
    job: Job,
    on_rung: OnRung,
    *,
    data: TrainingData,
    precision: Precision,
    tempo: Tempo | None = None,
    goes_on: Callable[[], bool] = lambda: True,
) -> Outcome:
    """Build and train the job's model; write the run's folder if it has one. Returns what the record needs. It ends
    when `on_rung` or, asked between steps, `goes_on` says so."""
    started = time.perf_counter()
    data = data.holding_out(job.held_out).learning_from(job.images)
    torch.manual_seed(job.seed)
    model = build_model(job.config, data.n_classes).to(data.images.device).to(memory_format=torch.channels_last)
    n_parameters, flops = parameter_count(model), flops_per_image(model)
    course = _Course(job, len(data.part(job.part)), on_rung)
    scale = None
    try:
        schedule, scale = _schedule(job, tempo or Tempo(data, precision), len(data.validation))
        fit(
            model,
            data,
            training_config(job.config),
            schedule,
            course.mark,
            seed=job.seed,
            part=job.part,
            precision=precision,
            resume=course.resume,
            on_state=course.save,
            goes_on=goes_on,
        )
    except (DriverLeftError, torch.AcceleratorError):
        raise
    except Exception as error:
        outcome = Outcome(n_parameters, flops, course.training_seconds, scale)
        raise RunFailedError(_reason(error), outcome) from error
    if job.run is not None:
        before = course.resume.seconds if course.resume is not None else 0.0
        metrics = course.metrics(n_parameters, flops, time.perf_counter() - started + before, layers_of(model))
        labels = data.labels[data.validation].cpu().numpy()
        save_run(
            RunFiles(Path(job.run.folder)),
            model,
            replace(job.run.record, node=socket.gethostname()),
            job.config,
            course.history,
            metrics,
            validation=None if course.logits is None else (course.logits, labels),
            digest=job.run.digest,
        )
    course.end()
    return Outcome(n_parameters, flops, course.training_seconds, scale)


def _schedule(job: Job, tempo: Tempo, n_validation: int) -> tuple[Schedule, float | None]:
    """The job's own, or one of rungs of equal seconds, and how many times the ladder's examples these have."""
    equal = job.equal_seconds
    if equal is None:
        return job.schedule, None
    scale = tempo.scale(job.config, equal.typical)
    many = n_validation >= _MANY_VALIDATION
    return Schedule.rungs(scaled(equal.examples, scale), job.config["batch_size"], least_read=many), scale


def _rung_metrics(found: dict[str, Any]) -> RungMetrics:
    keys = ("accuracy", "nll", "nll_scaled", "temperature")
    validation = Validation(**{key: found[key] for key in keys}) if "accuracy" in found else None
    return RungMetrics(found["train_loss"], found["learning_rate"], found["training_seconds"], validation)


def _history_row(examples: int, epoch: int, seen: RungMetrics) -> HistoryRow:
    validation = seen.validation
    return HistoryRow(
        examples=examples,
        epoch=round(examples / epoch, 4),
        learning_rate=seen.learning_rate,
        train_loss=seen.train_loss,
        validation_loss=None if validation is None else validation.nll,
        validation_accuracy=None if validation is None else validation.accuracy,
        seconds=round(seen.training_seconds, 3),
    )


def worker_process(
    connection: Connection,
    shared: SharedData,
    device: str,
    precision: Precision,
    threads: int,
    environment: dict[str, str],
) -> None:
    """Entry point of a worker process. Ctrl-C reaches the whole process group, and only the driver reacts to it."""
    os.environ.update(environment)  # before the first look at a GPU
    steady_errors()
    for ignored in FOR_THE_DRIVER:
        signal.signal(ignored, signal.SIG_IGN)
    # What was there before the fork is no garbage: looking at it would copy the pages that workers share.
    gc.freeze()
    gc.enable()
    threading.Thread(target=_end_with_driver, daemon=True).start()
    torch.set_num_threads(threads)
    resident = shared.data.to(torch.device(device))
    tempo = Tempo(resident, precision)
    try:
        about: dict[str, Any] = {"data": resident, "precision": precision, "tempo": tempo}
        serve(connection, lambda job, answers: train(job, answers.tell, goes_on=answers.goes_on, **about))
    except torch.AcceleratorError as error:
        sys.exit(f"{multiprocessing.current_process().name}: {_reason(error)}")  # its job goes to another worker


def _end_with_driver() -> None:
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)
