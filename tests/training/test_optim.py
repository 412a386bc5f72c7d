from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from torch import nn

from study.training.config import OptimizerName, ScheduleName, TrainingConfig
from study.training.optim import build_optimizer, learning_rate_factor, set_learning_rate

OPTIMIZERS, SCHEDULES = get_args(OptimizerName), get_args(ScheduleName)


def config(optimizer: str, **more: Any) -> TrainingConfig:
    return TrainingConfig.model_validate({"optimizer": optimizer, "learning_rate": 0.05, "batch_size": 8, **more})


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_lowers_a_loss(name: str) -> None:
    model = network()
    optimizer = build_optimizer(model, config(name))
    x, y = torch.randn(32, 4, generator=torch.Generator().manual_seed(1)), torch.arange(32) % 2
    losses = []
    for _ in range(20):
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_biases_and_norms_are_not_decayed(name: str) -> None:
    model = network()
    groups = build_optimizer(model, config(name, weight_decay=0.1)).param_groups
    decayed = {id(p) for group in groups for p in group["params"] if group["weight_decay"] == 0.1}
    free = {id(p) for group in groups for p in group["params"] if group["weight_decay"] == 0.0}
    assert decayed == {id(p) for p in model.parameters() if p.ndim > 1}
    assert free == {id(p) for p in model.parameters() if p.ndim <= 1}


def test_what_is_frozen_is_left_out() -> None:
    model = nn.Linear(3, 2, bias=False)
    assert len(build_optimizer(model, config("sgd")).param_groups) == 1
    both = nn.Sequential(nn.Linear(3, 2, bias=False), nn.Linear(2, 2))
    both[0].weight.requires_grad_(False)
    held = [p for group in build_optimizer(both, config("sgd")).param_groups for p in group["params"]]
    assert len(held) == 2


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.9, True), (0.0, False)])
def test_nesterov_needs_a_momentum(momentum: float, nesterov: bool) -> None:
    group = build_optimizer(network(), config("sgd", momentum=momentum, nesterov=True)).param_groups[0]
    assert (group["momentum"], group["nesterov"]) == (momentum, nesterov)


def test_momentum_reaches_rmsprop() -> None:
    assert build_optimizer(network(), config("rmsprop", momentum=0.7)).param_groups[0]["momentum"] == 0.7


def test_nadam_decouples_its_decay_as_adamw_does() -> None:
    assert build_optimizer(network(), config("nadam")).param_groups[0]["decoupled_weight_decay"] is True


def test_one_cycle_by_hand() -> None:
    factors = [learning_rate_factor("one_cycle", 0.2, progress) for progress in (0.0, 0.1, 0.2, 0.6, 1.0)]
    assert factors == pytest.approx([0.04, 0.52, 1.0, 0.5, 0.0])


def test_cosine_and_linear_by_hand() -> None:
    assert [learning_rate_factor("cosine", 0.4, p) for p in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.5, 0.0])
    assert learning_rate_factor("cosine", 0.4, 1 / 3) == pytest.approx((1 + math.cos(math.pi / 3)) / 2)
    assert [learning_rate_factor("linear", 0.4, p) for p in (0.0, 0.3, 1.0)] == pytest.approx([1.0, 0.7, 0.0])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5])
def test_every_cycle_stays_within_its_peak_and_ends_near_zero(schedule: ScheduleName, warmup: float) -> None:
    factors = [learning_rate_factor(schedule, warmup, step / 100) for step in range(101)]
    assert max(factors) == pytest.approx(1.0)
    assert min(factors) >= -1e-12
    assert factors[-1] == pytest.approx(0.0, abs=1e-12)


def test_the_rate_is_set_for_every_group() -> None:
    optimizer = build_optimizer(network(), config("adam"))
    set_learning_rate(optimizer, 0.125)
    assert {group["lr"] for group in optimizer.param_groups} == {0.125}


def test_a_rate_that_a_recorded_step_reads_stays_where_it_is() -> None:
    rate = torch.tensor(0.5)
    optimizer = torch.optim.SGD(network().parameters(), lr=rate)
    set_learning_rate(optimizer, 0.125)
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.125
