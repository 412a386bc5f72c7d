from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import torch
from small_networks import config
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from study.data import augment
from study.data.augment import KINDS
from study.training import loop
from study.training.config import OptimizerName, build_model, training_config
from study.training.loop import TrainingData, fit
from study.training.recorded import RecordedStep, Step
from study.training.schedule import Schedule
from study.training.state import TrainingState

OPTIMIZERS = get_args(OptimizerName)
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


@pytest.fixture
def resident(training_data: TrainingData) -> TrainingData:
    return training_data.to(torch.device("cuda"))


def train(
    data: TrainingData,
    about: dict[str, Any],
    resume: TrainingState | None = None,
    keep: list[TrainingState] | None = None,
) -> nn.Module:
    torch.manual_seed(5)
    model = build_model(about, 10).to(data.images.device).to(memory_format=torch.channels_last)
    states: list[TrainingState] = [] if keep is None else keep
    fit(
        model,
        data,
        training_config(about),
        Schedule((30,), (7, 14, 30)),
        lambda *_: True,
        seed=11,
        resume=resume,
        on_state=lambda capture: states.append(capture()),
    )
    return model


def distance(one: nn.Module, other: nn.Module) -> float:
    """Of the weights, in the length of the second's."""
    a, b = (torch.cat([p.detach().flatten() for p in model.parameters()]) for model in (one, other))
    return float((a - b).norm() / b.norm())


@on_gpu
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_recorded_steps_train_as_launched_ones_do(
    resident: TrainingData,
    monkeypatch: pytest.MonkeyPatch,
    network: str,
    optimizer: str,
) -> None:
    """Dropout, augmentation and each step's rate included: a draw or a rate that stayed as recorded would show.

    A convolution's gradient that is added up in any order differs from run to run by 3e-7. Where a maximum then changes
    its place, 30 steps make of it a fifth of what the other rate does, launched or recorded: here the order is kept.
    """
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    about = config(network, optimizer)
    recorded = train(resident, about)
    other_rate = train(resident, about | {"learning_rate": 0.011})
    monkeypatch.setattr(loop, "RecordedStep", lambda step, generator, batch_size: step)
    launched, again = train(resident, about), train(resident, about)
    assert distance(recorded, launched) < max(0.1 * distance(other_rate, launched), 3 * distance(again, launched))
    assert distance(recorded, launched) < 0.5 * distance(other_rate, launched)


@on_gpu
@pytest.mark.parametrize("kind", KINDS)
def test_every_augmentation_can_be_recorded(resident: TrainingData, kind: str) -> None:
    model = train(resident, config("cnn", "adamw") | {"augmentation": kind})
    assert all(p.isfinite().all() for p in model.parameters())


@on_gpu
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_a_run_on_a_gpu_goes_on_as_if_it_had_never_stopped(
    resident: TrainingData, network: str, optimizer: str
) -> None:
    about = config(network, optimizer)
    states: list[TrainingState] = []
    whole = train(resident, about, keep=states)
    again = train(resident, about)
    repeats = distance(again, whole)  # a GPU that adds in any order does not repeat bit for bit
    for state in states:
        continued = train(resident, about, resume=state)
        assert distance(continued, whole) <= max(1e-3, 3 * repeats)


@on_gpu
def test_one_step_in_a_graph_moves_on_with_the_batch(resident: TrainingData) -> None:
    seen: list[Tensor] = []
    total = torch.zeros((), dtype=torch.int64, device="cuda")

    def step(index: Tensor) -> None:
        seen.append(index)
        total.add_(index.sum())

    take: Step = RecordedStep(step, torch.Generator("cuda").manual_seed(0), 4)
    for start in range(10):
        take(torch.arange(start, start + 4, device="cuda"))
    assert total.item() == sum(4 * start + 6 for start in range(10))
    assert len(seen) == 4  # three as they are, and one to record


@on_gpu
def test_the_losses_of_hard_images_are_noted_by_a_recorded_step(resident: TrainingData) -> None:
    states: list[TrainingState] = []
    train(resident, config("cnn", "muon") | {"images": "hard"}, keep=states)
    losses = [state.tensors["images.losses"][resident.train.cpu()] for state in states]
    assert (losses[0] != losses[1]).float().mean() > 0.5  # 448 of 600 images between the two


@pytest.fixture
def own_grids() -> Iterator[None]:
    """Grids that are kept are tensors without content, too: they are not to outlive the test."""
    kept = augment._base_grid, augment._elastic_basis, augment._spline_weights
    for grid in kept:
        grid.cache_clear()
    yield
    for grid in kept:
        grid.cache_clear()


@pytest.mark.usefixtures("own_grids")
@pytest.mark.parametrize(("optimizer", "images"), [("sgd", "all"), ("muon", "hard")])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_a_step_asks_nothing_of_its_device(
    training_data: TrainingData, monkeypatch: pytest.MonkeyPatch, network: str, kind: str, optimizer: str, images: str
) -> None:
    """Reading a number back from a GPU would break a recording; tensors without content have none to read."""
    about = config(network, optimizer) | {"augmentation": kind, "images": images}
    monkeypatch.setattr(math, "isfinite", lambda _: pytest.fail("the loss was looked at"))
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = build_model(about, 10)
        fit(model, training_data, training_config(about), Schedule((3,), ()), lambda *_: True, seed=0)
