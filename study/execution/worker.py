"""A worker: receives jobs over a pipe, trains, and asks at every mark whether to go on."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from study.errors import StudyError
from study.execution.jobs import Ended, Job, OnRung, Outcome, Reached, RungMetrics, Validation
from study.execution.memory import SharedData
from study.interrupts import FOR_THE_DRIVER
from study.models import flops_per_image, parameter_count
from study.records.paths import RunFiles
from study.streams import steady_errors
from study.training.checkpoint import save_run
from study.training.config import build_model, training_config
from study.training.loop import Precision, TrainingData, fit
from study.training.state import StateFiles, TrainingState

Work = Callable[[Job, OnRung], Outcome]
# Seconds between two states of a run on disk: what a killed run may have to train again. Writing one took half a second
# on a slow disk, so that every 10 seconds cost a study of short runs 4 % (benchmarks/safety_cost.py).
_STATE_EVERY = 30.0
_STATE_SHARE = 0.01  # of a run's time, at most, goes into its states after the first


class DriverLeftError(Exception):
    """Nobody is left to answer: not the run's failure, and nobody to tell."""


class RunFailedError(Exception):
    """A run's own failure, with what is known of it all the same: how large its model was."""

    def __init__(self, reason: str, outcome: Outcome) -> None:
        super().__init__(reason)
        self.outcome = outcome


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
        try:
            message = Ended(None, work(job, lambda examples, metrics: _ask(connection, Reached(examples, metrics))))
        except DriverLeftError:
            return
        except torch.AcceleratorError:
            raise
        except RunFailedError as error:
            message = Ended(str(error), error.outcome)
        except Exception as error:
            message = Ended(_reason(error), Outcome())
        try:
            connection.send(message)
        except OSError:
            return


def _ask(connection: Connection, message: Reached) -> bool:
    try:
        connection.send(message)
        return bool(connection.recv())
    except (EOFError, OSError):
        raise DriverLeftError from None


def _reason(error: Exception) -> str:
    """One line that a user can act on."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error):
        return "out of memory"
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, StudyError) else f"{type(error).__name__}: {text}"


def train(job: Job, on_rung: OnRung, *, data: TrainingData, precision: Precision) -> Outcome:
    """Build and train the job's model; write the run's folder if it has one. Returns what the record needs."""
    started = time.perf_counter()
    torch.manual_seed(job.seed)
    model = build_model(job.config, data.n_classes).to(data.images.device).to(memory_format=torch.channels_last)
    size = {"n_parameters": parameter_count(model), "flops": flops_per_image(model)}
    history: list[dict[str, Any]] = []
    last: dict[str, Any] = {}
    states = StateFiles(RunFiles(Path(job.run.folder)), job.run.digest) if job.run is not None else None
    resume, saved, pause = None, started, _STATE_EVERY
    if states is not None and (found := states.load()) is not None:
        resume, history = found

    def on_mark(examples: int, metrics: dict[str, Any]) -> bool:
        last.update(metrics)
        logits = metrics.pop("logits", None)
        last["logits"] = logits
        history.append(_history_row(examples, len(data.part(job.part)), metrics))
        return on_rung(examples, _rung_metrics(metrics))

    def on_state(capture: Callable[[], TrainingState]) -> None:
        nonlocal saved, pause
        if states is not None and (began := time.perf_counter()) - saved >= pause:
            states.save(capture(), history)
            saved = time.perf_counter()
            pause = max(_STATE_EVERY, (saved - began) / _STATE_SHARE)

    try:
        fit(
            model,
            data,
            training_config(job.config),
            job.schedule,
            on_mark,
            seed=job.seed,
            part=job.part,
            precision=precision,
            resume=resume,
            on_state=on_state,
        )
    except (DriverLeftError, torch.AcceleratorError):
        raise
    except Exception as error:
        trained = Outcome(**size, training_seconds=last.get("training_seconds", 0.0))
        raise RunFailedError(_reason(error), trained) from error
    training_seconds = last.get("training_seconds", 0.0)
    if job.run is not None:
        seconds = time.perf_counter() - started + (resume.seconds if resume is not None else 0.0)
        metrics = _run_metrics(last) | size | {"training_seconds": training_seconds, "seconds": seconds}
        metrics |= {"examples": history[-1]["examples"], "steps": job.schedule.marks[-1]}
        logits = last["logits"]
        save_run(
            RunFiles(Path(job.run.folder)),
            model,
            run=job.run.record,
            config=job.config,
            history=history,
            metrics=metrics,
            validation=None if logits is None else (logits, data.labels[data.validation].cpu().numpy()),
            digest=job.run.digest,
        )
    if states is not None:
        states.remove()
    return Outcome(**size, training_seconds=training_seconds)


def _rung_metrics(found: dict[str, Any]) -> RungMetrics:
    """Of what `fit` tells at a mark."""
    keys = ("accuracy", "nll", "nll_scaled", "temperature")
    validation = Validation(**{key: found[key] for key in keys}) if "accuracy" in found else None
    return RungMetrics(found["train_loss"], found["learning_rate"], found["training_seconds"], validation)


def _history_row(examples: int, epoch_size: int, metrics: dict[str, Any]) -> dict[str, Any]:
    return {
        "examples": examples,
        "epoch": round(examples / epoch_size, 4),
        "learning_rate": metrics["learning_rate"],
        "train_loss": metrics["train_loss"],
        "validation_loss": metrics.get("nll", ""),
        "validation_accuracy": metrics.get("accuracy", ""),
        "seconds": round(metrics["training_seconds"], 3),
    }


def _run_metrics(last: dict[str, Any]) -> dict[str, Any]:
    keys = ("accuracy", "nll", "nll_scaled", "temperature", "train_loss")
    return {key: last.get(key) for key in keys}


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
    try:
        serve(connection, lambda job, on_rung: train(job, on_rung, data=resident, precision=precision))
    except torch.AcceleratorError as error:
        sys.exit(f"{multiprocessing.current_process().name}: {_reason(error)}")  # its job goes to another worker


def _end_with_driver() -> None:
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)
