"""Optimizers in their fastest form on the device at hand, and the shapes of a learning-rate cycle."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from study.training.config import ScheduleName, TrainingConfig
from study.training.muon import Muon, is_matrix

# One-cycle starts at a 25th of its peak, as in Smith's super-convergence (arXiv:1708.07120) and PyTorch's scheduler.
_ONE_CYCLE_START = 0.04


def build_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Optimizer over the model's parameters; biases and normalisation scales (1-D) are not decayed.

    On a GPU its learning rate is a tensor there, and all of its state: a recorded step reads them where they are.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    weights = [p for p in parameters if p.ndim > 1]
    matrices = _hidden(weights) if config.optimizer == "muon" else []
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": config.weight_decay, "orthogonal": True},
        {"params": _without(weights, matrices), "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rate: float | Tensor = config.learning_rate
    if on_gpu := parameters[0].is_cuda:
        rate = torch.tensor(rate, device=parameters[0].device)
    if config.optimizer == "sgd":
        nesterov = config.nesterov and config.momentum > 0
        return torch.optim.SGD(groups, lr=rate, momentum=config.momentum, nesterov=nesterov, fused=True)
    if config.optimizer == "adam":
        return torch.optim.Adam(groups, lr=rate, fused=True, capturable=on_gpu)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, fused=True, capturable=on_gpu)
    if config.optimizer == "muon":
        return Muon(groups, rate, config.momentum, capturable=on_gpu)
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, lr=rate, momentum=config.momentum, capturable=on_gpu)
    return torch.optim.NAdam(groups, lr=rate, decoupled_weight_decay=True, capturable=on_gpu)


def _hidden(weights: list[nn.Parameter]) -> list[nn.Parameter]:
    """Weights for Muon: all but those of the first and the last layer, the ones declared first and last. Jordan leaves
    both to AdamW; here Muon of the first was as good, and dearer."""
    return [weight for weight in weights[1:-1] if is_matrix(weight)]


def _without(weights: list[nn.Parameter], others: list[nn.Parameter]) -> list[nn.Parameter]:
    return [weight for weight in weights if all(weight is not other for other in others)]


def learning_rate_factor(schedule: ScheduleName, warmup: float, progress: float) -> float:
    """Factor on the peak rate at `progress` in [0, 1] of a cycle; every shape ends near zero.

    one_cycle rises linearly over `warmup`, then falls as a half cosine; cosine and linear start at the peak.
    """
    if schedule == "linear":
        return 1.0 - progress
    if schedule == "one_cycle" and progress < warmup:
        return _ONE_CYCLE_START + (1.0 - _ONE_CYCLE_START) * progress / warmup
    rest = (progress - warmup) / (1.0 - warmup) if schedule == "one_cycle" else progress
    return 0.5 * (1.0 + math.cos(math.pi * rest))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
