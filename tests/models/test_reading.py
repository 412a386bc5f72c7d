"""What is read again, what comes of it, and that a stored first reading leads to the same."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from study.models.reading import Reader, ShiftedReading, read_again

MEAN, STD = 0.13, 0.31


class Recorded(nn.Module):
    """Logits that depend on each pixel's place, so that a shift is seen; keeps how many pictures it read."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(784, 3, generator=torch.Generator().manual_seed(0)) / 50)
        self.read = 0

    def forward(self, x: Tensor) -> Tensor:
        assert len(x)
        self.read += len(x)
        return x.flatten(1) @ self.weights


@pytest.fixture
def images() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (40, 1, 28, 28), generator=generator, dtype=torch.uint8)


def moved(images: Tensor, down: int, right: int) -> Tensor:
    """Rolled, with what came round the edge made black."""
    result = images.roll((down, right), (2, 3))
    result[..., slice(0, down) if down > 0 else slice(28 + down, 28), :] = 0
    result[..., slice(0, right) if right > 0 else slice(28 + right, 28)] = 0
    return result


def once(network: nn.Module, images: Tensor) -> Tensor:
    return network((images.float() / 255 - MEAN) / STD)


def median_confidence(logits: Tensor, temperature: float) -> float:
    return float((logits / temperature).softmax(1).amax(1).median())


@torch.inference_mode()
def test_a_reader_without_shifts_normalises_and_reads_once(images: Tensor) -> None:
    network = Recorded()
    assert torch.equal(Reader(network, MEAN, STD)(images), once(network, images))
    assert network.read == 2 * len(images)


@torch.inference_mode()
def test_what_is_unsure_has_the_mean_of_five_readings_and_the_rest_stays(images: Tensor) -> None:
    network, temperature = Recorded(), 0.5
    first = once(network, images)
    below = median_confidence(first, temperature)
    unsure = (first / temperature).softmax(1).amax(1) < below
    assert 10 < unsure.sum() < 30
    five = [first, *(once(network, moved(images, *by)) for by in ((1, 0), (-1, 0), (0, 1), (0, -1)))]
    expected = torch.where(unsure[:, None], torch.stack(five).mean(0), first)
    network.read = 0
    found = Reader(network, MEAN, STD, ShiftedReading(below=below, temperature=temperature))(images)
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.equal(found[~unsure], first[~unsure])
    assert network.read == len(images) + 4 * int(unsure.sum())


@torch.inference_mode()
def test_a_stored_first_reading_leads_to_the_same_logits(images: Tensor) -> None:
    network = Recorded()
    first = once(network, images)
    reader = Reader(network, MEAN, STD, ShiftedReading(below=median_confidence(first, 1.0), temperature=1.0))
    expected, network.read = reader(images), 0
    stored = first.numpy()
    again = read_again(reader, images.squeeze(1), stored)
    assert np.allclose(again.logits, expected.numpy(), atol=1e-5)
    assert (again.passes == np.where(reader.is_unsure(first), 5, 1)).all()
    assert network.read == 4 * int(reader.is_unsure(first).sum())
    assert np.array_equal(stored, first.numpy())


@torch.inference_mode()
def test_pictures_that_are_all_sure_are_read_once(images: Tensor) -> None:
    network = Recorded()
    reader = Reader(network, MEAN, STD, ShiftedReading(below=0.0, temperature=1.0))
    assert torch.equal(reader(images), once(network, images))
    assert network.read == 2 * len(images)
