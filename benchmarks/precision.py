"""What bf16 and channels_last bring, and what they cost in accuracy. About 5 and 4 minutes.

    python benchmarks/precision.py [--parts speed accuracy] [--turns 7] [--seconds 2] [--seeds 10] [--workers 2]

speed     milliseconds per step of `fit`, training alone, one thread, for each warm start: bf16 and fp32 in turn, the
          model laid out channels_last and contiguous. Ratios are taken turn by turn: their median and range.
accuracy  one annealed cycle of one epoch (50,000 images) of each family's first warm start under `--seeds` seeds, in
          bf16 and in fp32 with the same seed: same initial weights, batches and augmentation. Judged on the 10,000
          validation images; the paired difference with its 95 % t interval.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from _data import build_model, cpu_seconds, parallel, precision, warm_configs
from _rows import RECORDED, Rows, machine, paired_ratio, spread
from _speed import Seconds, fit_steps, program_data, steps_within, timed
from scipy import special
from torch import nn

from study.records.run import Precision
from study.training.config import training_config
from study.training.loop import TrainingData, fit
from study.training.schedule import Schedule

KEY = ("part", "family", "warm_start", "precision", "layout", "examples", "number")
LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
WAYS: tuple[tuple[Precision, str], ...] = (
    ("bf16", "channels_last"),
    ("bf16", "contiguous"),
    ("fp32", "channels_last"),
    ("fp32", "contiguous"),
)


class Run(NamedTuple):
    """One training for its accuracy."""

    family: str
    precision: Precision
    seed: int
    examples: int


# --- speed ---------------------------------------------------------------------------------------------------------


def laid_out(config: dict[str, Any], layout: str) -> nn.Module:
    """The model, with a check that its convolutions work in this layout: images of one channel fit either, so the
    weights decide."""
    model: nn.Module = build_model(config, seed=0).to(memory_format=LAYOUTS[layout])
    inner = [module for module in model.modules() if isinstance(module, nn.Conv2d) and module.in_channels > 1]
    if inner:

        def check(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
            if not output.is_contiguous(memory_format=LAYOUTS[layout]):
                raise RuntimeError(f"a convolution's output is not {layout}: fit lays out what it is given anew")
            handle.remove()

        handle = inner[0].register_forward_hook(check)
    return model


def speed_run(data: TrainingData, config: dict[str, Any], way: tuple[Precision, str], steps: int) -> Seconds:
    model = laid_out(config, way[1])
    return timed(lambda: fit_steps(model, data, config, steps, way[0]))


def measure_speed(rows: Rows, data: TrainingData, arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    for family in arguments.families:
        for index, config in enumerate(warm_configs(family)):
            steps: dict[tuple[Precision, str], int] = {}
            for turn in range(arguments.turns):
                for position in range(len(WAYS)):
                    way = WAYS[(turn + position) % len(WAYS)]
                    if rows.has("speed", family, index, *way, None, turn):
                        continue
                    run = partial(speed_run, data, config, way)
                    if way not in steps:
                        steps[way] = steps_within(arguments.seconds, run)
                    run(2)
                    seconds = run(steps[way])
                    key = dict(zip(KEY, ("speed", family, index, *way, None, turn), strict=True))
                    rows.add(key | figures(config["batch_size"], steps[way], seconds))
                    print(*key.values(), f"{1000 * seconds.wall / steps[way]:.2f} ms a step", flush=True)


def figures(batch_size: int, steps: int, seconds: Seconds, judged: dict[str, Any] | None = None) -> dict[str, Any]:
    """The columns beside the key; a run for its speed is not judged."""
    values = {name: round(judged[name], 6) if judged else None for name in ("accuracy", "nll", "nll_scaled")}
    clocks = {"wall_seconds": round(seconds.wall, 4), "cpu_seconds": round(seconds.cpu, 4)}
    return {"batch_size": batch_size, "steps": steps, **clocks, **values}


def speed_table(found: list[dict[str, Any]]) -> list[str]:
    lines = ["", f"milliseconds per step, median over turns, one thread; the program's choice here: {precision()}"]
    lines.append(
        f"{'network':<12}{'batch':>6}" + "".join(f"{f'{a} {b}':>20}" for a, b in WAYS) + "   by (wall / computing)"
    )
    ratios = ["", "bf16 channels_last is so many times as fast: median (range) over turns"]
    ratios.append(f"{'network':<12}{'against':<20}{'by the wall':<32}by computing")
    for family, index in sorted({(row["family"], row["warm_start"]) for row in found}):
        own = [row for row in found if (row["family"], row["warm_start"]) == (family, index)]
        times = {
            (way, clock): {
                row["number"]: 1000 * row[clock] / row["steps"]
                for row in own
                if (row["precision"], row["layout"]) == way
            }
            for way in WAYS
            for clock in ("wall_seconds", "cpu_seconds")
        }
        cells = [f"{middle(times[way, 'wall_seconds'])} / {middle(times[way, 'cpu_seconds'])}" for way in WAYS]
        lines.append(f"{f'{family} {index}':<12}{own[0]['batch_size']:>6}" + "".join(f"{cell:>20}" for cell in cells))
        for way in WAYS[1:]:
            texts = [ratio(times[way, clock], times[WAYS[0], clock]) for clock in ("wall_seconds", "cpu_seconds")]
            ratios.append(f"{f'{family} {index}':<12}{' '.join(way):<20}{texts[0]:<32}{texts[1]}")
    return lines + ratios


def middle(times: dict[int, float]) -> str:
    return f"{statistics.median(times.values()):.2f}" if times else "-"


def ratio(slow: dict[int, float], fast: dict[int, float]) -> str:
    turns = sorted(slow.keys() & fast.keys())
    return paired_ratio([slow[turn] for turn in turns], [fast[turn] for turn in turns])


# --- accuracy ------------------------------------------------------------------------------------------------------


def accuracy_run(run: Run, data: TrainingData) -> dict[str, Any]:
    """The row of one training."""
    config = warm_configs(run.family)[0]
    steps = max(1, round(run.examples / config["batch_size"]))
    model = build_model(config, run.seed)  # seeds the global generator too, which dropout draws from
    judged: dict[str, Any] = {}

    def on_rung(_examples: int, metrics: dict[str, Any]) -> bool:
        judged.update(metrics)
        return True

    cpu = cpu_seconds()
    schedule = Schedule.whole(steps, steps)
    fit(model, data, training_config(config), schedule, on_rung, seed=run.seed, precision=run.precision)
    seconds = Seconds(judged["training_seconds"], cpu_seconds() - cpu)
    key = ("accuracy", run.family, 0, run.precision, "channels_last", run.examples, run.seed)
    return dict(zip(KEY, key, strict=True)) | figures(config["batch_size"], steps, seconds, judged)


def measure_accuracy(rows: Rows, data: TrainingData, arguments: argparse.Namespace) -> None:
    examples = round(arguments.epochs * len(data.train))
    runs = [
        Run(family, kind, seed, examples)
        for family in arguments.families
        for seed in range(arguments.seeds)
        for kind in ("bf16", "fp32")
        if not rows.has("accuracy", family, 0, kind, "channels_last", examples, seed)
    ]
    if not runs:
        return
    for row in parallel(runs, partial(accuracy_run, data=data), arguments.workers):
        rows.add(row)
        print(row["family"], row["precision"], f"seed {row['number']}", f"{100 * row['accuracy']:.2f} %", flush=True)


def accuracy_table(found: list[dict[str, Any]]) -> list[str]:
    lines = [
        "",
        "validation after one whole cycle, mean ± sd over seeds; bf16 − fp32 paired by seed, 95 % t interval",
    ]
    lines.append(f"{'family':<8}{'examples':>9}  {'':<13}{'bf16':<27}{'fp32':<27}bf16 − fp32")
    for family, examples in sorted({(row["family"], row["examples"]) for row in found}):
        own = [row for row in found if (row["family"], row["examples"]) == (family, examples)]
        for name, words, scale, digits in (
            ("accuracy", "accuracy, %", 100, 3),
            ("nll", "NLL", 1, 4),
            ("nll_scaled", "NLL, scaled", 1, 4),
        ):
            values = {
                kind: {row["number"]: scale * row[name] for row in own if row["precision"] == kind}
                for kind in ("bf16", "fp32")
            }
            seeds = sorted(values["bf16"].keys() & values["fp32"].keys())
            bf16, fp32 = ([values[kind][seed] for seed in seeds] for kind in ("bf16", "fp32"))
            lines.append(
                f"{family:<8}{examples:>9}  {words:<13}{spread(bf16, digits):<27}{spread(fp32, digits):<27}"
                f"{paired_difference(bf16, fp32, digits)}"
            )
    return lines


def paired_difference(a: Sequence[float], b: Sequence[float], digits: int) -> str:
    """Mean of a − b with its 95 % t interval."""
    if len(a) < 2:
        return "too few seeds"
    difference = np.array(a) - np.array(b)
    half = float(special.stdtrit(len(a) - 1, 0.975) * difference.std(ddof=1) / np.sqrt(len(a)))
    centre = float(difference.mean())
    return f"{centre:+.{digits}f} ({centre - half:+.{digits}f} to {centre + half:+.{digits}f})"


def table(rows: Rows) -> str:
    found = rows.all()
    parts = {part: [row for row in found if row["part"] == part] for part in ("speed", "accuracy")}
    lines = [machine()]
    if parts["speed"]:
        lines += speed_table(parts["speed"])
    if parts["accuracy"]:
        lines += accuracy_table(parts["accuracy"])
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="bf16 and channels_last: speed, and accuracy against fp32.")
    parser.add_argument("--parts", nargs="+", default=["speed", "accuracy"], choices=["speed", "accuracy"])
    parser.add_argument("--families", nargs="+", default=["cnn", "mlp"])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one measurement of speed")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=float, default=1.0, help="length of a run for its accuracy")
    parser.add_argument("--workers", type=int, default=2, help="processes for accuracy; speed always has one")
    parser.add_argument("--out", type=Path, default=RECORDED / "precision.csv")
    parser.add_argument("--table", action="store_true", help="print what is recorded, measure nothing")
    arguments = parser.parse_args()
    rows = Rows(arguments.out, KEY)
    if not arguments.table:
        data = program_data()
        if "speed" in arguments.parts:
            measure_speed(rows, data, arguments)
        if "accuracy" in arguments.parts:
            measure_accuracy(rows, data, arguments)
    print(table(rows))


if __name__ == "__main__":
    main()
