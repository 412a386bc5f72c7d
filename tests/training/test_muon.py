from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from study.training.config import TrainingConfig
from study.training.muon import Muon, as_matrix, batches_of, is_matrix, subtract_orthogonal
from study.training.optim import build_optimizer, set_learning_rate

SHAPES = [(32, 144), (32, 40), (144, 32), (32, 32), (32, 10_000), (64, 80), (9, 70)]  # padded to one short side


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def nearest(matrix: Tensor) -> Tensor:
    """The orthogonal matrix by the definition: singular values replaced by one."""
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    return u @ v


def orthogonalised(matrices: Sequence[Tensor], scale: Tensor) -> list[Tensor]:
    moved = [torch.zeros_like(matrix) for matrix in matrices]
    subtract_orthogonal(list(zip(moved, matrices, strict=True)), -scale)
    return moved


def alone(matrix: Tensor, scale: float = 1.0) -> Tensor:
    return orthogonalised([matrix], torch.full((1, 1, 1), scale))[0]


def test_a_batch_of_several_shapes_is_brought_near_the_orthogonal_ones() -> None:
    matrices = [drawn(*shape, seed=seed) for seed, shape in enumerate(SHAPES)]
    scales = torch.arange(1.0, 8.0).view(-1, 1, 1)
    for matrix, found, scale in zip(matrices, orthogonalised(matrices, scales), scales, strict=True):
        found = found / scale.item()
        values = torch.linalg.svdvals(found)
        assert found.shape == matrix.shape
        assert values.max() < 1.52
        assert values.median() > 0.6
        assert (found * nearest(matrix)).sum() / min(matrix.shape) > 0.7  # of 1, were all of them one
        torch.testing.assert_close(found, alone(matrix))


def test_singular_values_from_a_thirtieth_of_the_largest_on_end_near_one() -> None:
    found = alone(torch.diag(torch.logspace(-1.5, 0, 40))).diagonal()
    assert found.min() > 0.48
    assert found.max() < 1.52


def test_batches_are_of_one_short_side_thin_ones_together() -> None:
    shapes = [(80, 99), (4, 8), (99, 80), (64, 99), (65, 99), (80, 80)]
    batches = batches_of([(torch.zeros(shape), torch.zeros(shape)) for shape in shapes])
    found = [[tuple(weight.shape) for weight, _ in batch] for batch in batches]
    assert found == [[(80, 99), (99, 80), (80, 80)], [(4, 8), (64, 99)], [(65, 99)]]


@pytest.mark.parametrize("factor", [1e-8, 1e-3, 1e6])
def test_how_large_a_gradient_is_does_not_matter(factor: float) -> None:
    matrix = drawn(16, 30)
    torch.testing.assert_close(alone(matrix * factor), alone(matrix))


def test_no_gradient_is_no_movement() -> None:
    assert not alone(torch.zeros(4, 9)).any()


def test_an_update_is_as_large_as_one_of_adamw() -> None:
    weight = nn.Parameter(torch.zeros(64, 288))
    weight.grad = drawn(64, 288)
    Muon([{"params": [weight], "weight_decay": 0.0, "orthogonal": True}], 0.01, 0.9, capturable=False).step()
    assert 0.1 * 0.01 < weight.detach().square().mean().sqrt() < 0.3 * 0.01


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_convolution_is_a_matrix_as_it_lies_in_memory(layout: torch.memory_format) -> None:
    weight = drawn(8, 4, 3, 3).to(memory_format=layout)
    assert is_matrix(weight)
    matrix = as_matrix(weight, weight)
    assert matrix.shape == (8, 36)
    assert matrix.data_ptr() == weight.data_ptr()
    assert matrix.is_contiguous()


def test_what_is_no_matrix_is_left_to_adamw() -> None:
    assert not is_matrix(torch.zeros(7))
    assert not is_matrix(torch.zeros(1, 49, 64)[:, :, :1])
    assert not is_matrix(torch.zeros(64, 1))
    assert not is_matrix(torch.zeros(4, 6).T)


def config(**more: object) -> TrainingConfig:
    about = {"optimizer": "muon", "learning_rate": 0.05, "batch_size": 8, "momentum": 0.9}
    return TrainingConfig.model_validate(about | more)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    stem = nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()
    body = nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.Flatten()
    return nn.Sequential(*stem, *body, nn.Linear(6 * 22 * 22, 2))


def test_first_and_last_layer_norms_and_biases_move_as_under_adamw() -> None:
    x, moved = drawn(16, 1, 28, 28), []
    for name in ("muon", "adamw"):
        model = network()
        optimizer = build_optimizer(model, config(optimizer=name, weight_decay=0.1))
        model(x).square().sum().backward()
        optimizer.step()
        moved.append(list(model.parameters()))
    same = [torch.equal(one, other) for one, other in zip(*moved, strict=True)]
    assert same == [True, True, True, False, True, False, True, True, True]  # the inner convolutions' weights differ


def test_a_layout_changes_nothing_but_memory() -> None:
    x, moved = drawn(16, 1, 28, 28), []
    for layout in (torch.contiguous_format, torch.channels_last):
        model = network().to(memory_format=layout)
        optimizer = build_optimizer(model, config())
        for _ in range(3):
            model(x).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        moved.append(list(model.parameters()))
    for one, other in zip(*moved, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


def test_momentum_decay_and_rate_by_hand() -> None:
    weight = nn.Parameter(drawn(6, 10))
    groups = [{"params": [weight], "weight_decay": 0.5, "orthogonal": True}]
    optimizer = Muon(groups, 0.1, 0.8, capturable=False)
    expected, momentum = weight.detach().clone(), torch.zeros(6, 10)
    for step, rate in enumerate((0.1, 0.02)):
        set_learning_rate(optimizer, rate)
        gradient = drawn(6, 10, seed=step + 1)
        weight.grad = gradient.clone()
        optimizer.step()
        momentum = 0.8 * momentum + 0.2 * gradient
        move = alone(0.2 * gradient + 0.8 * momentum, rate * 0.2 * 10**0.5)
        expected = expected * (1 - rate * 0.5) - move
        torch.testing.assert_close(weight.detach(), expected)


def test_a_weight_without_a_gradient_stays() -> None:
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(4)))
    optimizer = build_optimizer(model, config(weight_decay=0.1))
    before = model[1].weight.detach().clone()
    model[2:](drawn(3, 4)).sum().backward()
    optimizer.step()
    assert torch.equal(model[1].weight, before)
    optimizer.zero_grad()
    optimizer.step()  # nor does it mind when nothing has one
