"""Corruptions: shape, range, determinism, and what each must do to a known picture."""

import pytest
import torch

from study.evaluation.corruptions import (
    LADDER,
    Corruption,
    brightness,
    canny_edges,
    corrupted,
    defocus,
    down_up,
    gaussian_blur,
    impulse_noise,
    motion_blur,
    rotate,
    scale,
    shear,
    shot_noise,
    stripe,
    translate,
)

LEVELS = [(corruption, level) for corruption in LADDER for level in corruption.levels]


@pytest.fixture
def digits() -> torch.Tensor:
    """Six pictures of a bright, slanted bar on black."""
    x = torch.zeros(6, 1, 28, 28)
    for row in range(6, 22):
        x[:, 0, row, 8 + row // 3 : 12 + row // 3] = 0.9
    return x


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(("corruption", "level"), LEVELS, ids=[f"{c.kind} {level}" for c, level in LEVELS])
def test_every_level_keeps_shape_and_range_changes_the_picture_and_repeats(
    corruption: Corruption, level: float, digits: torch.Tensor
) -> None:
    before = digits.clone()
    out = corrupted(digits, corruption, level)
    assert out.shape == digits.shape
    assert 0 <= float(out.min()) <= float(out.max()) <= 1
    assert not torch.allclose(out, digits, atol=1e-3)
    assert torch.equal(out, corrupted(digits, corruption, level))
    assert torch.equal(digits, before)


def test_another_seed_draws_otherwise(digits: torch.Tensor) -> None:
    noise = next(corruption for corruption in LADDER if corruption.kind == "impulse noise")
    assert not torch.equal(corrupted(digits, noise, 0.3, seed=0), corrupted(digits, noise, 0.3, seed=1))


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_gaussian_blur_spreads_a_dot_by_sigma_and_keeps_its_mass(sigma: float) -> None:
    x = torch.zeros(1, 1, 41, 41)
    x[0, 0, 20, 20] = 1
    out = gaussian_blur(x, sigma)[0, 0]
    position = torch.arange(41) - 20.0
    assert float(out.sum()) == pytest.approx(1, abs=1e-4)
    assert float((out.sum(dim=0) * position**2).sum()) == pytest.approx(sigma**2, rel=0.1, abs=0.04)


def test_defocus_spreads_a_dot_over_a_disk() -> None:
    x = torch.zeros(1, 1, 28, 28)
    x[0, 0, 14, 14] = 1
    out = defocus(x, 3, _generator())[0, 0]
    assert float(out.sum()) == pytest.approx(1, abs=1e-5)
    assert float(out[14, 14]) == pytest.approx(1 / (9 * torch.pi), rel=0.05)
    assert float(out[14, 18]) == 0


def test_motion_blur_keeps_the_mass_on_a_line(digits: torch.Tensor) -> None:
    dot = torch.zeros(4, 1, 28, 28)
    dot[:, 0, 14, 14] = 1
    out = motion_blur(dot, 7, _generator())
    assert out.sum(dim=(1, 2, 3)).tolist() == pytest.approx([1.0] * 4, abs=1e-5)
    assert all(5 <= int((one > 0).sum()) <= 9 for one in out)


def test_down_up_leaves_a_flat_picture_alone() -> None:
    flat = torch.full((1, 1, 28, 28), 0.4)
    assert torch.allclose(down_up(flat, 7, _generator()), flat)


def test_rotating_by_zero_or_shearing_by_zero_changes_nothing(digits: torch.Tensor) -> None:
    assert torch.allclose(rotate(digits, 0, _generator()), digits, atol=1e-4)
    assert torch.allclose(shear(digits, 0, _generator()), digits, atol=1e-4)


def test_a_quarter_turn_is_a_quarter_turn(digits: torch.Tensor) -> None:
    turned = rotate(digits[:1], 90, _generator())
    ways = [torch.rot90(digits[:1], k, (2, 3)) for k in (1, 3)]
    assert any(torch.allclose(turned, way, atol=1e-3) for way in ways)


def test_translating_moves_the_centre_of_mass_by_that_many_pixels(digits: torch.Tensor) -> None:
    def centre(x: torch.Tensor) -> torch.Tensor:
        axis, mass = torch.arange(28.0), x.sum(dim=(1, 2, 3))
        rows, columns = x.sum(dim=(1, 3)) @ axis / mass, x.sum(dim=(1, 2)) @ axis / mass
        return torch.stack([rows, columns], dim=1)

    moved = centre(translate(digits, 4, _generator())) - centre(digits)
    assert moved.norm(dim=1).tolist() == pytest.approx([4.0] * 6, abs=0.05)


def test_halving_the_scale_quarters_the_mass(digits: torch.Tensor) -> None:
    assert float(scale(digits, 0.5, _generator()).sum()) == pytest.approx(float(digits.sum()) / 4, rel=1e-4)


def test_stripe_inverts_a_band_of_that_width(digits: torch.Tensor) -> None:
    changed = (stripe(digits, 4, _generator()) != digits).any(dim=2)
    assert changed.sum(dim=(1, 2)).tolist() == [4] * 6


def test_noise_follows_its_level() -> None:
    grey = torch.full((40, 1, 28, 28), 0.5)
    noisy = shot_noise(grey, 100, _generator())
    assert float(noisy.var()) == pytest.approx(0.5 / 100, rel=0.05)
    assert float((impulse_noise(grey, 0.3, _generator()) != 0.5).float().mean()) == pytest.approx(0.3, abs=0.01)


def test_brightness_adds_and_clips() -> None:
    x = torch.tensor([0.0, 0.5, 0.9]).view(1, 1, 1, 3)
    assert brightness(x, 0.2, _generator()).flatten().tolist() == pytest.approx([0.2, 0.7, 1.0])


def test_canny_draws_the_outline_of_a_square_and_leaves_its_inside_black() -> None:
    x = torch.zeros(1, 1, 28, 28)
    x[0, 0, 8:20, 8:20] = 1
    edges = canny_edges(x, 0.3, _generator())[0, 0]
    assert float(edges[11:17, 11:17].sum()) == 0
    assert float(edges[:6].sum()) == 0
    assert float(edges[14, 6:11].sum()) >= 1
    assert set(edges.unique().tolist()) == {0.0, 1.0}
