"""The training loop: one function serves search trials, candidates and final runs.

On one core with AVX-512-BF16 or AMX a step of 128 images took 13 ms for the CNN of the first warm start (100,000
parameters), 5 ms for a two-layer MLP of 670,000.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from study.data.augment import augment, to_float
from study.errors import TrainingError
from study.records.run import DataPart, Precision
from study.statistics.logits import accuracy, fit_temperature, nll
from study.training.config import TrainingConfig
from study.training.images import Batches, HardBatches
from study.training.optim import build_optimizer, learning_rate_factor, set_learning_rate
from study.training.recorded import RecordedStep
from study.training.schedule import HeldOut, Schedule
from study.training.state import TrainingState, capture, restore

_CHECK_EVERY = 50  # steps between looks at the loss: a NaN cannot heal, and each look waits for the device
_EVALUATION_BATCH = 500  # of 1,000 the maps outgrow the memory that a process keeps, and are faulted in each time


@dataclass(frozen=True)
class TrainingData:
    """All labelled images that training may see, resident once and shared by the workers: images uint8 [N, 28, 28],
    labels int64 [N], the split as int64 indices, and the training part's pixel mean and std in [0, 1]; the images'
    groups int64 [N], which a split keeps on one side, None where they are not known."""

    images: Tensor
    labels: Tensor
    train: Tensor
    validation: Tensor
    mean: float
    std: float
    n_classes: int
    groups: Tensor | None = None

    def holding_out(self, other: HeldOut | None) -> TrainingData:
        """The same images with another validation part, or as they are."""
        if other is None:
            return self
        bits = np.unpackbits(np.frombuffer(other.bits, np.uint8), count=len(self.labels))
        train, validation = (torch.from_numpy(np.flatnonzero(bits == bit)).to(self.labels.device) for bit in (0, 1))
        return replace(self, train=train, validation=validation, mean=other.mean, std=other.std)

    def learning_from(self, n_images: int | None) -> TrainingData:
        """The same with so many images in the training part, drawn alike whatever is trained, or as they are. They are
        normalised as all are."""
        if n_images is None or n_images >= len(self.train):
            return self
        drawn = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(0))[:n_images]
        return replace(self, train=self.train[drawn.sort().values.to(self.train.device)])

    def part(self, name: DataPart) -> Tensor:
        return self.train if name == "train" else torch.arange(len(self.labels), device=self.labels.device)

    def to(self, device: torch.device) -> TrainingData:
        return replace(
            self,
            images=self.images.to(device),
            labels=self.labels.to(device),
            train=self.train.to(device),
            validation=self.validation.to(device),
        )


OnRung = Callable[[int, dict[str, Any]], bool]
OnState = Callable[[Callable[[], TrainingState]], None]


def fit(
    model: nn.Module,
    data: TrainingData,
    config: TrainingConfig,
    schedule: Schedule,
    on_rung: OnRung,
    *,
    seed: int,
    part: DataPart = "train",
    precision: Precision = "fp32",
    resume: TrainingState | None = None,
    on_state: OnState | None = None,
    goes_on: Callable[[], bool] = lambda: True,
) -> None:
    """Train `model` in place; at each mark call `on_rung(examples_seen, metrics)` and stop when it answers False, or
    `goes_on` does, which is asked before each step.

    `metrics` holds train_loss (mean since the last mark), learning_rate, training_seconds (since the start, without
    validation and without waiting for the answer) and, when `part` is "train", the validation figures of `validate`.
    After a mark, but for the last, `on_state` may take the state: another `fit` with it as `resume` goes on bit for
    bit as this one would.
    Raises TrainingError, naming the step, when the loss is not finite.
    """
    device = data.images.device
    generator = torch.Generator(device).manual_seed(seed)
    optimizer = build_optimizer(model, config)
    batches = _batches(data, part, config, schedule, seed)
    factors = [learning_rate_factor(config.schedule, config.warmup, p / n) for n in schedule.cycles for p in range(n)]
    seconds, marks = 0.0, set(schedule.marks)
    if resume is not None:
        restore(resume, model, optimizer, generator, batches)
        seconds = resume.seconds
    loss_sum, loss_steps, started = torch.zeros((), device=device), 0, time.perf_counter()

    def step(index: Tensor) -> None:
        x = to_float(data.images.index_select(0, index))
        x = augment(x, config.augmentation, config.augmentation_strength, generator)
        x = x.sub_(data.mean).mul_(1 / data.std).contiguous(memory_format=torch.channels_last)  # [B, 1, 28, 28]
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            logits = model(x)  # [B, C]
        labels = data.labels[index]
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=config.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss_sum.add_(loss.detach())
        batches.learn(index, logits.detach(), labels)

    take = RecordedStep(step, generator, config.batch_size) if device.type == "cuda" else step
    model.train()
    for position in range(resume.step if resume is not None else 0, len(factors)):
        if not goes_on():
            return
        set_learning_rate(optimizer, config.learning_rate * factors[position])
        take(batches[position])
        loss_steps += 1
        done = position + 1
        if (done % _CHECK_EVERY == 0 or done in marks) and not math.isfinite(loss_sum.item()):
            raise TrainingError(f"the training loss is not finite by step {done}")
        if done in marks:
            seconds += time.perf_counter() - started
            metrics = {
                "train_loss": loss_sum.item() / loss_steps,
                "learning_rate": config.learning_rate * factors[position],
                "training_seconds": seconds,
            }
            if part == "train":
                mark = schedule.marks.index(done)
                metrics |= validate(model, data, precision, schedule.strides[mark] if schedule.strides else 1)
            if not on_rung(done * config.batch_size, metrics):
                return
            if on_state is not None and done < len(factors):
                on_state(functools.partial(capture, done, seconds, model, optimizer, generator, batches))
            loss_sum.zero_()
            loss_steps, started = 0, time.perf_counter()
            model.train()


def _batches(data: TrainingData, part: DataPart, config: TrainingConfig, schedule: Schedule, seed: int) -> Batches:
    if config.images == "all":
        return Batches(data.part(part), config.batch_size, seed)
    return HardBatches(
        data.part(part),
        config.batch_size,
        seed,
        n_images=len(data.labels),
        n_classes=data.n_classes,
        cycles=schedule.cycles,
        share=config.images_share,
        power=config.images_power,
    )


def predict_logits(model: nn.Module, data: TrainingData, index: Tensor, precision: Precision) -> NDArray[np.float32]:
    """Logits float32 [len(index), C] of images of the training file, without augmentation."""
    model.eval()
    device = data.images.device
    parts = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        for batch in torch.split(index, _EVALUATION_BATCH):
            x = to_float(data.images.index_select(0, batch)).sub_(data.mean).mul_(1 / data.std)
            parts.append(model(x.contiguous(memory_format=torch.channels_last)).float().cpu())
    logits: NDArray[np.float32] = torch.cat(parts).numpy()
    return logits


def validate(model: nn.Module, data: TrainingData, precision: Precision, stride: int = 1) -> dict[str, Any]:
    """Accuracy (a fraction), plain NLL, fitted temperature and NLL under it, and the logits, on every `stride`-th
    validation image: always the same ones, so that trials compare.

    Raises TrainingError when a logit is not finite.
    """
    index = data.validation[::stride]
    logits = predict_logits(model, data, index, precision)
    if not np.isfinite(logits).all():
        raise TrainingError("a validation logit is not finite")
    labels = data.labels[index].cpu().numpy()
    temperature = fit_temperature(logits, labels)
    return {
        "accuracy": accuracy(logits, labels),
        "nll": nll(logits, labels),
        "nll_scaled": nll(logits, labels, temperature),
        "temperature": temperature,
        "logits": logits,
    }


def choose_precision(device: torch.device) -> Precision:
    """bf16 where the processor computes in it, as asked of the device; elsewhere it would be emulated, and slow."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type != "cpu":
        return "fp32"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "fp32"
