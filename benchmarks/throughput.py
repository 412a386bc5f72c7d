"""Images per second of `fit` against plain PyTorch loops of the same networks, one thread each. About 12 minutes.

    python benchmarks/throughput.py [--turns 7] [--seconds 4] [--families cnn mlp] [--batch-sizes 128 512] [--table]

The networks are the first warm start of each family. Three loops take turns in one process, their order rotated:

    fit      the program's own: resident uint8 images, bf16 where the processor has it, channels_last, fused optimizer
    loader   as tutorials write it: torchvision's MNIST item by item, ToTensor and Normalize, DataLoader(shuffle=True),
             fp32, the optimizer as its constructor gives it; augmented, with torchvision's transform of like effect
    tensors  DataLoader over a TensorDataset of normalised float images, fp32; it has no augmentation

Each trains on the 60,000 images of the training file, without validation and with no look at the loss; models are built
outside the measurement, optimizers and iterators inside. Ratios are taken turn by turn: their median and range.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from _data import build_model, precision, warm_configs
from _rows import RECORDED, Rows, machine, paired_ratio
from _speed import Seconds, fit_steps, program_data, steps_within, timed
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision import datasets, transforms

from study.data.augment import (
    ELASTIC_PIXELS,
    MAX_DEGREES,
    MAX_SCALE,
    MAX_SHEAR,
    MAX_SHIFT_PIXELS,
    MAX_TRANSLATION_PIXELS,
    to_float,
)
from study.training.config import TrainingConfig, training_config
from study.training.config import build_model as build
from study.training.loop import TrainingData

KEY = ("family", "batch_size", "augmented", "loop", "turn")
# (loop, augmented); `augmented` is written yes or no.
LOOPS = (("fit", "yes"), ("loader", "yes"), ("fit", "no"), ("loader", "no"), ("tensors", "no"))
# The program's loop against a plain one: its augmentation on, then off.
PAIRS = (("yes", ("loader", "yes")), ("yes", ("tensors", "no")), ("no", ("loader", "no")), ("no", ("tensors", "no")))
SIZE = 28
ELASTIC_SIGMA = 5.0

Run = Callable[[int], Seconds]


class BundledMNIST(datasets.MNIST):
    """torchvision's MNIST over images that are in memory already: its own __getitem__, without its download."""

    def __init__(self, data: TrainingData, transform: Callable[[Any], Tensor]) -> None:
        datasets.VisionDataset.__init__(self, root="", transform=transform)
        self.data, self.targets = data.images, data.labels


def random_transform(config: TrainingConfig) -> list[Any]:
    """torchvision's transforms that do to a PIL image about what the program's augmentation does to a batch."""
    strength = config.augmentation_strength
    if config.augmentation == "none":
        return []
    if config.augmentation == "shift":
        return [transforms.RandomCrop(SIZE, padding=max(1, round(MAX_SHIFT_PIXELS * strength)))]
    shift = strength * MAX_TRANSLATION_PIXELS / SIZE
    affine = transforms.RandomAffine(
        degrees=strength * MAX_DEGREES,
        translate=(shift, shift),
        scale=(1 - strength * MAX_SCALE, 1 + strength * MAX_SCALE),
        shear=math.degrees(math.atan(strength * MAX_SHEAR)),
        interpolation=transforms.InterpolationMode.BILINEAR,
    )
    if config.augmentation == "affine":
        return [affine]
    # Its field is alpha times blurred uniform noise, in units of half a picture's width over its width.
    sd_of_noise = math.sqrt(1 / 3) / (2 * ELASTIC_SIGMA * math.sqrt(math.pi))
    return [affine, transforms.ElasticTransform(2 * strength * ELASTIC_PIXELS / sd_of_noise, ELASTIC_SIGMA)]


def plain_optimizer(parameters: Iterator[Tensor], config: TrainingConfig) -> torch.optim.Optimizer:
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimizer == "sgd":
        nesterov = config.nesterov and config.momentum > 0
        return torch.optim.SGD(parameters, rate, momentum=config.momentum, weight_decay=decay, nesterov=nesterov)
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, rate, momentum=config.momentum, weight_decay=decay)
    plain = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "nadam": torch.optim.NAdam}
    optimizer: torch.optim.Optimizer = plain[config.optimizer](parameters, rate, weight_decay=decay)
    return optimizer


def plain_run(dataset: Dataset[Any], flat: dict[str, Any]) -> Run:
    """The loop of a tutorial."""
    config = training_config(flat)

    def run(steps: int) -> Seconds:
        torch.manual_seed(0)
        model = build(flat, 10)

        def loop() -> None:
            optimizer = plain_optimizer(model.parameters(), config)
            loader = DataLoader(dataset, batch_size=config.batch_size, shuffle=True, drop_last=True)
            model.train()
            done = 0
            while True:
                for images, labels in loader:
                    optimizer.zero_grad()
                    loss = F.cross_entropy(model(images), labels, label_smoothing=config.label_smoothing)
                    loss.backward()
                    optimizer.step()
                    done += 1
                    if done == steps:
                        return

        return timed(loop)

    return run


def fit_run(data: TrainingData, flat: dict[str, Any]) -> Run:
    def run(steps: int) -> Seconds:
        model = build_model(flat, seed=0)
        return timed(lambda: fit_steps(model, data, flat, steps, precision()))

    return run


def make_runs(data: TrainingData, floats: Tensor, flat: dict[str, Any]) -> dict[tuple[str, str], Run]:
    """The five measurements of one network and batch size."""
    plain = flat | {"augmentation": "none"}
    to_tensor = [transforms.ToTensor(), transforms.Normalize((data.mean,), (data.std,))]
    augmenting = random_transform(training_config(flat))
    return {
        ("fit", "yes"): fit_run(data, flat),
        ("loader", "yes"): plain_run(BundledMNIST(data, transforms.Compose([*augmenting, *to_tensor])), flat),
        ("fit", "no"): fit_run(data, plain),
        ("loader", "no"): plain_run(BundledMNIST(data, transforms.Compose(to_tensor)), plain),
        ("tensors", "no"): plain_run(TensorDataset(floats, data.labels), plain),
    }


def measure(rows: Rows, arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    data = program_data()
    floats = to_float(data.images).sub_(data.mean).div_(data.std)  # [60000, 1, 28, 28]
    for family in arguments.families:
        for batch_size in arguments.batch_sizes:
            runs = make_runs(data, floats, warm_configs(family)[0] | {"batch_size": batch_size})
            measure_one(rows, arguments, (family, batch_size), runs)


def measure_one(
    rows: Rows, arguments: argparse.Namespace, network: tuple[str, int], runs: dict[tuple[str, str], Run]
) -> None:
    steps: dict[tuple[str, str], int] = {}
    family, batch_size = network
    for turn in range(arguments.turns):
        for position in range(len(LOOPS)):
            loop, augmented = LOOPS[(turn + position) % len(LOOPS)]
            if rows.has(family, batch_size, augmented, loop, turn):
                continue
            run = runs[loop, augmented]
            if (loop, augmented) not in steps:
                steps[loop, augmented] = steps_within(arguments.seconds, run)
            run(2)  # the loop before had other shapes in the caches
            seconds, images = run(steps[loop, augmented]), steps[loop, augmented] * batch_size
            key = dict(zip(KEY, (family, batch_size, augmented, loop, turn), strict=True))
            figures = {"images": images, "wall_seconds": round(seconds.wall, 4), "cpu_seconds": round(seconds.cpu, 4)}
            rows.add(key | figures)
            print(*key.values(), f"{images / seconds.wall:,.0f} images/s", flush=True)


def speeds(
    found: list[dict[str, Any]], network: tuple[str, int], loop: tuple[str, str], clock: str
) -> dict[int, float]:
    """Images per second by turn."""
    return {
        row["turn"]: row["images"] / row[clock]
        for row in found
        if (row["family"], row["batch_size"]) == network and (row["loop"], row["augmented"]) == loop
    }


def table(rows: Rows) -> str:
    found = rows.all()
    networks = sorted({(row["family"], row["batch_size"]) for row in found})
    lines = [machine()]
    for clock, words in (("wall_seconds", "by the clock on the wall"), ("cpu_seconds", "by seconds of computing")):
        lines += ["", f"thousand images per second {words}, median over turns"]
        lines.append("".join(["family   batch", *(f"{f'{a}, {b}':>14}" for a, b in LOOPS), "   (loop, augmented)"]))
        for network in networks:
            values = [speeds(found, network, loop, clock).values() for loop in LOOPS]
            medians = [f"{statistics.median(v) / 1000:14.2f}" if v else f"{'-':>14}" for v in values]
            lines.append(f"{network[0]:<8}{network[1]:>6}" + "".join(medians))
        lines += ["", f"fit is so many times as fast {words}: median (range) over turns"]
        lines.append(f"family   batch  {'fit':<15}{'against':<26}ratio")
        for network in networks:
            for augmented, other in PAIRS:
                ours, theirs = (speeds(found, network, loop, clock) for loop in (("fit", augmented), other))
                turns = sorted(ours.keys() & theirs.keys())
                ratio = paired_ratio([ours[turn] for turn in turns], [theirs[turn] for turn in turns])
                word = {"yes": "augmented", "no": "not augmented"}
                against = f"{other[0]}, {word[other[1]]}"
                lines.append(f"{network[0]:<8}{network[1]:>6}  {word[augmented]:<15}{against:<26}{ratio}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Images per second of fit against plain PyTorch loops.")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one measurement")
    parser.add_argument("--families", nargs="+", default=["cnn", "mlp"])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--out", type=Path, default=RECORDED / "throughput.csv")
    parser.add_argument("--table", action="store_true", help="print what is recorded, measure nothing")
    arguments = parser.parse_args()
    rows = Rows(arguments.out, KEY)
    if not arguments.table:
        measure(rows, arguments)
    print(table(rows))


if __name__ == "__main__":
    main()
