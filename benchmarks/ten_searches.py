"""Ten searches of a family with nothing given: how far apart they end, and how far from what is given to a study.

    python benchmarks/ten_searches.py [--searches 10] [--seconds 116] [--final 17] [--families mlp,cnn] [--runs 2]
    python benchmarks/ten_searches.py --device cuda --at-once 20 --seconds 20,80 --final 4,8
    python benchmarks/ten_searches.py --table  # only prints what is recorded

The default is what a search of a default study has, in processor seconds, two searches at a time: some three and a
half minutes for a pair of them. With `--device cuda` as many searches as `--at-once` says share the GPU, and seconds
are those of the clock on the wall.

Each search is the program's own over one worker, with another seed and another held-out sixth of what is left of the
training file without the dev-test slice, which is the same for all. What it hands over first, and the first warm start
of its family, are then trained under `--runs` seeds by one cycle of `--final` seconds, in the same process on the same
images, and read on the dev-test slice. The test split is not read.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rungs
import torch
from _data import parallel, warm_configs
from _rows import RECORDED, Rows, machine
from live import FINAL_ATTEMPTS, Task
from scipy import stats
from torch import Tensor, nn

from study.data.datasets import load_train, pixel_statistics, stratified_split
from study.errors import TrainingError
from study.execution.sharing import shared_gpus
from study.models import parameter_count
from study.retraining.candidates import choose_candidates
from study.statistics.logits import accuracy
from study.training.loop import TrainingData, choose_precision, predict_logits
from study.training.schedule import Schedule

KEY = ("family", "seed", "seconds", "final_s", "device", "which", "run")
_DEV_TEST = 10_000
_DEV_TEST_SEED = 7


@dataclass(frozen=True)
class Asked:
    task: Task
    device: str
    runs: int


def data_of(seed: int) -> tuple[TrainingData, Tensor]:
    """Training and validation images, another sixth for each seed, and the indices of the dev-test slice."""
    whole = load_train("mnist")
    rest, dev_test = stratified_split(whole.labels, _DEV_TEST_SEED, _DEV_TEST / len(whole.labels))
    kept, held_out = stratified_split(whole.labels[torch.from_numpy(rest)], 0, sixth=seed)
    train, validation = torch.from_numpy(rest[kept]), torch.from_numpy(rest[held_out])
    mean, std = pixel_statistics(whole.images[train])
    data = TrainingData(whole.images, whole.labels, train, validation, mean, std, len(whole.classes))
    return data, torch.from_numpy(dev_test)


def measure(asked: Asked) -> list[dict[str, Any]]:
    """The rows of one search: its own network's runs, and those of the network that is given."""
    task, device = asked.task, torch.device(asked.device)
    data, dev_test = data_of(task.seed)
    data, dev_test = data.to(device), dev_test.to(device)
    if device.type == "cpu":
        rungs.count_processor_seconds()
    given = warm_configs(task.family)[0]
    rungs.speed_of(given, data)  # the first time takes longer
    trials = rungs.search(task, data, rungs.speed_of(given, data))
    found = choose_candidates(trials, 1, speed_share=rungs.SPEED_SHARE)[task.family][0]
    rows = []
    for run, (which, config) in itertools.product(
        range(asked.runs), {"found": dict(found.config), "given": given}.items()
    ):
        model, examples = trained_for(replace(task, seed=task.seed + 1000), config, f"{which} {run}", data)
        logits = predict_logits(model, data, dev_test, choose_precision(device))
        key = (task.family, task.seed, task.seconds, task.final_epochs, asked.device, which, run)
        rows.append(
            {
                **dict(zip(KEY, key, strict=True)),
                "trials": len(trials),
                "complete": len(trials.completed),
                "validation": found.value if which == "found" else None,
                "dev_test": round(accuracy(logits, data.labels[dev_test].cpu().numpy()), 5),
                "examples": examples,
                "batch_size": config["batch_size"],
                "parameters": parameter_count(model),
                "machine": machine(),
            }
        )
    return rows


def trained_for(task: Task, config: dict[str, Any], purpose: str, data: TrainingData) -> tuple[nn.Module, int]:
    """A network after `final_epochs`, here seconds, and the examples it saw; a run that diverges has another seed."""
    steps = max(1, round(task.final_epochs * rungs.speed_of(config, data) / config["batch_size"]))
    for attempt in itertools.count():
        try:
            schedule = Schedule((steps,), (steps,))
            model = rungs.trained(config, task.derive(attempt, purpose), schedule, lambda *_: True, data)
        except TrainingError:
            if attempt + 1 == FINAL_ATTEMPTS:
                raise
            continue
        return model, steps * config["batch_size"]
    raise AssertionError


def tasks(arguments: argparse.Namespace, rows: Rows) -> Iterator[Asked]:
    lengths = zip(_numbers(arguments.seconds), _numbers(arguments.final), strict=True)
    for (seconds, final), seed, family in itertools.product(
        lengths, range(arguments.searches), arguments.families.split(",")
    ):
        if not rows.has(family, seed, seconds, final, arguments.device, "given", arguments.runs - 1):
            yield Asked(Task(family, "program", seed, seconds, final), arguments.device, arguments.runs)


def print_table(rows: list[dict[str, Any]]) -> None:
    """One line a family and length: points of dev-test accuracy, means over the runs of each search."""
    print(
        "family device  search s  final s  trials  found, mean ± sd over searches  worst behind  found less given, 95 %"
    )
    groups: dict[tuple[str, str, float], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["family"], row["device"], row["seconds"]), []).append(row)
    for (family, device, seconds), mine in groups.items():
        found, given = (_by_search(mine, which) for which in ("found", "given"))
        worth, less = np.array(list(found.values())), np.array([found[seed] - given[seed] for seed in found])
        n, noise = len(worth), _sd_of_runs(mine)
        half = stats.t.ppf(0.975, n - 1) * less.std(ddof=1) / np.sqrt(n)
        print(
            f"{family:<7}{device:<8}{seconds:8g}{mine[0]['final_s']:9g}{np.mean([row['trials'] for row in mine]):8.0f}"
            f"  {worth.mean():.3f} ± {worth.std(ddof=1):.3f} (n = {n}; of a mean of seeds {noise:.3f})"
            f"  {worth.mean() - worth.min():.2f}  {less.mean():+.3f} ± {half:.3f}: {np.round(less, 2)}"
        )


def _by_search(rows: list[dict[str, Any]], which: str) -> Mapping[int, float]:
    found: dict[int, list[float]] = {}
    for row in rows:
        if row["which"] == which:
            found.setdefault(row["seed"], []).append(100 * row["dev_test"])
    return {seed: float(np.mean(values)) for seed, values in found.items()}


def _sd_of_runs(rows: list[dict[str, Any]]) -> float:
    """Standard deviation of a search's mean that its runs' seeds alone bring."""
    runs: dict[int, list[float]] = {}
    for row in rows:
        if row["which"] == "found":
            runs.setdefault(row["seed"], []).append(100 * row["dev_test"])
    several = [values for values in runs.values() if len(values) > 1]
    if not several:
        return float("nan")
    return float(np.sqrt(np.mean([np.var(values, ddof=1) / len(values) for values in several])))


def _numbers(text: str) -> list[float]:
    return [float(word) for word in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=10)
    parser.add_argument("--seconds", default="116", help="of a search; several, with commas")
    parser.add_argument("--final", default="17", help="seconds of each run that is judged, one for each of --seconds")
    parser.add_argument("--families", default="mlp,cnn")
    parser.add_argument("--runs", type=int, default=2, help="seeds of what was found and of what is given")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RECORDED / "ten_searches.csv")
    parser.add_argument("--table", action="store_true", help="only print what is recorded")
    arguments = parser.parse_args()
    rows = Rows(arguments.out, KEY)
    if not arguments.table:
        with shared_gpus(torch.device(arguments.device)) as environments:
            os.environ.update(environments[0] if environments else {})
            for found in parallel(list(tasks(arguments, rows)), measure, arguments.at_once):
                for row in found:
                    if not rows.has(*(row[name] for name in KEY)):  # as some are where this was killed between them
                        rows.add(row)
                print(f"{found[0]['family']} seed {found[0]['seed']}, {found[0]['seconds']:g} s", file=sys.stderr)
    print_table(rows.all())


if __name__ == "__main__":
    main()
