"""Test accuracy that `study run` reaches within a budget, from the cold command to the written report.

    python benchmarks/time_to_accuracy.py [--runs 60:0-4 180:0-4 300:0-4 600:0-2 2400:0-2] [--flags "..."]
        [--other LABEL=STUDY] [--table]

`BUDGET:SEEDS` is seconds and the search seeds to run. Each run is the whole command as a user gives it, one after the
other on an otherwise idle machine, and opens the test split once, as that command does: for a last table, not to choose
by. `--other` is the console script of another version of the program, in an environment of its own: each run of this
one is then followed by one of that one, and the table compares them seed by seed. This script itself reads what the
studies wrote, never an image. A family's accuracy is the mean over final runs and searches; the shipped network's is
that of the reading that it ships with. `report` is when report.html was in place, `end` when the command was back.
Memory is the proportional set size of the command and all its descendants, sampled every 2 s (Linux; elsewhere it is
left out).
"""

from __future__ import annotations

import argparse
import itertools
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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _commands import adopt_orphans, study_command, wait_for_orphans
from _rows import RECORDED, Rows, machine, spread

from study.records.finalists import Finalists, read_finalists
from study.records.last_stage import Shipped, shipped_by
from study.records.ledger import read_ledger
from study.records.paths import StudyFiles
from study.records.predictions import read_logits, read_run_logits
from study.records.shifts import read_shipped
from study.records.trial import read_trials
from study.statistics.logits import accuracy

DEFAULT_RUNS = ("60:0-4", "180:0-4", "300:0-4", "600:0-2", "2400:0-2")
FAMILIES = ("mlp", "cnn")
PAIRS = ("runs", "trials")
THIS = ""  # the program under test, in the column `program`
MEMORY_AIM = 2.5e9 / 2**20  # MiB
_SAMPLE_SECONDS = 2.0


@dataclass(frozen=True)
class Target:
    """Mean test accuracy in %, of the shipped network or of a family's finalists, within seconds, over search seeds."""

    who: str
    accuracy: float
    seconds: int
    search_seeds: int


# On a machine of two cores without AMX.
TARGETS = (
    Target("shipped", 99.42, 60, 5),
    Target("shipped", 99.56, 180, 5),
    Target("shipped", 99.60, 300, 5),
    Target("shipped", 99.62, 600, 3),
    Target("shipped", 99.70, 2400, 3),
    Target("mlp", 99.15, 60, 5),
    Target("mlp", 99.35, 180, 5),
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


def run_study(program: list[str], budget: int, seed: int, flags: list[str], results: Path) -> dict[str, Any]:
    """One `study run`; its row without the key. SystemExit if it wrote no report."""
    name = f"time-{budget}s-seed{seed}"
    files = StudyFiles(results / name)
    if files.exists():
        raise SystemExit(f"{files.root}: there is a study already, and a run must begin cold; move it away")
    words = [*program, "run", "--budget", f"{budget}s", "--seed", str(seed)]
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
    """What the study's finalists and its shipped network read rightly, in %, and where its seconds went."""
    ledger = read_ledger(files.ledger)
    folders = [files, *files.repeats(ledger.n_searches)]
    searches = [read_finalists(one.finalists) for one in folders]
    ships = shipped_by(folders, searches)
    found: dict[str, Any] = {"winner": ships.choice.winner, "shipped_test": _percent(shipped_accuracy(folders, ships))}
    for family in FAMILIES:
        tested = [value for one, its in zip(folders, searches, strict=True) for value in accuracies(one, its, family)]
        results = [result for its in searches if (result := its.of(family)).chosen is not None]
        found |= {
            f"{family}_test": _percent(statistics.fmean(tested)) if tested else None,
            f"{family}_test_sd": _percent(statistics.stdev(tested)) if len(tested) > 1 else None,
            f"{family}_runs": len(tested),
            f"{family}_validation": _percent(statistics.fmean(r.chosen.mean_accuracy for r in results if r.chosen)),
            f"{family}_candidates": sum(len(result.candidates) for result in results),
            f"{family}_examples": round(statistics.fmean(result.examples or 0 for result in results)),
            f"{family}_trials": sum(len(read_trials(one.trials_jsonl).of(family).counted) for one in folders),
        }
    ledgers = [ledger, *(read_ledger(one.ledger) for one in folders[1:])]
    for stage in ("search", "retrain", "evaluate", "examine", "report"):
        found[f"{stage}_stage_s"] = round(sum(one.stages.get(stage, 0.0) for one in ledgers), 3)
    return found | {"utilisation": ledger.utilisation}


def accuracies(files: StudyFiles, found: Finalists, family: str) -> list[float]:
    """Test accuracy of each final run of a family's finalist in one search."""
    labels, logits = read_logits(files.predictions)
    return [accuracy(logits[run], labels) for run in found.of(family).final_runs]


def shipped_accuracy(folders: Sequence[StudyFiles], ships: Shipped) -> float:
    """Of the shipped network with the reading that it ships with."""
    own = read_shipped(folders[0].shipped_predictions)
    if own is not None:
        return accuracy(own.logits, own.labels)
    known = read_run_logits(folders[ships.choice.search], ships.run)
    assert known is not None  # the report of a study that was evaluated is there
    return accuracy(known[1], known[0])


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else round(100 * fraction, 4)


def record(
    rows: Rows, runs: list[tuple[int, int]], flags: list[str], keep: Path | None, programs: Mapping[str, list[str]]
) -> None:
    said = shlex.join(flags)
    for (budget, seed), (label, program) in itertools.product(runs, programs.items()):
        if rows.has(label, budget, seed, said):
            continue
        results = (keep / (label or "this")) if keep else Path(tempfile.mkdtemp(prefix="time-to-accuracy-"))
        try:
            row = run_study(program, budget, seed, flags, results)
        finally:
            if keep is None:
                shutil.rmtree(results)
        rows.add({"program": label, "budget": budget, "seed": seed, "flags": said, **row, "machine": machine()})
        told = f"{row['report_s']} s, {row['winner']}, shipped {row['shipped_test']} %"
        print(f"{label or 'this program'}, budget {budget} s, seed {seed}: {told}", flush=True)


# --- the table -------------------------------------------------------------------------------------------------------


def print_table(rows: list[dict[str, Any]]) -> None:
    if not rows:
        print("nothing recorded yet")
        return
    print(rows[-1]["machine"])
    heads = ["seed", "report, s", "end, s", "winner", "shipped", "CNN test", "MLP test", "CNN val.", "MLP val."]
    heads += ["final runs", "trials", "PSS, MiB", "load", "exit"]
    print(f"{'budget':>7}" + "".join(f"{head:>11}" for head in heads) + "  program, flags")
    for row in sorted(rows, key=lambda row: (row["budget"], str(row["flags"]), row["seed"], str(row["program"]))):
        cells = [row["seed"], f"{row['report_s']:.1f}", f"{row['end_s']:.1f}", row["winner"]]
        cells += [_cell(row["shipped_test"])]
        cells += [_cell(row[f"{family}_{what}"]) for what in ("test", "validation") for family in ("cnn", "mlp")]
        cells += ["/".join(_cell(row[f"{family}_{what}"], 0) for family in ("cnn", "mlp")) for what in PAIRS]
        cells += [_cell(row["peak_pss_mib"], 0), row["load_before"], row["exit"]]
        which = f"{row['program'] or ''} {row['flags'] or ''}".strip()
        print(f"{row['budget']:>7}" + "".join(f"{cell!s:>11}" for cell in cells) + f"  {which}")
    print("final runs and trials: CNN / MLP\n")
    print("Mean test accuracy against the targets, runs without flags:")
    print(f"{'who':<8}{'target, %':>10}{'within, s':>10}   found")
    for target in TARGETS:
        group = [row for row in rows if row["budget"] == target.seconds and not row["flags"]]
        own = [row for row in group if not row["program"]]
        print(f"{target.who:<8}{target.accuracy:>10.2f}{target.seconds:>10}   {verdict(target, own)}")
        for label in sorted({row["program"] for row in group if row["program"]}):
            print(f"{'':<28}   {against(target, label, own, [row for row in group if row['program'] == label])}")
    peaks = [row["peak_pss_mib"] for row in rows if row["peak_pss_mib"] is not None]
    if peaks:
        print(f"largest PSS {max(peaks):.0f} MiB, aim {MEMORY_AIM:.0f} MiB (2.5 GB)")


def verdict(target: Target, rows: list[dict[str, Any]]) -> str:
    """A target in words: the mean over search seeds decides, seconds to the report beside it."""
    values = [value for row in rows if (value := row[f"{target.who}_test"]) is not None]
    if not values:
        return "not measured"
    mean, reached = statistics.fmean(values), sum(value >= target.accuracy for value in values)
    word = "met" if mean >= target.accuracy else f"missed by {target.accuracy - mean:.3f} points"
    slowest = max(row["report_s"] for row in rows)
    late = f", {slowest - target.seconds:.1f} s late" if slowest > target.seconds else ""
    few = "" if len(values) >= target.search_seeds else f"; {target.search_seeds} search seeds are asked for"
    return (
        f"{word}: {spread(values)}, {reached} of {len(values)} search seeds reach it, slowest report {slowest:.1f} s"
        f"{late}{few}"
    )


def against(target: Target, label: str, own: list[dict[str, Any]], others: list[dict[str, Any]]) -> str:
    """The other program in words, and what this one has more, seed by seed."""
    name = f"{target.who}_test"
    theirs = {row["seed"]: row[name] for row in others if row[name] is not None}
    gains = [row[name] - theirs[row["seed"]] for row in own if row["seed"] in theirs and row[name] is not None]
    more = f"; this program has {spread(gains)} points more" if gains else ""
    return f"{label}: {spread(list(theirs.values()))}{more}"


def _cell(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", default=list(DEFAULT_RUNS), metavar="BUDGET:SEEDS")
    parser.add_argument("--flags", default="", help="more flags for `study run`, in quotes")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the studies here (default: thrown away)")
    parser.add_argument("--out", type=Path, default=RECORDED / "time_to_accuracy.csv")
    parser.add_argument("--other", metavar="LABEL=STUDY", help="another program's `study`, run in turn with this one")
    parser.add_argument("--only-other", action="store_true", help="leave this program out")
    parser.add_argument("--table", action="store_true", help="print what is recorded, run nothing")
    options = parser.parse_args()
    rows = Rows(options.out, ("program", "budget", "seed", "flags"))
    label, _, script = (options.other or "").partition("=")
    programs = ({} if options.only_other else {THIS: study_command()}) | ({label: [script]} if script else {})
    if not options.table:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the study under way ends, too
        runs = [run for text in options.runs for run in parse_runs(text)]
        record(rows, runs, shlex.split(options.flags), options.keep, programs)
    print_table(rows.all())


if __name__ == "__main__":
    main()
