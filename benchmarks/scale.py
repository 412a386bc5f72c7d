"""How busy many workers are kept by one driver: the real Search in virtual time.

    python benchmarks/scale.py [--sizes 100 1000 10000] [--workers 16 64 256 1000] [--seconds 1 3 10] [--table]

The real Search (TPE, asha, the bundled CNN space; SQLite and trials.jsonl) over stand-ins for workers whose trials
report five times, better each time, and take so many seconds. It has a budget, which does not end. The clock is
virtual: it goes on by the processor time that the driver spends, by what a disk takes to make a write durable (`FSYNC`,
three times a write), and to the next event where the driver would wait. Workers, pipes and other machines cost nothing
here; a process that draws proposals beside the driver takes its own time. What is shown is the steady state: workers
start at different points of their first trial, which is drawn at random, and the window begins when a quarter of those
has ended. Utilisation is the share of the workers' time in which they train; CPU is the driver's, a trial with five
reports. To measure an earlier commit, put this file into its `benchmarks/`, and name its folder in PYTHONPATH.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import itertools
import os
import shutil
import tempfile
import time
import types
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import driver_cost
import numpy as np
import torch
from _rows import RECORDED, Rows, machine
from _trials import BEST_INVENTED
from optuna.samplers import RandomSampler

from study.execution.jobs import Event, Finished, Job, Outcome, Report, RungMetrics, Validation
from study.execution.nodes import Node
from study.records.paths import StudyFiles
from study.records.trial import TrialRecord, read_trials
from study.search import choosing, driver, turns
from study.search.drawing import Drawing, Terms, answer
from study.search.driver import Limits, Search
from study.search.storage import open_storage, storage_url

FSYNC = 0.0025  # seconds
EXAMPLES = driver_cost.LADDER.examples
_REAL_TIME = time.process_time


class Clock:
    """Virtual seconds: the processor's, and those that are waited."""

    def __init__(self) -> None:
        self._waited = -_REAL_TIME()
        self._given_back = 0.0

    @property
    def now(self) -> float:
        return self._waited + self.cpu

    @property
    def cpu(self) -> float:
        """Processor seconds of the driver."""
        return _REAL_TIME() - self._given_back

    def wait(self, seconds: float) -> None:
        self._waited += max(0.0, seconds)

    def give_back(self, seconds: float) -> None:
        """What another process would have computed."""
        self._given_back += seconds


@dataclass
class Running:
    job: Job
    worker: int
    since: float
    seconds: float  # between its reports
    reached: int = 0
    until: float = 0.0  # the next event


class Workers:
    """An executor whose workers train in virtual time."""

    def __init__(self, clock: Clock, n_workers: int, seconds: float) -> None:
        self.n_workers = n_workers
        self.n_ended = 0
        self._n_begun = 0
        self._clock = clock
        self._seconds = seconds
        self._rng = np.random.default_rng(0)
        self._idle = list(range(n_workers))
        self._waiting: deque[Job] = deque()
        self._jobs: dict[str, Running] = {}
        self._events: list[tuple[float, int, str]] = []
        self._count = itertools.count()
        self._scheduled = 0.0  # seconds of training so far, to their ends

    def nodes(self) -> list[Node]:
        return [Node("invented", "", tuple(range(self.n_workers)), "invented")]

    @property
    def trained(self) -> float:
        """Worker-seconds of training until now."""
        now = self._clock.now
        return self._scheduled - sum(max(0.0, job.until - now) for job in self._jobs.values())

    def submit(self, job: Job) -> None:
        self._waiting.append(job)
        self._hand_out()

    def _hand_out(self) -> None:
        while self._idle and self._waiting:
            job, worker = self._waiting.popleft(), self._idle.pop()
            took = self._seconds * self._rng.uniform(0.9, 1.1)
            self._n_begun += 1
            if self._n_begun <= self.n_workers:  # as if it had begun before
                took *= self._rng.uniform(0.1, 1.0)
            self._jobs[job.id] = Running(job, worker, self._clock.now, took / len(EXAMPLES))
            self._train(self._jobs[job.id])

    def _train(self, running: Running) -> None:
        running.until = self._clock.now + running.seconds
        self._scheduled += running.seconds
        heapq.heappush(self._events, (running.until, next(self._count), running.job.id))

    def next_event(self, timeout: float | None = None) -> Event | None:
        if not self._events or (timeout is not None and self._events[0][0] > self._clock.now + timeout):
            self._clock.wait(timeout or 0.0)
            return None
        at, _, job_id = heapq.heappop(self._events)
        self._clock.wait(at - self._clock.now)
        running = self._jobs[job_id]
        if running.reached < len(EXAMPLES):
            return Report(running.job, running.worker, EXAMPLES[running.reached], self._metrics(running))
        del self._jobs[job_id]
        self._idle.append(running.worker)
        self.n_ended += 1
        self._hand_out()
        outcome = Outcome(100_000, 5_000_000, EXAMPLES[-1] / 20_000)
        return Finished(running.job, running.worker, self._clock.now - running.since, None, outcome)

    def _metrics(self, running: Running) -> RungMetrics:
        accuracy = BEST_INVENTED + 1e-8 * next(self._count)
        seconds = EXAMPLES[running.reached] / 20_000
        return RungMetrics(0.1, 0.01, seconds, Validation(accuracy, 0.03, 0.02, 0.8))

    def answer(self, job: Job, go: bool) -> None:
        assert go
        running = self._jobs[job.id]
        running.reached += 1
        if running.reached < len(EXAMPLES):
            self._train(running)
        else:  # nothing is trained after the last report
            running.until = self._clock.now
            heapq.heappush(self._events, (running.until, next(self._count), job.id))

    def withdraw(self) -> list[Job]:
        jobs, self._waiting = list(self._waiting), deque()
        return jobs

    def running(self) -> dict[str, float]:
        now = self._clock.now
        return {job_id: now - running.since for job_id, running in self._jobs.items()}

    def close(self) -> None: ...


class Beside:
    """A process that draws proposals, in virtual time: what it computes takes none of the driver's."""

    def __init__(self, clock: Clock, terms: Terms) -> None:
        self._clock = clock
        self._drawing = Drawing(terms)
        self._ready = clock.now
        self._answer = b""

    def send_bytes(self, orders: bytes) -> None:
        began, now = _REAL_TIME(), self._clock.now
        self._answer = answer(self._drawing, orders)
        took = _REAL_TIME() - began
        self._clock.give_back(took)
        self._ready = now + took

    def poll(self) -> bool:
        return self._clock.now >= self._ready

    def recv_bytes(self) -> bytes:
        return self._answer

    def close(self) -> None: ...


class Enough(Exception):
    """The window is over."""


def measure(files: StudyFiles, n_workers: int, seconds: float, window: int) -> dict[str, float]:
    """A filled study, searched on by so many workers until a window of `window` trials is over."""
    clock = Clock()
    workers = Workers(clock, n_workers, seconds)
    first = max(3, n_workers // 4)
    marks: list[tuple[int, float, float, float]] = []

    def observe(_: Search, __: TrialRecord | None) -> None:
        if workers.n_ended >= (first, first + window)[len(marks)]:
            marks.append((workers.n_ended, clock.now, clock.cpu, workers.trained))
            if len(marks) == 2:
                raise Enough

    made, asked = choosing.make_sampler, itertools.count()

    def make_sampler(*arguments: Any) -> Any:
        return RandomSampler(seed=0) if next(asked) <= n_workers else made(*arguments)

    write = Search._write

    def writing(search: Search, *arguments: Any) -> Any:
        clock.wait(3 * FSYNC)
        return write(search, *arguments)

    virtual = types.SimpleNamespace(monotonic=lambda: clock.now)
    storage = open_storage(storage_url(files, None))
    with (
        mock.patch.object(choosing, "make_sampler", make_sampler),
        mock.patch.object(driver, "time", virtual),
        mock.patch.object(turns, "time", virtual),
        mock.patch.object(driver, "start_drawing", lambda terms: Beside(clock, terms)),
        mock.patch.object(Search, "_write", writing),
    ):
        search = Search(files, driver_cost.make_settings(), storage, read_trials(files.trials_jsonl))
        with contextlib.suppress(Enough):
            search.run(workers, Limits(allowance=1e9), observe)
    storage.engine.dispose()
    (n0, began, cpu0, trained0), (n1, ended, cpu1, trained1) = marks
    return {
        "utilisation": round((trained1 - trained0) / (n_workers * (ended - began)), 3),
        "trials_per_second": round((n1 - n0) / (ended - began), 2),
        "cpu_ms": round(1000 * (cpu1 - cpu0) / (n1 - n0), 2),
    }


def record(rows: Rows, code: str, cells: list[tuple[int, int, float]], parent: Path) -> None:
    missing = [cell for cell in cells if not rows.has(code, *cell)]
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="scale-", dir=parent) as name:
        filled: dict[int, StudyFiles] = {}
        for size, n_workers, seconds in missing:
            if size not in filled:
                filled[size] = StudyFiles(Path(name) / f"{size}")
                driver_cost.fill(filled[size], driver_cost.make_settings(), size)
            files = StudyFiles(Path(name) / "cell")
            shutil.copytree(filled[size].root, files.root)
            window = max(60, 4 * n_workers)  # a process that draws beside a busy driver begins after three seconds
            row = measure(files, n_workers, seconds, window)
            shutil.rmtree(files.root)
            rows.add(
                {
                    "code": code,
                    "trials": size,
                    "workers": n_workers,
                    "seconds": seconds,
                    **row,
                    "window": window,
                    "machine": machine(),
                    "load": round(os.getloadavg()[0], 1),
                }
            )
            print(code, size, n_workers, seconds, row, flush=True)


def print_table(rows: list[dict[str, Any]]) -> None:
    for code in dict.fromkeys(row["code"] for row in rows):
        ours = [row for row in rows if row["code"] == code]
        print(f"{code}: utilisation, and the driver's CPU in ms a trial; {ours[-1]['machine']}")
        columns = sorted({(row["workers"], row["seconds"]) for row in ours})
        print(f"{'trials':>8}" + "".join(f"{f'{n:g} × {s:g} s':>16}" for n, s in columns))
        for size in sorted({row["trials"] for row in ours}):
            found = {(row["workers"], row["seconds"]): row for row in ours if row["trials"] == size}
            cells = [found.get(column) for column in columns]
            shown = (f"{c['utilisation']:.3f} {c['cpu_ms']:6.1f}" if c else "–" for c in cells)
            print(f"{size:>8,}" + "".join(f"{cell:>16}" for cell in shown))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[16, 64, 256, 1_000])
    parser.add_argument("--seconds", type=float, nargs="+", default=[1.0, 3.0, 10.0])
    parser.add_argument("--code", default="this", help="what to call the code that is measured (default: this)")
    parser.add_argument("--folder", type=Path, default=Path("results"), help="for the studies (default: results)")
    parser.add_argument("--out", type=Path, default=RECORDED / "scale.csv")
    parser.add_argument("--table", action="store_true", help="print what is recorded, measure nothing")
    options = parser.parse_args()
    rows = Rows(options.out, ("code", "trials", "workers", "seconds"))
    if not options.table:
        torch.set_num_threads(1)
        cells = list(itertools.product(options.sizes, options.workers, options.seconds))
        record(rows, options.code, cells, options.folder)
    print_table(rows.all())


if __name__ == "__main__":
    main()
