"""What a cluster costs a study on one machine: a trial over `--cluster local` against one of a local worker process,
and the start of a command.

    python benchmarks/cluster_overhead.py [--turns 5] [--trials 25] [--examples 10240] [--starts 5] [--table]

Trials: two executors of one worker each are there at once; each trial (the first warm start of the MLP, five reports
that are answered at once) runs on one and then on the other, the order changing from trial to trial, so that other
work on the machine falls on both alike. Each turn has processes of its own: one is some hundredths faster or slower
than the next all its life, and five turns of the same two took that for a difference. `held` is how long a worker had
it, `outside` what of that was no training, `driver` the processor time of this process; Ray's share is the processor
time of its processes, the host included.

Starts: `study search` of three trials of a tiny MLP, one worker; from the command to the end of its first trial, and to
its own end. A trial takes as long with a cluster as without, so that the differences are what the cluster adds.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from _commands import study_command
from _data import cpu_seconds, precision, warm_configs
from _rows import RECORDED, Rows, machine
from _speed import program_data

from study.execution.executors import Executor, ProcessExecutor
from study.execution.jobs import Finished, Job, Report
from study.execution.joining import joined
from study.records.paths import StudyFiles
from study.records.trial import read_trials
from study.training.schedule import Schedule

FAMILY = "mlp"
EXAMPLES = 10_240  # a trial of half a second
WARMING = 3  # trials before those that count: torch compiles kernels, and memory grows
AIM_SECONDS = 3.0  # more to the first trial
NAMES = ("local", "cluster")
KEY = ("examples", "turn", "trial", "executor")
TINY = """\
family = "mlp"
depth = 1
width = { repeat = "depth", low = 8, high = 16 }
activation = "relu"
normalisation = "none"
dropout = 0.0
optimizer = "adamw"
batch_size = 512
augmentation = "none"
learning_rate = { low = 1e-3, high = 1e-1, log = true }

[[warm_start]]
width = [16]
learning_rate = 1e-2
"""


@contextlib.contextmanager
def both(*, cluster_first: bool) -> Iterator[dict[str, Executor]]:
    """A worker process, and one of a new cluster's only machine."""
    data = program_data()
    with contextlib.ExitStack() as stack:
        found: dict[str, Executor] = {}
        for name in NAMES[::-1] if cluster_first else NAMES:
            if name == "local":
                found[name] = stack.enter_context(ProcessExecutor(1, data, precision=precision()))
            else:
                cluster = stack.enter_context(joined("local", 1, 60.0, print))
                from study.execution.cluster import ClusterExecutor  # loads Ray

                found[name] = stack.enter_context(ClusterExecutor(cluster, 1, data, precision=precision()))
        yield found


def train(executor: Executor, name: str, examples: int) -> dict[str, float]:
    """One trial from its submission to its end, in milliseconds."""
    config = warm_configs(FAMILY)[0]
    ladder = tuple(examples // share for share in (16, 8, 4, 2, 1))
    began, computed = time.perf_counter(), cpu_seconds()
    executor.submit(Job(name, config, 0, Schedule.rungs(ladder, config["batch_size"])))
    while True:
        event = executor.next_event(1.0)
        if isinstance(event, Report):
            executor.answer(event.job, True)
        elif isinstance(event, Finished):
            assert event.reason is None, event.reason
            assert event.outcome.training_seconds is not None
            spent = {
                "wall_ms": time.perf_counter() - began,
                "held_ms": event.held_seconds,
                "outside_ms": event.held_seconds - event.outcome.training_seconds,
                "driver_ms": cpu_seconds() - computed,
            }
            return {column: round(1000 * seconds, 3) for column, seconds in spent.items()}
        elif event is not None:
            raise SystemExit(f"{event}")


def ray_seconds() -> float:
    """Processor time of Ray's own processes below this one, so far."""
    found = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "forkserver" not in " ".join(process.cmdline()):
                times = process.cpu_times()
                found += times.user + times.system
    return found


def record_trials(rows: Rows, turns: int, n_trials: int, examples: int) -> None:
    missing = [turn for turn in range(turns) if not rows.has(examples, turn, n_trials - 1, "cluster")]
    if not missing:
        return
    for turn in missing:
        with both(cluster_first=turn % 2 == 0) as executors:
            for number in range(WARMING):
                for name in NAMES:
                    train(executors[name], f"warm-{number}", examples)
            began, computed, held = time.perf_counter(), ray_seconds(), 0.0
            found = []
            for trial in range(n_trials):
                for name in NAMES if trial % 2 == 0 else NAMES[::-1]:
                    spent = train(executors[name], f"{turn}-{trial}", examples)
                    held += spent["held_ms"] / 1000
                    found.append({"examples": examples, "turn": turn, "trial": trial, "executor": name, **spent})
            share = (ray_seconds() - computed) / (time.perf_counter() - began)
            for row in found:
                if not rows.has(examples, turn, row["trial"], row["executor"]):
                    rows.add(row | {"ray_share": round(share, 4), "machine": machine()})
            print(f"turn {turn}: {len(found)} trials, {held:.0f} s held", flush=True)


def start(name: str, folder: Path) -> dict[str, float]:
    """Seconds from a command to the end of its first trial, and to its own end."""
    space = folder / "tiny.toml"
    space.write_text(TINY, encoding="utf-8")
    words = [*study_command(), "search", "--space", str(space), "--families", FAMILY, "--single-family", "--quiet"]
    words += ["--n-trials", "2", "--workers", "1", "--device", "cpu", "--results", str(folder)]
    words += ["--cluster", "local"] if name == "cluster" else []
    began = datetime.now(UTC)
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    wall = (datetime.now(UTC) - began).total_seconds()
    if done.returncode != 0:
        raise SystemExit(f"{name}: {done.stderr[-500:]}")
    ends = [record.end for record in read_trials(StudyFiles(folder / "mnist").trials_jsonl) if record.end is not None]
    return {"first_s": round((min(ends) - began).total_seconds(), 3), "wall_s": round(wall, 3)}


def record_starts(rows: Rows, starts: int) -> None:
    for turn in range(starts):
        for name in NAMES if turn % 2 == 0 else NAMES[::-1]:
            if not rows.has(turn, name):
                with tempfile.TemporaryDirectory() as folder:
                    spent = start(name, Path(folder))
                rows.add({"turn": turn, "executor": name, **spent, "machine": machine()})
                print(f"start {turn}, {name}: {spent['first_s']:.1f} s", flush=True)


def differences(rows: list[dict[str, Any]], column: str, key: tuple[str, ...]) -> dict[tuple[Any, ...], float]:
    """What a cluster adds to a column, pair by pair."""
    found: dict[str, dict[tuple[Any, ...], float]] = {name: {} for name in NAMES}
    for row in rows:
        found[row["executor"]][tuple(row[part] for part in key)] = row[column]
    local, cluster = found["local"], found["cluster"]
    return {pair: cluster[pair] - local[pair] for pair in local if pair in cluster}


def print_trials(rows: list[dict[str, Any]]) -> None:
    if not rows:
        print("no trials recorded yet")
        return
    print(f"{rows[-1]['machine']}; trials of {rows[-1]['examples']:,} examples")
    print(f"{'ms a trial':<12}{'local':>10}{'cluster':>10}{'more':>10} ± standard error, by turn")
    for column in ("wall_ms", "held_ms", "outside_ms", "driver_ms"):
        medians = [statistics.median(row[column] for row in rows if row["executor"] == name) for name in NAMES]
        pairs = differences(rows, column, ("turn", "trial"))
        turns = sorted({turn for turn, _ in pairs})
        by_turn = [statistics.median(more for (one, _), more in pairs.items() if one == turn) for turn in turns]
        cells = "".join(f"{value:>10.1f}" for value in medians)
        told = " ".join(f"{value:+.1f}" for value in by_turn)
        error = statistics.stdev(by_turn) / len(by_turn) ** 0.5 if len(by_turn) > 1 else 0.0
        print(f"{column[:-3]:<12}{cells}{statistics.mean(by_turn):>+10.1f} ± {error:<5.1f}{told}")
    print(f"Ray's own processes: {100 * statistics.median(row['ray_share'] for row in rows):.1f} % of a core")


def print_starts(rows: list[dict[str, Any]]) -> None:
    if not rows:
        print("no starts recorded yet")
        return
    print(f"{'seconds to':<16}{'local':>8}{'cluster':>9}{'more, median':>14}   by turn (aim: {AIM_SECONDS:.0f} more)")
    for column, title in (("first_s", "its first trial"), ("wall_s", "its end")):
        medians = [statistics.median(row[column] for row in rows if row["executor"] == name) for name in NAMES]
        pairs = differences(rows, column, ("turn",))
        told = " ".join(f"{value:+.1f}" for value in pairs.values())
        print(f"{title:<16}{medians[0]:>8.1f}{medians[1]:>9.1f}{statistics.median(pairs.values()):>+14.1f}   {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--trials", type=int, default=25, help="trials of each executor in a turn (default: 25)")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="of a trial, half a second by default")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RECORDED / "cluster_overhead.csv")
    parser.add_argument("--out-starts", type=Path, default=RECORDED / "cluster_start.csv")
    parser.add_argument("--table", action="store_true", help="print what is recorded, measure nothing")
    options = parser.parse_args()
    trials, starts = Rows(options.out, KEY), Rows(options.out_starts, ("turn", "executor"))
    if not options.table:
        record_starts(starts, options.starts)
        record_trials(trials, options.turns, options.trials, options.examples)
    for examples in sorted({row["examples"] for row in trials.all()}):
        print_trials([row for row in trials.all() if row["examples"] == examples])
    print_starts(starts.all())


if __name__ == "__main__":
    main()
