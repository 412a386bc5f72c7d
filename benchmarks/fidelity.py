"""What a search's short trials say of the long run that follows: trials on all training images, which pass over them
once or twice, against trials of the same seconds on so few that they see each as often as the long run does.

    python benchmarks/fidelity.py [--families mlp] [--random 0] [--studies FOLDER ...] [--workers 2]
    python benchmarks/fidelity.py --shorter 2 [--families mlp]     # a ladder of so many seconds, for what is recorded
    python benchmarks/fidelity.py --table

Each configuration is trained by one cycle of 14 processor seconds, and by the ladder of a default study's trial, 0.44,
1.3 and 4 s with warm restarts, on all 40,000 images and on 4 in 14 of them; runs have seeds of their own.
Configurations are the warm starts, the first one with each augmentation and changed here and there, so many random
ones, and of each finished study in `--studies` drawn trials that reached the top rung: the first, third and eighth by
their value, and the first with another augmentation than the best. `final` is dev-test accuracy after the long run;
rungs are read on 10,000 validation images. The test split is not read.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from _data import build_model, dev_data, parallel, precision, random_configs, warm_configs
from _rows import RECORDED, Rows, machine
from rungs import speed_of
from scipy.stats import spearmanr
from torch import Tensor

from study.records.paths import StudyFiles
from study.records.trial import read_trials
from study.seeds import derive_seed
from study.statistics.logits import accuracy
from study.training import loop
from study.training.config import training_config
from study.training.loop import TrainingData, fit, predict_logits
from study.training.schedule import Schedule

FINAL = 14.0  # processor seconds
RUNGS = (4 / 9, 4 / 3, 4.0)
SHARE = RUNGS[-1] / FINAL
PLACES = (0, 2, 7)
SHORTER = (5714, 11429)  # images: as many as half a ladder sees as often as the whole one 11,429, and those
KEY = ("family", "name")
WAYS = ("all", "subset")

Config = dict[str, Any]
# Of the MLP's first warm start.
CHANGES: dict[str, Config] = {
    "one layer of 256": {"depth": 1, "width": [256]},
    "widths 1024 and 512": {"width": [1024, 512]},
    "nadam at 0.004": {"optimizer": "nadam", "learning_rate": 0.004},
    "all images": {"images": "all"},
    "dropout 0.2": {"dropout": 0.2},
}
Task = tuple[str, str, Config]


def of_study(folder: Path, family: str) -> Iterator[tuple[str, Config]]:
    trials = [t for t in read_trials(StudyFiles(folder).trials_jsonl).counted.of(family) if t.role == "sampled"]
    longest = max((len(trial.rungs) for trial in trials), default=0)
    tops = sorted((t for t in trials if len(t.rungs) == longest), key=lambda t: -t.rungs[-1].accuracy)
    other = [i for i, t in enumerate(tops) if t.config["augmentation"] != tops[0].config["augmentation"]]
    for place in dict.fromkeys([*(place for place in PLACES if place < len(tops)), *other[:1]]):
        yield f"{folder.name} #{tops[place].number}", dict(tops[place].config)


def augmented(config: Config, augmentation: str) -> Config:
    left = {key: value for key, value in config.items() if key != "augmentation_strength"}
    return {**left, "augmentation": augmentation, **({} if augmentation == "none" else {"augmentation_strength": 0.5})}


def changed(config: Config, changes: Config) -> Config:
    made = {**config, **changes}
    return made if made["images"] == "hard" else {key: it for key, it in made.items() if not key.startswith("images_")}


def tasks(family: str, n_random: int, studies: Sequence[Path]) -> Iterator[Task]:
    warm = warm_configs(family)
    for place, config in enumerate(warm):
        yield family, f"warm start {place}", config
    for augmentation in ("none", "shift", "affine", "elastic"):
        if augmentation != warm[0]["augmentation"]:
            yield family, f"warm start 0, {augmentation}", augmented(warm[0], augmentation)
    if family == "mlp":
        for name, changes in CHANGES.items():
            yield family, f"warm start 0, {name}", changed(warm[0], changes)
    for number, config in enumerate(random_configs(family, n_random, 0)):
        yield family, f"random {number}", config
    for folder in studies:
        for name, config in of_study(folder, family):
            yield family, name, config


def measure(task: Task, data: TrainingData, dev_test: Tensor) -> dict[str, Any]:
    loop.time = SimpleNamespace(perf_counter=time.thread_time)  # type: ignore[attr-defined]  # seconds of training
    family, name, config = task
    row: dict[str, Any] = {"family": family, "name": name, "config": json.dumps(config)}
    try:
        speed, size = speed_of(config, data), config["batch_size"]
        steps = max(1, round(FINAL * speed / size))
        model = _trained(config, Schedule((steps,), (steps,)), "final", data, [])
        row["final"] = round(
            100 * accuracy(predict_logits(model, data, dev_test, precision()), _labels(data, dev_test)), 2
        )
        ladder = tuple(max(size, round(seconds * speed)) for seconds in RUNGS)
        for way, seen in zip(WAYS, (data, _subset(data)), strict=True):
            marks: list[dict[str, Any]] = []
            _trained(config, Schedule.rungs(ladder, size), way, seen, marks)
            for rung, found in enumerate(marks, 1):
                row[f"{way}_{rung}"] = round(100 * found["accuracy"], 2)
                row[f"{way}_nll_{rung}"] = round(found["nll_scaled"], 4)
        status = "ok"
    except Exception as error:
        status = f"{type(error).__name__}: {error}"[:80]
    columns = [f"{way}{kind}_{rung}" for way in WAYS for kind in ("", "_nll") for rung in range(1, len(RUNGS) + 1)]
    return {"final": "", **dict.fromkeys(columns, ""), **row, "status": status, "machine": machine()}


def measure_shorter(row: dict[str, Any], data: TrainingData, seconds: float) -> dict[str, Any]:
    """The configuration of a recorded row on a shorter ladder."""
    loop.time = SimpleNamespace(perf_counter=time.thread_time)  # type: ignore[attr-defined]
    config = json.loads(row["config"])
    found = {"family": row["family"], "name": row["name"], "seconds": seconds, "final": row["final"]}
    speed, size = speed_of(config, data), config["batch_size"]
    ladder = tuple(max(size, round(share * seconds * speed)) for share in (1 / 9, 1 / 3, 1))
    for n_images in SHORTER:
        marks: list[dict[str, Any]] = []
        _trained(config, Schedule.rungs(ladder, size), "half", _subset(data, n_images), marks)
        found |= {f"{n_images}_{rung}": round(100 * seen["accuracy"], 2) for rung, seen in enumerate(marks, 1)}
    return found | {"machine": machine()}


def print_shorter(rows: list[dict[str, Any]]) -> None:
    for family in dict.fromkeys(row["family"] for row in rows):
        found = [row for row in rows if row["family"] == family]
        final = np.array([row["final"] for row in found])
        upper = final >= np.median(final)
        print(f"\n{family}, {len(found)} configurations on a shorter ladder")
        for n_images in SHORTER:
            seen = [np.array([row[f"{n_images}_{rung}"] for row in found]) for rung in range(1, len(RUNGS) + 1)]
            told = [f"{spearmanr(a, final)[0]:.2f} / {spearmanr(a[upper], final[upper])[0]:.2f}" for a in seen]
            print(f"  {n_images:,} images, rung by rung: {', '.join(told)}")


def _labels(data: TrainingData, index: Tensor) -> Any:
    return data.labels[index].numpy()


def _subset(data: TrainingData, n_images: int | None = None) -> TrainingData:
    generator = torch.Generator().manual_seed(5)
    chosen = torch.randperm(len(data.train), generator=generator)[: n_images or round(SHARE * len(data.train))]
    return replace(data, train=data.train[chosen])


def _trained(
    config: Config, schedule: Schedule, purpose: str, data: TrainingData, marks: list[dict[str, Any]]
) -> torch.nn.Module:
    def look(_: int, found: dict[str, Any]) -> bool:
        marks.append(found)
        return True

    seed = derive_seed(0, config["family"], 0, purpose)
    model = build_model(config, seed)
    fit(model, data, training_config(config), schedule, look, seed=seed, precision=precision())
    return model


def print_table(rows: list[dict[str, Any]]) -> None:
    for family in dict.fromkeys(row["family"] for row in rows):
        found = [row for row in rows if (row["family"], row["status"]) == (family, "ok")]
        final = np.array([row["final"] for row in found])
        upper = final >= np.median(final)
        print(f"\n{family}, {len(found)} configurations: rank correlation with the long run, all / better half")
        for rung, seconds in enumerate(RUNGS, 1):
            cells = []
            for way in WAYS:
                for name, sign in ((f"{way}_{rung}", 1), (f"{way}_nll_{rung}", -1)):
                    seen = sign * np.array([row[name] for row in found])
                    told = f"{spearmanr(seen, final)[0]:.2f} / {spearmanr(seen[upper], final[upper])[0]:.2f}"
                    cells.append(f"{way}{' by NLL' if sign < 0 else ''} {told}")
            print(f"  after {seconds:.2g} s: {'; '.join(cells)}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What short trials say of long runs.")
    parser.add_argument("--families", default="mlp")
    parser.add_argument("--random", type=int, default=0, help="random configurations of each family")
    parser.add_argument("--studies", type=Path, nargs="*", default=[], help="folders of finished studies")
    parser.add_argument("--shorter", type=float, help="processor seconds of a shorter ladder, for what is recorded")
    parser.add_argument("--out-shorter", type=Path, default=RECORDED / "fidelity_shorter.csv")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RECORDED / "fidelity.csv")
    parser.add_argument("--table", action="store_true", help="print what is recorded, measure nothing")
    options = parser.parse_args()
    rows, shorter = Rows(options.out, KEY), Rows(options.out_shorter, KEY)
    if options.shorter:
        data, _ = dev_data()
        known = [row for row in rows.all() if row["family"] in options.families.split(",") and row["status"] == "ok"]
        missing = [row for row in known if not shorter.has(row["family"], row["name"])]
        measured = functools.partial(measure_shorter, data=data, seconds=options.shorter)
        for row in parallel(missing, measured, options.workers):
            shorter.add(row)
    elif not options.table:
        data, dev_test = dev_data()
        wanted = [
            task
            for family in options.families.split(",")
            for task in tasks(family, options.random, options.studies)
            if not rows.has(task[0], task[1])
        ]
        for row in parallel(wanted, functools.partial(measure, data=data, dev_test=dev_test), options.workers):
            rows.add(row)
            print(row["family"], row["name"], row["final"], row["status"], flush=True)
    print_table(rows.all())
    print_shorter(shorter.all())


if __name__ == "__main__":
    main()
