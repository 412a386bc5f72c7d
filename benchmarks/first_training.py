"""From `study search` to training workers: wall-clock, processor time and memory until the first ladder is fixed, for
which both default families have trained for a second.

    python benchmarks/first_training.py [--turns 7] [--checkout DIR ...] [--table]

Each turn starts a new study in a temporary folder, waits for its study.toml, and ends it. Several checkouts run in
turn, so that another process's work falls on all alike. The second of training is in all figures. Memory is the
proportional set size of all processes together (Linux).
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from _rows import RECORDED, Rows, machine
from time_to_accuracy import descendants, pss_mib

from study.records.paths import StudyFiles

_POLL_SECONDS = 0.02


def measure(checkout: Path, results: Path) -> dict[str, Any]:
    """One start of a search from the sources in `checkout`. SystemExit if it ends by itself."""
    words = [sys.executable, "-m", "study", "search", "--budget", "60s", "--quiet", "--results", str(results)]
    started = time.perf_counter()
    nothing = subprocess.DEVNULL
    with subprocess.Popen(words, cwd=checkout, stdin=nothing, stdout=nothing, stderr=nothing) as process:
        while not StudyFiles(results / "mnist").exists():
            if process.poll() is not None:
                raise SystemExit(f"the search in {checkout} ended with {process.returncode}")
            time.sleep(_POLL_SECONDS)
        wall = time.perf_counter() - started
        processes = descendants(process.pid)
        row = {"wall_s": wall, "cpu_s": sum(map(cpu_seconds, processes)), "pss_mib": pss_mib(processes)}
        process.send_signal(signal.SIGINT)
    return {name: round(value, 2) for name, value in row.items()}


def cpu_seconds(process: int) -> float:
    times = psutil.Process(process).cpu_times()
    return float(times.user + times.system)


def record(rows: Rows, checkouts: list[Path], turns: int) -> None:
    for turn in range(turns):
        for checkout in checkouts:
            if rows.has(checkout.resolve().name, turn):
                continue
            with tempfile.TemporaryDirectory() as folder:
                row = measure(checkout, Path(folder))
            rows.add({"checkout": checkout.resolve().name, "turn": turn, **row, "machine": machine()})


def print_table(rows: list[dict[str, Any]]) -> None:
    if not rows:
        print("nothing recorded yet")
        return
    print(rows[-1]["machine"])
    print(f"{'checkout':<20}{'turns':>6}{'wall, s':>9}{'from':>7}{'to':>7}{'CPU, s':>8}{'PSS, MiB':>10}")
    for name in dict.fromkeys(row["checkout"] for row in rows):
        group = [row for row in rows if row["checkout"] == name]
        wall, cpu, pss = ([row[column] for row in group] for column in ("wall_s", "cpu_s", "pss_mib"))
        middle = f"{statistics.median(wall):>9.2f}{min(wall):>7.2f}{max(wall):>7.2f}{statistics.median(cpu):>8.2f}"
        print(f"{name:<20}{len(group):>6}{middle}{statistics.median(pss):>10.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--checkout", type=Path, action="append", metavar="DIR", help="default: this one")
    parser.add_argument("--out", type=Path, default=RECORDED / "first_training.csv")
    parser.add_argument("--table", action="store_true", help="print what is recorded, measure nothing")
    options = parser.parse_args()
    rows = Rows(options.out, ("checkout", "turn"))
    if not options.table:
        record(rows, options.checkout or [Path(__file__).parents[1]], options.turns)
    print_table(rows.all())


if __name__ == "__main__":
    main()
