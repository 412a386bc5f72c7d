"""Augmentation of a batch at a time, drawn anew for each image. Strength 1 is the widest that still reads as the digit.

One interpolation per image: rotation, scale, shear, translation and the elastic field are one sampling grid. With
"hands" the last BY_HANDS of a batch, whose order is random, are elastic and then drawn by other pens, the others
shifted.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from study.data.other_hands import by_other_hands
from study.errors import ConfigError

Kind = Literal["none", "shift", "affine", "elastic", "hands"]
KINDS: tuple[str, ...] = get_args(Kind)

MAX_SHIFT_PIXELS = 4
MAX_DEGREES = 20.0
MAX_SCALE = 0.2
MAX_SHEAR = 0.2
MAX_TRANSLATION_PIXELS = 3.0
ELASTIC_KNOTS = 6
ELASTIC_PIXELS = 1.5
BY_HANDS = 0.3  # of a batch


def to_float(images: Tensor) -> Tensor:
    """uint8 [B, 28, 28] to float32 [B, 1, 28, 28] in [0, 1]."""
    return images.unsqueeze(1).float().mul_(1 / 255)


def augment(x: Tensor, kind: str, strength: float, generator: torch.Generator) -> Tensor:
    """Float [B, 1, H, W] in [0, 1] to the same shape and range, zeros outside the picture.

    `strength` in (0, 1]. All draws come from `generator`, which lives on x's device. ConfigError for another kind or
    strength.
    """
    if kind == "none":
        return x
    if kind not in KINDS:
        raise ConfigError(f"augmentation {kind!r:.80} is unknown: expected one of {', '.join(KINDS)}")
    if not 0 < strength <= 1:
        raise ConfigError(f"augmentation_strength is {strength}: expected above 0 and at most 1")
    if kind == "shift":
        return _shift(x, max(1, round(MAX_SHIFT_PIXELS * strength)), generator)
    if kind == "hands":
        kept = n_plain(len(x))
        bent = _warp(x[kept:], strength, generator, elastic=True)
        return torch.cat([augment(x[:kept], "shift", strength, generator), by_other_hands(bent, generator)])
    return _warp(x, strength, generator, elastic=kind == "elastic")


def n_plain(n: int) -> int:
    """How many images at the beginning of a batch of n the kind "hands" shifts only."""
    return n - round(BY_HANDS * n)


def _shift(x: Tensor, reach: int, generator: torch.Generator) -> Tensor:
    """Each image by a whole number of pixels up to `reach` in each direction."""
    batch, _, height, width = x.shape
    dy, dx = torch.randint(0, 2 * reach + 1, (2, batch), generator=generator, device=x.device)
    padded = F.pad(x, (reach, reach, reach, reach))
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # [B, 1, 2r + 1, 2r + 1, H, W], a view
    return windows[torch.arange(batch, device=x.device), :, dy, dx]


def _warp(x: Tensor, strength: float, generator: torch.Generator, *, elastic: bool) -> Tensor:
    height, width = x.shape[-2:]
    # In bf16 a coordinate near the edge would be off by a twentieth of a pixel.
    with torch.autocast(x.device.type, enabled=False):
        theta = _affine_matrices(x, strength, generator)  # [B, 2, 3]
        basis, weights = _base_grid(height, width, x.device), theta  # [3, H·W], [B, 2, 3]
        if elastic:
            basis = _elastic_basis(height, width, x.device)  # [3 + knots, H·W]
            weights = torch.cat([theta, _knots(x, strength, generator)], dim=2)  # [B, 2, 3 + knots]
        # One product with the planes of x and of y apart: a product for each image, or x and y side by side, costs
        # six times as much.
        grid = (weights.flatten(0, 1) @ basis).view(-1, 2, height, width)
        return F.grid_sample(x, grid.permute(0, 2, 3, 1), "bilinear", "zeros", align_corners=False)


@lru_cache(maxsize=8)
def _base_grid(height: int, width: int, device: torch.device) -> Tensor:
    """[3, H·W] of x, y and 1: pixel centres, where the picture's edges are at -1 and 1."""
    y = (2 * torch.arange(height, device=device) + 1) / height - 1
    x = (2 * torch.arange(width, device=device) + 1) / width - 1
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([columns, rows, torch.ones_like(rows)]).flatten(1)


def _affine_matrices(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """[B, 2, 3] from output to input coordinates: rotation · shear · scale, then translation, each uniform."""
    draws = torch.rand(6, len(x), generator=generator, device=x.device) * 2 - 1  # [6, B] in [-1, 1)
    angle = draws[0] * (strength * math.radians(MAX_DEGREES))
    shear = draws[1] * (strength * MAX_SHEAR)
    scale_x, scale_y = 1 + draws[2:4] * (strength * MAX_SCALE)
    move_x = draws[4] * (strength * MAX_TRANSLATION_PIXELS) * (2 / x.shape[-1])
    move_y = draws[5] * (strength * MAX_TRANSLATION_PIXELS) * (2 / x.shape[-2])
    cos, sin = angle.cos(), angle.sin()
    first = torch.stack([cos * scale_x, (cos * shear - sin) * scale_y, move_x], dim=-1)
    second = torch.stack([sin * scale_x, (sin * shear + cos) * scale_y, move_y], dim=-1)
    return torch.stack([first, second], dim=1)


def _knots(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """[B, 2, knots] normal draws on a coarse lattice: how far the elastic field moves there."""
    knots = torch.randn(len(x), 2, ELASTIC_KNOTS**2, generator=generator, device=x.device)
    return knots.mul_(strength * ELASTIC_PIXELS * 2 / x.shape[-1])


@lru_cache(maxsize=8)
def _elastic_basis(height: int, width: int, device: torch.device) -> Tensor:
    """[3 + knots, H·W]: the base grid, and below it each pixel's weight of each knot (cubic B-splines)."""
    splines = torch.kron(_spline_weights(height, device), _spline_weights(width, device))  # [H·W, knots]
    return torch.cat([_base_grid(height, width, device), splines.T])


@lru_cache(maxsize=8)
def _spline_weights(size: int, device: torch.device) -> Tensor:
    """[size, ELASTIC_KNOTS]: each row holds a pixel's weights of the knots, scaled so that a field of unit normal
    knots has unit variance."""
    intervals = ELASTIC_KNOTS - 3
    position = (torch.arange(size, device=device) + 0.5) * intervals / size  # [size]
    distance = (position.unsqueeze(1) + 1 - torch.arange(ELASTIC_KNOTS, device=device)).abs()  # [size, knots]
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = (2 - distance).clamp(min=0) ** 3 / 6
    weights = torch.where(distance < 1, inner, outer)
    unit: Tensor = weights / weights.square().sum(1, keepdim=True).sqrt()
    return unit
