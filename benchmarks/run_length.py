"""Validation accuracy of one whole training by the seconds it gets: what longer final runs and larger networks buy.

    python benchmarks/run_length.py [--seconds 27 200] [--seeds 0 1] [--only NAME ...] [--workers 2] [--table]

Each line is a configuration: a family's first warm start, or that with some values changed. A run of so many
seconds is one annealed cycle of as many steps as the configuration's own speed allows, which the first steps measure.
Trained on the program's training part, judged at its end on the program's validation part; the test split is not read.
"""

from __future__ import annotations

import argparse
import functools
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _data import build_model, parallel, precision, warm_configs
from _rows import RECORDED, Rows, machine, spread
from _speed import fit_steps, program_data, timed, train_whole

from study.training.loop import TrainingData

_SPEED_STEPS = 40
ELASTIC: dict[str, Any] = {"head_width": 128, "augmentation": "elastic"}
AFFINE: dict[str, Any] = {"head_width": 128, "augmentation": "affine"}
TWO: dict[str, Any] = {"convs_per_stage": 2}
THREE_LAYERS: dict[str, Any] = {
    "depth": 3,
    "width": [768, 512, 512],
    "activation": "gelu",
    "learning_rate": 5e-3,
    "augmentation": "elastic",
}
# Family, and what is changed in its first warm start.
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "cnn#0": ("cnn", {}),
    "cnn elastic": ("cnn", ELASTIC),
    "cnn elastic, strength 0.8": ("cnn", ELASTIC | {"augmentation_strength": 0.8}),
    "cnn elastic, width 24": ("cnn", ELASTIC | {"width": 24}),
    "cnn elastic, two convs": ("cnn", ELASTIC | TWO),
    "cnn elastic, two convs, residual": ("cnn", ELASTIC | TWO | {"residual": True}),
    "cnn elastic, width 24, two convs": ("cnn", ELASTIC | TWO | {"width": 24}),
    "cnn elastic, plain stem": ("cnn", ELASTIC | {"stem": "plain"}),
    "cnn elastic, silu": ("cnn", ELASTIC | {"activation": "silu"}),
    "cnn affine": ("cnn", AFFINE),
    "cnn affine, two convs": ("cnn", AFFINE | TWO),
    "cnn shift, two convs": ("cnn", TWO | {"head_width": 128}),
    "cnn affine, two convs, dropout": ("cnn", AFFINE | TWO | {"dropout": 0.2}),
    "cnn affine, stages 2": ("cnn", AFFINE | TWO | {"stages": 2}),
    "cnn affine, batch 256": ("cnn", AFFINE | {"batch_size": 256, "learning_rate": 1.5e-2}),
    "cnn affine, two convs, rate": ("cnn", AFFINE | TWO | {"learning_rate": 5e-3}),
    "cnn affine, two convs, average": ("cnn", AFFINE | TWO | {"pooling": "average"}),
    "cnn width 24, affine, two convs, dropout": ("cnn", AFFINE | TWO | {"width": 24, "dropout": 0.2}),
    "cnn elastic, two convs, dropout": ("cnn", ELASTIC | TWO | {"dropout": 0.2}),
    "mlp#0": ("mlp", {}),
    "mlp#0 dropout": ("mlp", {"dropout": 0.2}),
    "mlp#0 width 1024": ("mlp", {"width": [1024, 1024]}),
    "mlp#0 strength 0.7": ("mlp", {"augmentation_strength": 0.7}),
    "mlp three layers": ("mlp", THREE_LAYERS),
    "mlp three layers, width 1024": ("mlp", THREE_LAYERS | {"width": [1024, 1024, 1024]}),
    "mlp three layers, strength 0.8": ("mlp", THREE_LAYERS | {"augmentation_strength": 0.8}),
    "mlp three layers, affine": ("mlp", THREE_LAYERS | {"augmentation": "affine"}),
}


def measure(item: tuple[str, float, int], data: TrainingData) -> dict[str, Any]:
    """One run; its row. Speed is measured on a model of its own, so that the run begins as the program's does."""
    name, seconds, seed = item
    family, changes = CONFIGS[name]
    config = warm_configs(family)[0] | changes
    fit_steps(build_model(config, seed), data, config, _SPEED_STEPS, precision())
    step = timed(lambda: fit_steps(build_model(config, seed), data, config, _SPEED_STEPS, precision())).wall
    steps = max(1, round(seconds * _SPEED_STEPS / step))
    found = train_whole(config, data, steps, seed)
    return {
        "config": name,
        "seconds": seconds,
        "seed": seed,
        "parameters": found["parameters"],
        "training_s": round(found["training_seconds"], 2),
        "epochs": round(found["examples"] / len(data.train), 2),
        "accuracy": round(100 * found["accuracy"], 3),
        "nll": round(found["nll_scaled"], 5),
        "machine": machine(),
    }


def record(rows: Rows, items: Sequence[tuple[str, float, int]], workers: int) -> None:
    missing = [item for item in items if not rows.has(*item)]
    for row in parallel(missing, functools.partial(measure, data=program_data()), workers):
        rows.add(row)
        print(f"{row['config']}, {row['seconds']} s, seed {row['seed']}: {row['accuracy']} %", flush=True)


def print_table(rows: list[dict[str, Any]]) -> None:
    if not rows:
        print("nothing recorded yet")
        return
    print(rows[-1]["machine"])
    print(f"{'configuration':<42}{'seconds':>8}{'parameters':>12}{'epochs':>8}   validation accuracy, %")
    for name, seconds in sorted({(row["config"], row["seconds"]) for row in rows}, key=lambda key: (key[1], key[0])):
        group = [row for row in rows if (row["config"], row["seconds"]) == (name, seconds)]
        epochs = statistics.fmean(row["epochs"] for row in group)
        accuracy = spread([row["accuracy"] for row in group])
        print(f"{name:<42}{seconds:>8}{group[0]['parameters']:>12}{epochs:>8.1f}   {accuracy}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, nargs="+", default=[27, 200])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", nargs="+", choices=list(CONFIGS), default=list(CONFIGS), metavar="NAME")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RECORDED / "run_length.csv")
    parser.add_argument("--table", action="store_true", help="print what is recorded, train nothing")
    options = parser.parse_args()
    rows = Rows(options.out, ("config", "seconds", "seed"))
    if not options.table:
        items = [(name, s, seed) for s in options.seconds for seed in options.seeds for name in options.only]
        record(rows, items, options.workers)
    print_table(rows.all())


if __name__ == "__main__":
    main()
