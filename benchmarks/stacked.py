"""Networks of one shape trained as one batch on a GPU: each has its own weights, images and draws, and one kernel does
for all of them what it would do for one. Half a minute.

    python benchmarks/stacked.py [--networks 4 8 16 32] [--batch-size 128] [--layout channels_last] [--seconds 0.6]

The network is the CNN's first warm start, its convolutions in groups, with Muon and shifts; the step is recorded. Rows
give images a second of all networks together, and epochs of 50,000 images an hour. The largest stack is then trained
for one epoch and read on the validation images, building it and recording its step included in its time. First, in
fp32, its logits are held against those of each network alone. `--device cpu --networks 2 --steps 3` is a test.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from _data import build_model, warm_configs
from _rows import machine
from _speed import program_data
from torch import Tensor, nn

from study.data.augment import augment, to_float
from study.models.cnn import CNN
from study.training import muon
from study.training.config import training_config
from study.training.loop import TrainingData
from study.training.optim import learning_rate_factor
from study.training.recorded import RecordedStep

_EPOCH = 50_000
_CONFIG = warm_configs("cnn")[0]


class Stack:
    """Weights of K networks, each of one shape in one tensor [K, ...], and the optimizer that moves them."""

    def __init__(self, networks: list[nn.Module], device: torch.device, layout: torch.memory_format) -> None:
        self.k, self.training, self._device, self._layout = len(networks), True, device, layout
        cnns = [network for network in networks if isinstance(network, CNN)]

        def stacked(weight: Callable[[Any], Tensor]) -> Tensor:
            return torch.stack([weight(cnn).detach().contiguous() for cnn in cnns]).to(device).requires_grad_()

        self.convs = [stacked(lambda cnn, s=s: cnn.stages[s].body[0].weight) for s in range(3)]  # [K, O, I, h, w]
        self.gains = [stacked(lambda cnn, s=s: cnn.stages[s].end[0].weight) for s in range(3)]
        self.shifts = [stacked(lambda cnn, s=s: cnn.stages[s].end[0].bias) for s in range(3)]
        self.statistics = [(torch.zeros_like(g).flatten(), torch.ones_like(g).flatten()) for g in self.gains]
        self.hidden, self.hidden_bias = stacked(lambda cnn: cnn.head[1].weight), stacked(lambda cnn: cnn.head[1].bias)
        self.last, self.last_bias = stacked(lambda cnn: cnn.head[4].weight), stacked(lambda cnn: cnn.head[4].bias)
        self.matrices = [*self.convs[1:], self.hidden]
        self._momenta = [torch.zeros_like(matrix) for matrix in self.matrices]
        scale = [_scale(matrix) for matrix in self.matrices for _ in range(self.k)]
        self._scale = torch.tensor(scale, device=device).view(-1, 1, 1)
        plain = [*self.gains, *self.shifts, self.hidden_bias, self.last_bias]
        groups = [
            {"params": [self.convs[0], self.last], "weight_decay": _CONFIG["weight_decay"]},
            {"params": plain, "weight_decay": 0.0},
        ]
        self.rate = torch.zeros((), device=device)
        on_gpu = device.type == "cuda"
        self._adamw = torch.optim.AdamW(groups, lr=self.rate if on_gpu else 0.0, fused=True, capturable=on_gpu)

    def __call__(self, x: Tensor, *, low: bool = True) -> Tensor:
        """Images [B, K, 28, 28] to logits [K, B, 10]."""
        batch = len(x)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=low):
            for stage, weight in enumerate(self.convs):
                x = x.contiguous(memory_format=self._layout)
                stride, padding = (2, 2) if stage == 0 else (1, 1)
                x = F.conv2d(x, weight.flatten(0, 1), stride=stride, padding=padding, groups=self.k)
                x = self._norm(x if stage == 0 else F.max_pool2d(x, 2), stage)
            maps = x.reshape(batch, self.k, -1, *x.shape[2:]).permute(1, 0, 3, 4, 2).flatten(2)  # [K, B, H·W·C]
            maps = F.relu(_linear(maps, self.hidden, self.hidden_bias))
            return _linear(maps, self.last, self.last_bias).float()

    def _norm(self, x: Tensor, stage: int) -> Tensor:
        mean, variance = self.statistics[stage]
        gain, shift = self.gains[stage].flatten(), self.shifts[stage].flatten()
        return F.relu_(F.batch_norm(x, mean, variance, gain, shift, self.training, 0.1))

    @torch.no_grad()
    def move(self) -> None:
        """A step of Muon for the inner matrices, of AdamW for the rest."""
        gradients = [matrix.grad for matrix in self.matrices if matrix.grad is not None]
        torch._foreach_lerp_(self._momenta, gradients, 1 - _CONFIG["momentum"])
        wanted = torch._foreach_lerp(gradients, self._momenta, _CONFIG["momentum"])
        wide = [update.flatten(2) for update in wanted]
        side = max(x.shape[1] for x in wide)
        gram = torch.zeros(len(wide), self.k, side, side, device=self._device)
        for place, x in zip(gram, wide, strict=True):
            place[:, : x.shape[1], : x.shape[1]] = torch.bmm(x, x.mT)
        factors = muon._factors(gram.flatten(0, 1), self._scale * self.rate).view_as(gram)
        torch._foreach_mul_(self.matrices, 1 - self.rate * _CONFIG["weight_decay"])
        for matrix, factor, x in zip(self.matrices, factors, wide, strict=True):
            matrix.sub_(torch.bmm(factor[:, : x.shape[1], : x.shape[1]], x).view_as(matrix))
        self._adamw.step()
        for group in self._adamw.param_groups:
            for weight in group["params"]:
                weight.grad = None
        for matrix in self.matrices:
            matrix.grad = None

    def set_rate(self, rate: float) -> None:
        self.rate.fill_(rate)
        if self._device.type != "cuda":
            for group in self._adamw.param_groups:
                group["lr"] = rate


def _scale(matrix: Tensor) -> float:
    return float(muon._RMS_OF_ADAMW * max(matrix.shape[1], matrix[0, 0].numel()) ** 0.5)


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.baddbmm(bias.unsqueeze(1).to(x.dtype), x, weight.mT.to(x.dtype))


def stepper(stack: Stack, data: TrainingData, batch_size: int) -> Callable[[Tensor], None]:
    """What takes one step of all networks, with indices [K·B] of their images."""
    generator = torch.Generator(data.images.device).manual_seed(0)
    config = training_config(_CONFIG)

    def step(index: Tensor) -> None:
        x = augment(to_float(data.images[index]), config.augmentation, config.augmentation_strength, generator)
        x = x.sub_(data.mean).mul_(1 / data.std).view(stack.k, batch_size, 28, 28).transpose(0, 1)
        logits = stack(x).flatten(0, 1)
        loss = F.cross_entropy(logits, data.labels[index], label_smoothing=config.label_smoothing)
        (loss * stack.k).backward()  # type: ignore[no-untyped-call]
        stack.move()

    on_gpu = data.images.is_cuda
    return RecordedStep(step, generator, stack.k * batch_size) if on_gpu else step


def stack_of(k: int, device: torch.device, layout: torch.memory_format) -> Stack:
    return Stack([build_model(_CONFIG, seed) for seed in range(k)], device, layout)


@torch.no_grad()
def farthest_from_alone(device: torch.device, layout: torch.memory_format) -> float:
    """The largest difference of a logit from that of its network alone, in the length of the largest."""
    networks = [build_model(_CONFIG, seed) for seed in range(3)]
    x = torch.randn(16, 3, 28, 28, generator=torch.Generator().manual_seed(0)).to(device)
    found = Stack(networks, device, layout)(x, low=False)
    alone = torch.stack([network.to(device)(x[:, k : k + 1]) for k, network in enumerate(networks)])
    return float((found - alone).abs().max() / alone.abs().max())


def finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def speed(stack: Stack, data: TrainingData, batch_size: int, seconds: float) -> float:
    """Images a second, once the step has been recorded."""
    device = data.images.device
    take = stepper(stack, data, batch_size)
    index = torch.randint(0, len(data.images), (stack.k * batch_size,), device=device)
    for _ in range(6):
        take(index)
    finish(device)
    steps, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds or not steps:
        for _ in range(10):
            take(index)
        finish(device)
        steps += 10
    return steps * len(index) / elapsed


def train(
    k: int, data: TrainingData, batch_size: int, steps: int, layout: torch.memory_format
) -> tuple[float, list[float]]:
    """Seconds of a whole training of all networks, and their accuracies on the validation images."""
    device, started = data.images.device, time.perf_counter()
    stack = stack_of(k, device, layout)
    take = stepper(stack, data, batch_size)
    orders = [data.train[torch.randperm(len(data.train)).to(device)][: steps * batch_size] for _ in range(k)]
    batches = torch.stack(orders).view(k, steps, batch_size).transpose(0, 1).reshape(steps, -1)
    for step in range(steps):
        stack.set_rate(_CONFIG["learning_rate"] * learning_rate_factor("one_cycle", _CONFIG["warmup"], step / steps))
        take(batches[step])
    finish(device)
    seconds = time.perf_counter() - started
    stack.training = False
    right = torch.zeros(k, device=device)
    with torch.no_grad():
        for part in torch.split(data.validation, 500):
            x = (to_float(data.images[part]) - data.mean) / data.std
            right += (stack(x.expand(-1, k, -1, -1)).argmax(2) == data.labels[part]).sum(1)
    return seconds, (100 * right / len(data.validation)).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--networks", type=int, nargs="+", default=[4, 8, 16, 32])
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--layout", default="channels_last", choices=["channels_last", "contiguous"])
    parser.add_argument("--seconds", type=float, default=0.6, help="of each measurement")
    parser.add_argument("--steps", type=int, default=0, help="of the training in the end; 0 is an epoch")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no GPU here: nothing measured")
    layout = torch.channels_last if arguments.layout == "channels_last" else torch.contiguous_format
    data = program_data().to(device)
    print(f"{machine()}\nfarthest from a network alone: {farthest_from_alone(device, layout):.1e}\n")
    print("| networks | batch of each | images a second | ms a step | epochs an hour |\n|---|---|---|---|---|")
    for k in arguments.networks:
        found = speed(stack_of(k, device, layout), data, arguments.batch_size, arguments.seconds)
        step = 1000 * k * arguments.batch_size / found
        print(
            f"| {k} | {arguments.batch_size} | {found:,.0f} | {step:.2f} | {3600 * found / _EPOCH:,.0f} |", flush=True
        )
    k, steps = max(arguments.networks), arguments.steps or len(data.train) // arguments.batch_size
    seconds, accuracies = train(k, data, arguments.batch_size, steps, layout)
    mean, low, high = sum(accuracies) / k, min(accuracies), max(accuracies)
    print(f"\n{k} networks, {steps} steps: {seconds:.2f} s, {mean:.2f} % ({low:.2f} to {high:.2f}) on validation")


if __name__ == "__main__":
    main()
