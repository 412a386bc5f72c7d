"""Each pen, mark and light does what its name says, picture by picture, and leaves the batch's order and range."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from study.data import other_hands
from study.data.augment import augment, n_plain
from study.data.other_hands import LIGHTS, MARKS, PENS, by_other_hands

STEPS = {step.__name__: step for step in (*PENS, *MARKS, *LIGHTS)}
SAME = other_hands._as_it_is.__name__


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def sticks() -> Tensor:
    """Sixteen upright strokes three pixels wide from row 5 to 22, each in a column of its own."""
    x = torch.zeros(16, 1, 28, 28)
    for i in range(16):
        x[i, 0, 5:23, 4 + i : 7 + i] = 1
    return x


def centres(x: Tensor) -> Tensor:
    return (x.sum(dim=(1, 2)) * torch.arange(28)).sum(1) / x.sum(dim=(1, 2, 3))


@pytest.mark.parametrize("name", STEPS)
def test_a_step_keeps_form_and_range_and_its_input(name, sticks):
    before = sticks.clone()
    drawn = STEPS[name](sticks, generator())
    assert torch.equal(sticks, before)
    assert drawn.shape == sticks.shape
    assert 0 <= drawn.min() <= drawn.max() <= 1 + 1e-6
    assert torch.equal(drawn, sticks) == (name == SAME)
    assert torch.equal(drawn, STEPS[name](sticks, generator()))


def test_pens_marks_and_lights_change_ink_as_they_should(sticks):
    ink = {name: step(sticks, generator(1)).sum(dim=(1, 2, 3)) for name, step in STEPS.items()}
    plain = sticks.sum(dim=(1, 2, 3))
    assert (ink["_thick"] > plain).all()
    assert (ink["_thin"] < plain).all()
    assert (ink["_lines"] >= plain).all()
    assert (ink["_gaps"] <= plain).all()
    assert (ink["_gaps"] < plain).any()
    assert torch.allclose(ink["_blur"], plain, rtol=0.02)
    inside = other_hands._outline(sticks, generator())[:, 0, 10:18][sticks[:, 0, 10:18] == 1]
    assert float(inside.mean()) < 0.35


def test_a_blur_is_gaussian_and_each_picture_has_its_own(sticks):
    x = sticks + 0.1 * torch.rand(sticks.shape, generator=generator(2))
    x = x[..., :26].clamp(0, 1)  # as wide as not high
    sigma = 0.4 + 2.6 * torch.rand(len(x), generator=generator(1))
    drawn = other_hands._blur(x, generator(1))
    wanted = [
        ndimage.gaussian_filter(a[0].numpy(), s, radius=6, mode="constant")
        for a, s in zip(x, sigma.tolist(), strict=True)
    ]
    assert torch.allclose(drawn[:, 0], torch.from_numpy(np.stack(wanted)), atol=1e-5)


def test_a_stroke_is_the_ink_near_a_straight_line():
    start, end = torch.tensor([[[4.0, 9.0]], [[5.0, 9.0]]]), torch.tensor([[[14.0, 9.0]], [[5.0, 20.0]]])
    ink = other_hands._strokes(torch.zeros(1, 1, 28, 24), start, end, torch.tensor([[0.8, 0.2]]))[0, 0]
    assert ink.shape == (28, 24)
    assert ink[5, 4:15].min() == 1  # (4, 5) to (14, 5), 0.8 wide to each side and half a pixel of shade
    assert ink[6, 10] == pytest.approx(0.3, abs=1e-6)
    assert ink[12, 9] == pytest.approx(0.7, abs=1e-6)  # the other one, from (9, 9) to (9, 20)
    assert ink[5, 2] == 0
    assert ink[3, 9] == 0


def test_an_upstroke_hangs_down_to_the_left_from_the_topmost_ink(sticks):
    added = other_hands._upstroke(sticks, generator()) - sticks
    for i, picture in enumerate(added[:, 0] > 0.5):
        rows, columns = picture.nonzero(as_tuple=True)
        assert len(rows)
        assert rows.min() >= 4
        assert columns.max() <= 6 + i
        assert columns.min() < 4 + i


def test_a_batch_keeps_its_order_and_only_its_end_is_by_other_hands(sticks):
    drawn = by_other_hands(sticks.repeat(8, 1, 1, 1), generator(3))
    near = (centres(drawn) - centres(sticks).repeat(8)).abs() < 4
    assert near.float().mean() > 0.8
    batch = sticks.repeat(2, 1, 1, 1)
    kept = n_plain(len(batch))
    plain = augment(batch, "hands", 0.5, generator())[:kept]
    assert torch.equal(plain.sum(dim=(1, 2, 3)), batch[:kept].sum(dim=(1, 2, 3)))
