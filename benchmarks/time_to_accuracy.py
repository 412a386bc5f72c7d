"""Test accuracy that `study run` reaches within a budget, from the cold command to the written report.

    python benchmarks/time_to_accuracy.py [--runs 60:0-4 180:0-4 300:0-2 360:0-2 2400:0] [--flags "..."] [--table]

`BUDGET:SEEDS` is seconds and the search seeds to run. Each run is the whole command as a user gives it, one after the
other on an otherwise idle machine, and opens the test split once, as that command does: for a last table, not to choose
by. This script itself reads what the studies wrote, never an image. `report` is when report.html was in place, `end`
when the command was back. Memory is the proportional set size of the command and all its descendants, sampled every 2 s
(Linux; elsewhere it is left out).
"""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _commands import adopt_orphans, study_command, wait_for_orphans
from _rows import RECORDED, Rows, machine

from study.records.files import read_json
from study.records.finalists import read_finalists
from study.records.paths import StudyFiles

DEFAULT_RUNS = ("60:0-4", "180:0-4", "300:0-2", "360:0-2", "2400:0")
FAMILIES = ("mlp", "cnn")
PAIRS = ("final_seeds", "trials")
MEMORY_AIM = 2.5e9 / 2**20  # MiB
_SAMPLE_SECONDS = 2.0


@dataclass(frozen=True)
class Target:
    """Mean test accuracy of a finalist, in %, within seconds; `who` is a family or the winner."""

    who: str
    accuracy: float
    seconds: int
    final_seeds: int
    search_seeds: int


TARGETS = (
    Target("winner", 99.0, 60, 1, 5),
    Target("winner", 99.5, 180, 1, 5),
    Target("winner", 99.6, 360, 3, 3),
    Target("winner", 99.7, 2400, 3, 1),
    Target("mlp", 98.7, 60, 1, 1),
    Target("mlp", 99.0, 300, 1, 1),
)


def parse_runs(text: str) -> list[tuple[int, int]]:
    """'180:0-2' or '180:0,4' as (budget, seed) pairs."""
    budget, _, seeds = text.partition(":")
    found = []
    for part in (seeds or "0").split(","):
        low, _, high = part.partition("-")
        found += [(int(budget), seed) for seed in range(int(low), int(high or low) + 1)]
    return found


# --- memory ----------------------------------------------------------------------------------------------------------


def descendants(root: int) -> list[int]:
    """`root` and every process below it."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue  # it ended meanwhile
        children.setdefault(parent, []).append(int(path.parent.name))
    found = [root]
    for process in found:
        found += children.get(process, [])
    return found


def pss_mib(processes: list[int]) -> float:
    total = 0
    for process in processes:
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


# --- one run ---------------------------------------------------------------------------------------------------------


def run_study(budget: int, seed: int, flags: list[str], results: Path) -> dict[str, Any]:
    """One `study run`; its row without the key. SystemExit if it wrote no report."""
    name = f"time-{budget}s-seed{seed}"
    files = StudyFiles(results / name)
    if files.exists():
        raise SystemExit(f"{files.root}: there is a study already, and a run must begin cold; move it away")
    words = [*study_command(), "run", "--budget", f"{budget}s", "--seed", str(seed)]
    words += ["--results", str(results), "--name", name, "--quiet", *flags]
    load = os.getloadavg()[0]
    adopt_orphans()
    cpu_before = _children_seconds()
    with tempfile.TemporaryFile() as said:
        clock, started = time.time(), time.perf_counter()
        own_count = os.environ | {"XDG_STATE_HOME": str(results / "state")}  # of openings, not the user's
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=own_count,
        )
        peak = 0.0
        try:
            while process.poll() is None:
                peak = max(peak, pss_mib(descendants(process.pid)))
                try:
                    process.wait(_SAMPLE_SECONDS)
                except subprocess.TimeoutExpired:
                    continue
        except BaseException:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
        ended = time.perf_counter() - started
        wait_for_orphans()
        said.seek(0)
        output = said.read().decode(errors="replace")
    if not files.report_html.exists():
        raise SystemExit(f"{shlex.join(words)} ended with {process.returncode}: {output[-500:]}")
    return {
        "exit": process.returncode,
        "report_s": round(files.report_html.stat().st_mtime - clock, 2),
        "end_s": round(ended, 2),
        "cpu_s": round(_children_seconds() - cpu_before, 1),
        "peak_pss_mib": round(peak) or None,
        "load_before": round(load, 2),
        **read_study(files),
    }


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def read_study(files: StudyFiles) -> dict[str, Any]:
    """What the study says of its finalists, in %, and where its seconds went."""
    report, ledger, finalists = read_json(files.report_json), read_json(files.ledger), read_finalists(files.finalists)
    found: dict[str, Any] = {"winner": finalists.winner}
    rows = {row["family"]: row for row in report["leaderboard"]["rows"] if row["kind"] == "finalist"}
    trials = report["protocol"]["budget"]["trials"]
    for family in FAMILIES:
        row = rows.get(family, {})
        test = (row.get("test") or {}).get("accuracy", {})
        retrained = finalists.of(family)
        found |= {
            f"{family}_test": _percent(test.get("mean")),
            f"{family}_test_sd": _percent(test.get("seed_sd")),
            f"{family}_final_seeds": row.get("final_seeds"),
            f"{family}_validation": _percent(row.get("validation_mean")),
            f"{family}_candidates": len(retrained.candidates),
            f"{family}_examples": retrained.examples,
            f"{family}_trials": trials.get(family),
        }
    stages = ledger.get("stages", {})
    found |= {f"{stage}_stage_s": stages.get(stage) for stage in ("search", "retrain", "evaluate", "examine", "report")}
    return found | {"utilisation": ledger.get("utilisation")}


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else round(100 * fraction, 4)


def record(rows: Rows, runs: list[tuple[int, int]], flags: list[str], keep: Path | None) -> None:
    said = shlex.join(flags)
    for budget, seed in runs:
        if rows.has(budget, seed, said):
            continue
        results = keep or Path(tempfile.mkdtemp(prefix="time-to-accuracy-"))
        try:
            row = run_study(budget, seed, flags, results)
        finally:
            if keep is None:
                shutil.rmtree(results)
        rows.add({"budget": budget, "seed": seed, "flags": said, **row, "machine": machine()})
        print(f"budget {budget} s, seed {seed}: {row['report_s']} s, winner {row['winner']}", flush=True)


# --- the table -------------------------------------------------------------------------------------------------------


def print_table(rows: list[dict[str, Any]]) -> None:
    if not rows:
        print("nothing recorded yet")
        return
    print(rows[-1]["machine"])
    heads = ["seed", "report, s", "end, s", "winner", "CNN test", "MLP test", "CNN val.", "MLP val."]
    heads += ["final runs", "trials", "PSS, MiB", "load", "exit"]
    print(f"{'budget':>7}" + "".join(f"{head:>11}" for head in heads) + "  flags")
    for row in sorted(rows, key=lambda row: (row["budget"], str(row["flags"]), row["seed"])):
        cells = [row["seed"], f"{row['report_s']:.1f}", f"{row['end_s']:.1f}", row["winner"]]
        cells += [_cell(row[f"{family}_{what}"]) for what in ("test", "validation") for family in ("cnn", "mlp")]
        cells += ["/".join(_cell(row[f"{family}_{what}"], 0) for family in ("cnn", "mlp")) for what in PAIRS]
        cells += [_cell(row["peak_pss_mib"], 0), row["load_before"], row["exit"]]
        print(f"{row['budget']:>7}" + "".join(f"{cell!s:>11}" for cell in cells) + f"  {row['flags'] or ''}")
    print("final runs and trials: CNN / MLP\n")
    print("Mean test accuracy of finalists against the targets, runs without flags:")
    print(f"{'who':<8}{'target, %':>10}{'within, s':>10}   found")
    for target in TARGETS:
        group = [row for row in rows if row["budget"] == target.seconds and not row["flags"]]
        print(f"{target.who:<8}{target.accuracy:>10.1f}{target.seconds:>10}   {verdict(target, group)}")
    peaks = [row["peak_pss_mib"] for row in rows if row["peak_pss_mib"] is not None]
    if peaks:
        print(f"largest PSS {max(peaks):.0f} MiB, aim {MEMORY_AIM:.0f} MiB (2.5 GB)")


def verdict(target: Target, rows: list[dict[str, Any]]) -> str:
    """A target in words: the mean over search seeds decides, seconds to the report beside it."""
    found = [row[f"{row['winner'] if target.who == 'winner' else target.who}_test"] for row in rows]
    values = [value for value in found if value is not None]
    if not values:
        return "not measured"
    mean, reached = statistics.fmean(values), sum(value >= target.accuracy for value in values)
    word = "met" if mean >= target.accuracy else f"missed by {target.accuracy - mean:.3f} points"
    spread = f" (sd {statistics.stdev(values):.3f})" if len(values) > 1 else ""
    slowest = max(row["report_s"] for row in rows)
    late = f", {slowest - target.seconds:.1f} s late" if slowest > target.seconds else ""
    seeds = "/".join(sorted({str(row[f"{family}_final_seeds"]) for row in rows for family in FAMILIES}))
    few = "" if len(values) >= target.search_seeds else f"; {target.search_seeds} search seeds are asked for"
    return (
        f"{word}: {mean:.3f}{spread}, {reached} of {len(values)} search seeds reach it, slowest report {slowest:.1f} s"
        f"{late}, final seeds {seeds} (asked for: {target.final_seeds}){few}"
    )


def _cell(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", default=list(DEFAULT_RUNS), metavar="BUDGET:SEEDS")
    parser.add_argument("--flags", default="", help="more flags for `study run`, in quotes")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the studies here (default: thrown away)")
    parser.add_argument("--out", type=Path, default=RECORDED / "time_to_accuracy.csv")
    parser.add_argument("--table", action="store_true", help="print what is recorded, run nothing")
    options = parser.parse_args()
    rows = Rows(options.out, ("budget", "seed", "flags"))
    if not options.table:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the study under way ends, too
        runs = [run for text in options.runs for run in parse_runs(text)]
        record(rows, runs, shlex.split(options.flags), options.keep)
    print_table(rows.all())


if __name__ == "__main__":
    main()
