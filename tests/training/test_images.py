from __future__ import annotations

import pytest
import torch
from torch import Tensor

from study.training.images import Batches, HardBatches

PART = torch.arange(100, 200)  # of 300 images


def hard(cycles: tuple[int, ...] = (40,), *, share: float = 0.5, power: float = 0.5, seed: int = 3) -> HardBatches:
    about = {"n_images": 300, "n_classes": 10, "cycles": cycles, "share": share, "power": power}
    return HardBatches(PART, 10, seed, **about)


def learn(batches: HardBatches, index: Tensor, right: Tensor) -> None:
    """Show the network's opinion of images: sure of the class where `right`, of another where not."""
    logits = torch.zeros(len(index), 10)
    logits[:, 0] = torch.where(right, 9.0, -3.0)
    batches.learn(index, logits, torch.zeros(len(index), dtype=torch.int64))


def shown(batches: Batches, steps: range) -> Tensor:
    return torch.cat([batches[step] for step in steps])


def test_the_first_pass_is_that_of_all_images() -> None:
    everything = Batches(PART, 10, 3)
    batches = hard()
    for step in range(10):
        assert torch.equal(batches[step], everything[step])


def test_hard_images_are_shown_more_often_and_none_twice_in_a_pass() -> None:
    batches = hard((1000,))
    shown(batches, range(10))
    learn(batches, PART, PART < 180)
    counts = torch.zeros(300)
    for first in range(10, 110, 5):
        images = shown(batches, range(first, first + 5))
        assert len(images.unique()) == 50
        counts[images] += 1
    assert not counts[:100].any()
    assert not counts[200:].any()
    assert counts[180:200].min() == 20  # twenty hard ones among a hundred, of which fifty are shown
    assert 0 < counts[100:180].mean() < 9


@pytest.mark.parametrize(("share", "size"), [(0.25, 25), (1.0, 100), (0.001, 1)])
def test_a_pass_shows_the_share_asked_for(share: float, size: int) -> None:
    batches = hard((1000,), share=share)
    shown(batches, range(10))
    images = shown(batches, range(10, 10 + -(-size // 10)))[:size]
    assert len(images.unique()) == size


def test_power_zero_draws_alike() -> None:
    batches = hard((2000,), power=0.0)
    shown(batches, range(10))
    learn(batches, PART, PART < 180)
    counts = torch.bincount(shown(batches, range(10, 1010)), minlength=300)[100:200].float()
    assert counts.mean() == 100
    assert abs(counts[80:].mean() - 100) < 8  # 20 images of 200 draws each, one standard error is 1.6


def test_the_last_part_of_each_cycle_sees_all_images_in_turn() -> None:
    batches = hard((200, 400))
    learn(batches, PART, PART < 180)
    shown(batches, range(190))
    assert sorted(shown(batches, range(190, 200)).tolist()) == PART.tolist()
    shown(batches, range(200, 580))
    assert sorted(shown(batches, range(580, 590)).tolist()) == PART.tolist()
    assert sorted(shown(batches, range(590, 600)).tolist()) == PART.tolist()


def test_a_run_shorter_than_a_pass_is_that_of_all_images() -> None:
    batches, everything = hard((8,)), Batches(PART, 10, 3)
    assert all(torch.equal(batches[step], everything[step]) for step in range(8))


def test_draws_depend_on_seed_and_losses_alone() -> None:
    one, same, other, easier = hard(), hard(), hard(seed=4), hard()
    for batches in (one, same, other, easier):
        shown(batches, range(10))
        learn(batches, PART, (150 if batches is easier else 180) > PART)
    first = shown(one, range(10, 30))
    assert torch.equal(first, shown(same, range(10, 30)))
    assert not torch.equal(first, shown(other, range(10, 30)))
    assert not torch.equal(first, shown(easier, range(10, 30)))


def test_a_state_within_a_pass_goes_on_with_it() -> None:
    one = hard()
    shown(one, range(10))
    learn(one, PART, PART < 180)
    shown(one, range(10, 12))
    learn(one, PART, PART < 110)  # what the pass after this one will be drawn by
    state = {name: values.clone() for name, values in one.state().items()}
    other = hard()
    other.restore(state)
    assert torch.equal(shown(one, range(12, 40)), shown(other, range(12, 40)))


def test_all_images_have_no_state() -> None:
    assert Batches(PART, 10, 3).state() == {}
