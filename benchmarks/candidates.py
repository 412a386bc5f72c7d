"""Which trials a search should hand over: those best after equal examples, or those that expect the least error after
equal seconds, which is what final runs get, if the error goes on falling as in the search, or half as fast.

    python benchmarks/candidates.py [--runs 60:0-4] [--workers 2] [--table]

`BUDGET:SEEDS` as in time_to_accuracy.py. Each line is one `study search` of that budget, from whose trials either rule
chooses as many candidates as that budget pays for, and plans their runs. Candidates are trained under a fresh seed and
the best on validation is the finalist, as in the program; it is trained once more under another seed, whose validation
accuracy is the figure. Trained on the training part; the test split is not read.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from _commands import study_command
from _data import parallel
from _rows import RECORDED, Rows, machine, spread
from _speed import program_data, train_whole
from time_to_accuracy import FAMILIES, parse_runs

from study.records.paths import StudyFiles
from study.records.trial import TrialRecord, Trials, read_trials
from study.retraining.candidates import choose_candidates, error_slope
from study.seeds import derive_seed
from study.stages import plan as planner
from study.training.loop import TrainingData

RULES = {"examples": 0.0, "half": 0.5, "seconds": 1.0}  # share of the error's fall that goes on
Task = tuple[str, int, int, int, dict[str, Any]]  # family, trial, examples, seed, configuration


def search(budget: int, seed: int) -> Trials:
    """Counted trials of one cold search."""
    with tempfile.TemporaryDirectory() as results:
        words = [*study_command(), "search", "--budget", f"{budget}s", "--seed", str(seed), "--results", results]
        subprocess.run([*words, "--name", "one", "--quiet"], check=True, stdout=subprocess.DEVNULL)
        return read_trials(StudyFiles(Path(results) / "one").trials_jsonl).counted


def train(task: Task, data: TrainingData) -> tuple[Task, float]:
    """Validation accuracy in % of one whole run."""
    _, _, examples, seed, config = task
    found = train_whole(config, data, max(1, round(examples / config["batch_size"])), seed)
    return task, 100 * found["accuracy"]


def plan(records: Trials, budget: int, *, speed_share: float) -> dict[str, list[tuple[TrialRecord, int]]]:
    """By family, each candidate with the examples of its runs."""
    retrain = planner.retrain_settings(budget, n_workers=2, n_families=2)
    chosen = choose_candidates(records, retrain.candidates, speed_share=speed_share)
    costs = {family: planner.run_cost(trials, retrain) for family, trials in chosen.items()}
    seconds = budget - sum(f(budget) for f in (planner.search_seconds, planner.report_seconds, planner.examine_seconds))
    lengths = planner.run_lengths(costs, seconds, 2, 50_000)
    return {family: list(zip(trials, lengths[family], strict=True)) for family, trials in chosen.items()}


def tasks(family: str, planned: list[tuple[TrialRecord, int]], purpose: str, seed: int) -> list[Task]:
    return [
        (family, trial.number, examples, derive_seed(seed, family, trial.number, purpose), dict(trial.config))
        for trial, examples in planned
    ]


def measure(budget: int, seed: int, data: TrainingData, workers: int) -> list[dict[str, Any]]:
    """Rows of one search: a rule and a family each."""
    records = search(budget, seed)
    plans = {rule: plan(records, budget, speed_share=share) for rule, share in RULES.items()}
    runs = [
        task for by in plans.values() for family, planned in by.items() for task in tasks(family, planned, "a", seed)
    ]
    runs += [
        task for by in plans.values() for family, planned in by.items() for task in tasks(family, planned, "b", seed)
    ]
    distinct = {task[:4]: task for task in runs}
    work = functools.partial(train, data=data)
    values = {task[:4]: value for task, value in parallel(distinct.values(), work, workers)}
    rows = []
    for rule, by in plans.items():
        for family, planned in by.items():
            first = [values[task[:4]] for task in tasks(family, planned, "a", seed)]
            winner = first.index(max(first))
            record, examples = planned[winner]
            (again,) = tasks(family, [planned[winner]], "b", seed)
            trials = records.of(family)
            rows.append(
                {
                    "budget": budget,
                    "seed": seed,
                    "rule": rule,
                    "family": family,
                    "candidates": " ".join(str(trial.number) for trial, _ in planned),
                    "finalist": record.number,
                    "role": record.role,
                    "examples": examples,
                    "accuracy": round(values[again[:4]], 3),
                    "slope": round(error_slope(trials), 3),
                    "trials": len(trials),
                    "completed": len(trials.completed),
                    "machine": machine(),
                }
            )
    return rows


def print_table(rows: list[dict[str, Any]]) -> None:
    if not rows:
        print("nothing recorded yet")
        return
    print(rows[-1]["machine"])
    for budget in sorted({row["budget"] for row in rows}):
        for family in FAMILIES:
            group = [row for row in rows if (row["budget"], row["family"]) == (budget, family)]
            by = {rule: {row["seed"]: row for row in group if row["rule"] == rule} for rule in RULES}
            for rule, found in by.items():
                accuracy = spread([row["accuracy"] for row in found.values()])
                examples = statistics.fmean(row["examples"] for row in found.values())
                print(f"{budget:>5} s {family:<5}{rule:<10}{accuracy}, {examples:,.0f} examples a run")
            for rule in ("half", "seconds"):
                gains = [by[rule][s]["accuracy"] - by["examples"][s]["accuracy"] for s in sorted(by[rule])]
                print(f"{'':>12} {rule} less examples: {spread(gains)}: {', '.join(f'{gain:+.2f}' for gain in gains)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", default=["60:0-4"], metavar="BUDGET:SEEDS")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RECORDED / "candidates.csv")
    parser.add_argument("--table", action="store_true", help="print what is recorded, train nothing")
    options = parser.parse_args()
    rows = Rows(options.out, ("budget", "seed", "rule", "family"))
    if not options.table:
        data = program_data()
        for budget, seed in (run for text in options.runs for run in parse_runs(text)):
            if rows.has(budget, seed, "seconds", FAMILIES[-1]):
                continue
            for row in measure(budget, seed, data, options.workers):
                rows.add(row)
                words = f"{row['budget']} s, seed {row['seed']}, {row['family']}, by {row['rule']}"
                print(
                    f"{words}: {row['role']} #{row['finalist']}, {row['examples']} examples, {row['accuracy']} %",
                    flush=True,
                )
    print_table(rows.all())


if __name__ == "__main__":
    main()
