"""What benchmarks that train share: the program's own split, the seconds of some steps of `fit`, and a whole run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from _data import build_model, cpu_seconds, precision
from torch import nn

from study.data.datasets import load_train, pixel_statistics, stratified_split
from study.models import parameter_count
from study.records.run import Precision
from study.training.config import training_config
from study.training.loop import TrainingData, fit
from study.training.schedule import Schedule


@dataclass(frozen=True)
class Seconds:
    """What some work took by the clock on the wall, and what this process computed meanwhile (all its threads)."""

    wall: float
    cpu: float


def timed(work: Callable[[], object]) -> Seconds:
    wall, cpu = time.perf_counter(), cpu_seconds()
    work()
    return Seconds(time.perf_counter() - wall, cpu_seconds() - cpu)


def program_data() -> TrainingData:
    """MNIST's training file as a study splits it: 50,000 images to train on, 10,000 for validation."""
    whole = load_train("mnist")
    train, validation = (torch.from_numpy(part) for part in stratified_split(whole.labels, seed=0))
    mean, std = pixel_statistics(whole.images[train])
    return TrainingData(whole.images, whole.labels, train, validation, mean, std, len(whole.classes))


def fit_steps(model: nn.Module, data: TrainingData, config: dict[str, Any], steps: int, precision: Precision) -> None:
    """`steps` optimizer steps in one cycle on all 60,000 images, so without a validation: training alone."""
    schedule = Schedule.whole(steps, steps)
    fit(
        model,
        data,
        training_config(config),
        schedule,
        lambda examples, metrics: True,
        seed=0,
        part="train+validation",
        precision=precision,
    )


def train_whole(config: dict[str, Any], data: TrainingData, steps: int, seed: int) -> dict[str, Any]:
    """What a run of one annealed cycle on the training part reports at its end, and its `examples` and `parameters`."""
    model = build_model(config, seed)
    found: dict[str, Any] = {"parameters": parameter_count(model)}
    fit(
        model,
        data,
        training_config(config),
        Schedule.whole(steps, steps),
        lambda examples, metrics: found.update(metrics, examples=examples) or True,
        seed=seed,
        precision=precision(),
    )
    return found


def steps_within(seconds: float, run: Callable[[int], Seconds], tries: int = 5) -> int:
    """How many steps take about `seconds`, from `tries` of them after as many that warm up."""
    run(tries)
    return max(tries, round(seconds * tries / run(tries).wall))
