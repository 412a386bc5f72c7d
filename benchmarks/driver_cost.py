"""What the driver spends on a trial with five reports, recorded durably, at 100, 1,000 and 10,000 trials already there.

    python benchmarks/driver_cost.py [--sizes 100 1000 10000] [--repeats 3] [--trials 30] [--table]

The real Search (TPE, asha, the bundled CNN space; SQLite and trials.jsonl, both synced) over an InProcessExecutor with
one worker, whose stand-in for training reports at once and better than any trial before, so that each of its trials
reaches the fifth rung. The trials that are there already are invented, with five reports each. Wall and CPU are of the
whole process over `--trials` trials, divided by their number; the parts (asking, reports with pruning, telling) are
wall, telling includes the line in trials.jsonl. `worker waits` is how long a worker waits at a report for the answer.
`first trial` is from opening storage and trials.jsonl to the moment at which a worker has a job, without imports and
without the data. `note` is what the dashboard's note and figure cost each time; a search writes them every 15 s.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from _data import cpu_seconds, default_space
from _rows import RECORDED, Rows, machine
from _trials import BEST_INVENTED, append_records, invent, store

from study.dashboard.publisher import Publisher
from study.execution.executors import InProcessExecutor
from study.execution.jobs import Job, OnRung, Outcome, RungMetrics, Validation
from study.records.paths import StudyFiles
from study.records.settings import (
    SAMPLER_WINDOW,
    DatasetSettings,
    FamilySettings,
    Ladder,
    RetrainSettings,
    StudySettings,
)
from study.records.trial import TrialRecord, read_trials
from study.search import driver
from study.search.driver import Search
from study.search.storage import open_storage, open_study, storage_url
from study.search.turns import Limits
from study.space.bundled import bundled_spaces

FAMILY = "cnn"
LADDER = Ladder(examples=(1_235, 3_704, 11_111, 33_333, 100_000), reduction_factor=3)
AIM = 150.0  # ms a trial, up to 1,000 trials
BEFORE, AFTER = 3, 2  # trials around the window: opening is over, and the driver still asks ahead
# A part that a later driver has no more of is left out of the table.
PARTS = {
    "ask_ms": (Search, "_ask"),
    "report_ms": (Search, "_report"),
    "tell_ms": (Search, "_tell"),
    "jsonl_ms": (driver, "append_trials"),
}


def make_settings() -> StudySettings:
    dataset = DatasetSettings(
        name="none",
        classes=tuple("0123456789"),
        sha256={},
        n_train=50_000,
        n_validation=10_000,
        split_seed=0,
        split_sha256="0" * 64,
        mean=0.13,
        std=0.31,
    )
    path = bundled_spaces()[FAMILY]
    return StudySettings(
        name="driver-cost",
        created="2026-01-01T00:00:00+00:00",
        seed=0,
        sampler="tpe",
        sampler_window=SAMPLER_WINDOW,
        pruner="asha",
        warm_starts=0,
        dataset=dataset,
        retrain=RetrainSettings(),
        families={FAMILY: FamilySettings(space_file=path.name, space=path.read_text(encoding="utf-8"), ladder=LADDER)},
        versions={},
    )


def fill(files: StudyFiles, settings: StudySettings, size: int) -> None:
    """A study with `size` finished trials, in the database and in trials.jsonl."""
    files.root.mkdir(parents=True)
    name, url = f"{settings.name}/{FAMILY}", storage_url(files, None)
    open_study(open_storage(url), name, "accuracy", "maximize")
    trials = list(invent(default_space(FAMILY), LADDER, range(size), seed=0, halved=False))
    store(url, name, trials)
    append_records(files.trials_jsonl, trials, FAMILY, settings.format_version)


class Clock:
    """Wall time spent in each part, CPU time and reports so far."""

    def __init__(self) -> None:
        self.parts: defaultdict[str, float] = defaultdict(float)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for part, (owner, name) in PARTS.items():
                if hasattr(owner, name):
                    self.parts[part] = 0.0
                    stack.enter_context(mock.patch.object(owner, name, self._timed(part, getattr(owner, name))))
            yield

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self.parts[part] += time.perf_counter() - began

        return timed

    def read(self) -> dict[str, float]:
        return {"wall_ms": time.perf_counter(), "cpu_ms": cpu_seconds(), **self.parts}


class StandIn:
    """Reports at every rung at once, a little better each time; notes what the clock showed when each trial began, and
    how long it waited."""

    def __init__(self, clock: Clock) -> None:
        self.began: list[float] = []
        self.shown: list[dict[str, float]] = []
        self.waits: list[float] = []
        self._clock = clock
        self._count = itertools.count(1)

    def __call__(self, job: Job, on_rung: OnRung) -> Outcome:
        self.began.append(time.perf_counter())
        self.shown.append(self._clock.read())
        value = BEST_INVENTED + 1e-6 * next(self._count)
        for examples in LADDER.examples:
            metrics = RungMetrics(0.1, 0.01, examples / 20_000, Validation(value, 0.03, 0.02, 0.8))
            asked = time.perf_counter()
            going_on = on_rung(examples, metrics)
            self.waits.append(time.perf_counter() - asked)
            if not going_on:
                raise AssertionError(f"the best trial so far was stopped at {examples} examples")
        return Outcome(100_000, 5_000_000, LADDER.examples[-1] / 20_000)


def measure(files: StudyFiles, settings: StudySettings, size: int, n_trials: int) -> dict[str, Any]:
    """Open a filled study as a search does, run some trials, and time the window of `n_trials` among them."""
    clock = Clock()
    work = StandIn(clock)

    def observe(_: Search, record: TrialRecord | None) -> None:
        assert record is None or record.state == "COMPLETE", record

    with InProcessExecutor(1, work) as executor, clock.running():
        opened = time.perf_counter()
        storage = open_storage(storage_url(files, None))
        search = Search(files, settings, storage, read_trials(files.trials_jsonl))
        search.run(executor, Limits(n_trials=size + BEFORE + n_trials + AFTER), observe)
    began = time.perf_counter()
    Publisher(files).publish(search, "searching")
    note = time.perf_counter() - began
    first, last = work.shown[BEFORE], work.shown[BEFORE + n_trials]
    waits = work.waits[BEFORE * len(LADDER.examples) : (BEFORE + n_trials) * len(LADDER.examples)]
    spent = {name: 1000 * (last[name] - first[name]) / n_trials for name in first}
    return {
        **{name: round(spent[name], 2) if name in spent else None for name in ("wall_ms", "cpu_ms", *PARTS)},
        "worker_waits_ms": round(1000 * statistics.median(waits), 2),
        "first_trial_s": round(work.began[0] - opened, 3),
        "note_ms": round(1000 * note, 1),
    }


def fsync_ms(folder: Path) -> float:
    """What this disk takes to make a line durable: it decides much of the rest."""
    took = []
    with tempfile.TemporaryFile(dir=folder) as stream:
        for _ in range(20):
            stream.write(b"x" * 3000)
            began = time.perf_counter()
            stream.flush()
            os.fsync(stream.fileno())
            took.append(time.perf_counter() - began)
    return round(1000 * statistics.median(took), 3)


def record(rows: Rows, sizes: list[int], repeats: int, n_trials: int, parent: Path) -> None:
    settings = make_settings()
    missing = {size: [turn for turn in range(repeats) if not rows.has(size, turn)] for size in sorted(sizes)}
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="driver-cost-", dir=parent) as name:
        folder = Path(name)
        if any(missing.values()):  # what is imported and compiled at first use is no cost of a trial
            fill(StudyFiles(folder / "warm"), settings, 20)
            measure(StudyFiles(folder / "warm"), settings, 20, 1)
        for size, turns in missing.items():
            if turns:
                fill(StudyFiles(folder / f"{size}"), settings, size)
            for turn in turns:
                files = StudyFiles(folder / f"{size}-{turn}")
                shutil.copytree(folder / f"{size}", files.root)
                row = {"trials": size, "turn": turn, **measure(files, settings, size, n_trials)}
                rows.add(row | {"fsync_ms": fsync_ms(folder), "window": n_trials, "machine": machine()})
                print(f"{size} trials, turn {turn}: {row['wall_ms']:.0f} ms a trial", flush=True)


COLUMNS = {
    "wall_ms": "wall",
    "cpu_ms": "CPU",
    "ask_ms": "ask",
    "report_ms": "5 reports",
    "tell_ms": "tell",
    "jsonl_ms": "of it jsonl",
    "worker_waits_ms": "worker waits",
    "note_ms": "note",
}


def print_table(rows: list[dict[str, Any]]) -> None:
    if not rows:
        print("nothing recorded yet")
        return
    print(f"{rows[-1]['machine']}; one fsync {statistics.median(row['fsync_ms'] for row in rows):.2f} ms")
    print(f"ms a trial with five reports: median over turns, range of wall; aim: {AIM:.0f} ms up to 1,000 trials")
    heads = "".join(f"{head:>14}" for head in COLUMNS.values())
    print(f"{'trials':>8}{'turns':>6}{heads}{'first trial, s':>16}   wall from to")
    for size in sorted({row["trials"] for row in rows}):
        group = [row for row in rows if row["trials"] == size]
        cells = "".join(f"{_median(group, column):>14}" for column in COLUMNS)
        walls = [row["wall_ms"] for row in group]
        first = _median(group, "first_trial_s", 2)
        print(f"{size:>8,}{len(group):>6}{cells}{first:>16}   {min(walls):.0f} to {max(walls):.0f}")


def _median(group: list[dict[str, Any]], column: str, digits: int = 1) -> str:
    values = [row[column] for row in group if row[column] is not None]
    return f"{statistics.median(values):.{digits}f}" if values else "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trials", type=int, default=30, help="trials that are timed (default: 30)")
    parser.add_argument(
        "--folder", type=Path, default=Path("results"), help="on the disk to measure (default: results)"
    )
    parser.add_argument("--out", type=Path, default=RECORDED / "driver_cost.csv")
    parser.add_argument("--table", action="store_true", help="print what is recorded, measure nothing")
    options = parser.parse_args()
    rows = Rows(options.out, ("trials", "turn"))
    if not options.table:
        torch.set_num_threads(1)
        record(rows, options.sizes, options.repeats, options.trials, options.folder)
    print_table(rows.all())


if __name__ == "__main__":
    main()
