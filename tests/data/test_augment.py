"""Batch augmentation: each image its own draw, range and shape kept, the same for the same generator state."""

import pytest
import torch
from torch.nn import functional as F

from study.data.augment import MAX_SHIFT_PIXELS, augment, to_float
from study.errors import ConfigError

KINDS = ["shift", "affine", "elastic", "hands"]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def blob(n=16):
    """n times the same soft square in the middle."""
    x = torch.zeros(1, 1, 28, 28)
    x[..., 10:18, 12:16] = 1
    return F.avg_pool2d(x, 3, stride=1, padding=1).repeat(n, 1, 1, 1)


def centre(x):
    """Centre of mass, [B, 2] in pixels."""
    mass = x.squeeze(1) / x.sum((2, 3))[:, :, None].squeeze(1)[:, None]
    place = torch.arange(28.0)
    return torch.stack([(mass.sum(2) * place).sum(1), (mass.sum(1) * place).sum(1)], dim=1)


def test_to_float_scales_to_one():
    x = to_float(torch.tensor([[[0, 51], [102, 255]]], dtype=torch.uint8))
    torch.testing.assert_close(x, torch.tensor([[[[0.0, 0.2], [0.4, 1.0]]]]))


def test_none_returns_the_batch_itself():
    x = blob()
    assert augment(x, "none", 0.5, generator()) is x


@pytest.mark.parametrize("kind", KINDS)
def test_shape_type_and_range_are_kept(kind):
    x = torch.rand(8, 1, 28, 28, generator=generator())
    y = augment(x, kind, 1.0, generator())
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    assert 0 <= y.min() <= y.max() <= 1 + 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_generator_state_gives_the_same_batch(kind):
    assert torch.equal(augment(blob(), kind, 0.5, generator(1)), augment(blob(), kind, 0.5, generator(1)))
    assert not torch.equal(augment(blob(), kind, 0.5, generator(1)), augment(blob(), kind, 0.5, generator(2)))


@pytest.mark.parametrize("kind", KINDS)
def test_each_image_has_its_own_draw(kind):
    pictures = {tuple(picture.flatten().tolist()) for picture in augment(blob(16), kind, 1.0, generator())}
    assert len(pictures) > 10


@pytest.mark.parametrize("kind", KINDS)
def test_torch_global_generator_is_left_alone(kind):
    before = torch.get_rng_state()
    augment(blob(), kind, 0.5, generator())
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("kind", KINDS)
def test_the_input_is_not_changed(kind):
    x = blob()
    augment(x, kind, 1.0, generator())
    assert torch.equal(x, blob())


@pytest.mark.parametrize("kind", ["affine", "elastic"])
def test_a_tiny_strength_changes_next_to_nothing(kind):
    torch.testing.assert_close(augment(blob(), kind, 1e-4, generator()), blob(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("kind", ["affine", "elastic"])
def test_more_strength_moves_more(kind):
    weak, strong = ((augment(blob(64), kind, strength, generator()) - blob(64)).abs().mean() for strength in (0.2, 1.0))
    assert strong > 2 * weak


def test_shift_moves_by_whole_pixels_up_to_its_reach():
    moved = centre(augment(blob(400), "shift", 1.0, generator())) - centre(blob(400))
    assert torch.allclose(moved, moved.round(), atol=1e-3)
    assert moved.round().amin(0).tolist() == [-MAX_SHIFT_PIXELS] * 2
    assert moved.round().amax(0).tolist() == [MAX_SHIFT_PIXELS] * 2


def test_shift_brings_in_zeros():
    assert augment(torch.ones(64, 1, 28, 28), "shift", 1.0, generator()).amin((1, 2, 3)).eq(0).any()


def test_affine_keeps_the_digit_near_its_place():
    moved = centre(augment(blob(200), "affine", 1.0, generator())) - centre(blob(200))
    assert moved.abs().max() < 6
    assert moved.mean(0).abs().max() < 0.5


def test_bf16_autocast_does_not_touch_the_coordinates():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = augment(blob(), "elastic", 0.5, generator())
    assert torch.equal(inside, augment(blob(), "elastic", 0.5, generator()))


@pytest.mark.parametrize("strength", [0.0, -1.0, 1.5, float("nan")])
def test_a_strength_out_of_range_is_refused(strength):
    with pytest.raises(ConfigError, match="augmentation_strength is"):
        augment(blob(), "shift", strength, generator())


def test_an_unknown_kind_is_refused():
    with pytest.raises(ConfigError, match="'cutmix' is unknown: expected one of none, shift, affine, elastic"):
        augment(blob(), "cutmix", 0.5, generator())
