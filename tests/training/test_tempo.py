"""What makes rungs of equal seconds, by a clock that is no machine's."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, chain, repeat

import pytest
import torch
from tiny_mlp import CONFIG

from study.training.loop import TrainingData
from study.training.tempo import Tempo


def steps(*seconds: float) -> Iterator[float]:
    """A clock that is read before and after a step of so many seconds each."""
    return accumulate(chain.from_iterable(zip(repeat(0.0), seconds)))  # the first is endless


@pytest.mark.parametrize(
    ("batch_size", "step", "scale"),
    [(50, 0.5, 2.0), (50, 4.0, 0.25), (100, 4.0, 0.5), (50, 1e-9, 8.0), (50, 1e9, 0.125)],
)
def test_a_configuration_is_measured_by_the_best_of_its_family_s_typical_one(
    training_data: TrainingData, batch_size: int, step: float, scale: float
) -> None:
    tempo = Tempo(training_data, "fp32")
    clock = steps(3.0, 1.0, 2.0, 9.0, 1.5, step, step)
    tempo._clock = lambda: next(clock)
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    found = [tempo.scale(CONFIG | {"batch_size": batch_size}, CONFIG | {"batch_size": 50}) for _ in range(2)]
    assert found == [scale, scale]  # the second time the typical one is known
    assert torch.equal(torch.rand(1), expected)  # what is drawn for the training itself is as without
