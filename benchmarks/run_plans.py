"""How a retraining's seconds are best spent: on how many candidates, and on which part of the training data.

    python benchmarks/run_plans.py [--trials TRIALS.JSONL ...] [--seconds 75] [--shares 1 0.5 0.333 ...] [--seeds 2]
        [--held-out] [--device cuda --workers 16] [--table]

With `--trials`, of searches that were made before: of each family the best candidates by the program's rule are trained
for shares of `--seconds`, at the speed that their trials had, each under every seed. The table compares plans: how many
candidates are read on validation and how many final runs follow, all within the same seconds. A plan's finalist is
chosen by one seed and judged by another one, both on validation.
With `--held-out`, a family's first warm start after equal steps on five sixths of the training part and on all of it,
which is what a final run gains by the validation part. The test split is never read.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from _data import build_model, parallel, warm_configs
from _rows import RECORDED
from _speed import program_data
from fewer_steps import interval

from study.data.datasets import stratified_split
from study.execution.sharing import shared_gpus
from study.records.files import append_jsonl, read_jsonl
from study.records.trial import TrialRecord, read_trials
from study.retraining.candidates import choose_candidates
from study.stages.plan import steady_speed
from study.training.config import training_config
from study.training.loop import TrainingData, choose_precision, fit
from study.training.schedule import Schedule

N_CANDIDATES = 3
SPEED_SHARE = 0.5
HELD_OUT = {"cnn": (50_000, 100_000, 200_000, 400_000, 800_000), "mlp": (350_000, 700_000, 1_400_000, 2_800_000)}


@dataclass(frozen=True)
class Run:
    """One training: of which study's trial (`rank` 0 is the best candidate), or of a warm start."""

    source: str
    family: str
    rank: int
    part: float  # of the training part
    share: float  # of the seconds of a whole run, 0 where `examples` were given
    examples: int
    seed: int


def trained(item: tuple[Run, dict[str, Any]], data: TrainingData, device: str) -> dict[str, Any]:
    """The row of one training."""
    run, config = item
    moved = resident(data, run.part, device)
    model = build_model(config, run.seed).to(moved.images.device)
    judged: dict[str, Any] = {}
    steps = max(1, round(run.examples / config["batch_size"]))
    fit(
        model,
        moved,
        training_config(config),
        Schedule.whole(steps, steps),
        lambda _, metrics: judged.update(metrics) or True,
        seed=run.seed,
        precision=choose_precision(moved.images.device),
    )
    return asdict(run) | {name: judged[name] for name in ("accuracy", "nll_scaled", "training_seconds")}


@cache
def resident(data: TrainingData, part: float, device: str) -> TrainingData:
    import torch

    if part < 1:
        kept, _ = stratified_split(data.labels[data.train], 3, 1 - part)
        data = replace(data, train=data.train[torch.from_numpy(kept)])
    return data.to(torch.device(device))


def of_trials(path: Path, seconds: float, shares: Sequence[float], seeds: int) -> list[tuple[Run, dict[str, Any]]]:
    """The candidates of one search, each for these shares of the seconds."""
    chosen = choose_candidates(read_trials(path).counted, N_CANDIDATES, speed_share=SPEED_SHARE)
    source = f"{path.parents[2].name} {seconds:g} s"
    return [
        (Run(source, family, rank, 1.0, share, _examples(trial, share * seconds), seed), dict(trial.config))
        for family, trials in chosen.items()
        for rank, trial in enumerate(trials)
        for share in shares
        for seed in range(seeds)
    ]


def _examples(trial: TrialRecord, seconds: float) -> int:
    return round(seconds * steady_speed(trial))


def held_out(seeds: int) -> list[tuple[Run, dict[str, Any]]]:
    return [
        (Run("warm start", family, 0, part, 0.0, examples, seed), warm_configs(family)[0])
        for seed in range(seeds)
        for family, lengths in HELD_OUT.items()
        for examples in lengths
        for part in (1.0, 5 / 6)
    ]


def measure(arguments: argparse.Namespace) -> None:
    import torch

    items = held_out(arguments.seeds) if arguments.held_out else []
    for path in arguments.trials:
        items += of_trials(path, arguments.seconds, arguments.shares, arguments.seeds)
    have = {key(row) for row in recorded(arguments.out)}
    items = [item for item in items if key(asdict(item[0])) not in have]
    if not items:
        return
    started = time.perf_counter()
    with shared_gpus(torch.device(arguments.device)) as (environment, *_):
        os.environ.update(environment)
        function = partial(trained, data=program_data(), device=arguments.device)
        for done, row in enumerate(parallel(items, function, arguments.workers), 1):
            append_jsonl(arguments.out, row)
            if done % 50 == 0 or done == len(items):
                print(f"{done} of {len(items)} runs after {time.perf_counter() - started:.0f} s", flush=True)


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("source", "family", "rank", "part", "share", "examples", "seed"))


def recorded(path: Path) -> list[dict[str, Any]]:
    return list(read_jsonl(path)) if path.exists() else []


# --- tables --------------------------------------------------------------------------------------------------------


def held_out_table(rows: Sequence[dict[str, Any]]) -> str:
    """What five sixths of the training part cost after equal steps, paired by seed, points with the 95 % t interval."""
    lines = ["| family | examples | all, % | five sixths, points | seeds |", "|---|---|---|---|---|"]
    known = {(row["family"], row["examples"], row["seed"], row["part"] < 1): 100 * row["accuracy"] for row in rows}
    for family, examples in sorted({(family, examples) for family, examples, _, _ in known}):
        seeds = sorted(
            seed for f, n, seed, less in known if (f, n) == (family, examples) and less and (f, n, seed, False) in known
        )
        whole = np.array([known[family, examples, seed, False] for seed in seeds])
        less = np.array([known[family, examples, seed, True] for seed in seeds])
        lines.append(f"| {family} | {examples} | {whole.mean():.3f} | {interval(less - whole)} | {len(seeds)} |")
    return "\n".join(lines)


def plans_table(rows: Sequence[dict[str, Any]]) -> str:
    """Of each family and number of candidates, the accuracy of the finalist after each share of the seconds, with the
    spread between searches; and how often the first candidate was the best after the longest run."""
    lines = ["| seconds | family | share | the first | best of two | best of three | searches |"]
    lines += ["|---|---|---|---|---|---|---|"]
    groups: dict[tuple[str, str, float], dict[str, dict[tuple[int, int], float]]] = {}
    for row in rows:
        group = groups.setdefault((row["source"].split(" ", 1)[1], row["family"], row["share"]), {})
        group.setdefault(row["source"], {})[row["rank"], row["seed"]] = 100 * row["accuracy"]
    for (seconds, family, share), searches in sorted(groups.items()):
        cells = []
        for n in (1, 2, 3):
            values = [value for found in searches.values() for value in _judged(found, n)]
            cells.append(f"{np.mean(values):.3f} ± {np.std(values):.3f}" if values else "–")
        lines.append(f"| {seconds} | {family} | {share:.3f} | {' | '.join(cells)} | {len(searches)} |")
    return "\n".join(lines)


def _judged(found: dict[tuple[int, int], float], n: int) -> list[float]:
    """The finalist of the first `n` candidates by one seed, judged by each other seed."""
    seeds = sorted({seed for _, seed in found})
    ranks = sorted({rank for rank, _ in found})[:n]
    values = []
    for chooser in seeds:
        if all((rank, chooser) in found for rank in ranks):
            best = max(ranks, key=lambda rank: found[rank, chooser])
            values += [found[best, seed] for seed in seeds if seed != chooser and (best, seed) in found]
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=Path, nargs="*", default=[])
    parser.add_argument("--seconds", type=float, default=75.0)
    parser.add_argument("--shares", type=float, nargs="+", default=[1, 0.5])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RECORDED / "run_plans.jsonl")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if not arguments.table:
        measure(arguments)
    rows = recorded(arguments.out)
    print(held_out_table([row for row in rows if not row["share"]]))
    print(plans_table([row for row in rows if row["share"]]))


if __name__ == "__main__":
    main()
