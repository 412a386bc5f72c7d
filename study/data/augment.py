"""Augmentation of a batch at a time, drawn anew for each image. Strength 1 is the widest that still reads as the digit.

One interpolation per image: rotation, scale, shear, translation and the elastic field are one sampling grid.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from study.errors import ConfigError

Kind = Literal["none", "shift", "affine", "elastic"]
KINDS: tuple[str, ...] = get_args(Kind)

MAX_SHIFT_PIXELS = 4
MAX_DEGREES = 20.0
MAX_SCALE = 0.2
MAX_SHEAR = 0.2
MAX_TRANSLATION_PIXELS = 3.0
ELASTIC_KNOTS = 6
ELASTIC_PIXELS = 1.5


def to_float(images: Tensor) -> Tensor:
    """uint8 [B, 28, 28] to float32 [B, 1, 28, 28] in [0, 1]."""
    return images.unsqueeze(1).float().div_(255)


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
    return _warp(x, strength, generator, elastic=kind == "elastic")


def _shift(x: Tensor, reach: int, generator: torch.Generator) -> Tensor:
    """Each image by a whole number of pixels up to `reach` in each direction."""
    batch, _, height, width = x.shape
    dy, dx = torch.randint(0, 2 * reach + 1, (2, batch, 1), generator=generator, device=x.device)
    rows = dy + torch.arange(height, device=x.device)  # [B, H]
    columns = dx + torch.arange(width, device=x.device)  # [B, W]
    padded = F.pad(x, (reach, reach, reach, reach)).flatten(1)  # [B, (H + 2r)(W + 2r)]
    index = rows.unsqueeze(2) * (width + 2 * reach) + columns.unsqueeze(1)  # [B, H, W]
    return padded.gather(1, index.flatten(1)).view_as(x)


def _warp(x: Tensor, strength: float, generator: torch.Generator, *, elastic: bool) -> Tensor:
    height, width = x.shape[-2:]
    # In bf16 a coordinate near the edge would be off by a twentieth of a pixel.
    with torch.autocast(x.device.type, enabled=False):
        theta = _affine_matrices(x, strength, generator)  # [B, 2, 3]
        base = _base_grid(height, width, x.device)  # [H·W, 3]
        grid = (base @ theta.transpose(1, 2)).view(-1, height, width, 2)  # [B, H, W, 2] of (x, y)
        if elastic:
            grid = grid + _elastic_field(x, strength, generator)
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


@lru_cache(maxsize=8)
def _base_grid(height: int, width: int, device: torch.device) -> Tensor:
    """[H·W, 3] of (x, y, 1): pixel centres, where the picture's edges are at -1 and 1."""
    y = (2 * torch.arange(height, device=device) + 1) / height - 1
    x = (2 * torch.arange(width, device=device) + 1) / width - 1
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([columns, rows, torch.ones_like(rows)], dim=-1).view(-1, 3)


def _affine_matrices(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """[B, 2, 3] from output to input coordinates: rotation · shear · scale, then translation, each uniform."""
    draws = torch.rand(6, len(x), generator=generator, device=x.device) * 2 - 1  # [6, B] in [-1, 1)
    angle = draws[0] * (strength * math.radians(MAX_DEGREES))
    shear = draws[1] * (strength * MAX_SHEAR)
    scale_x, scale_y = 1 + draws[2:4] * (strength * MAX_SCALE)
    pixels = torch.tensor([[2 / x.shape[-1]], [2 / x.shape[-2]]], device=x.device)
    move_x, move_y = draws[4:6] * (strength * MAX_TRANSLATION_PIXELS) * pixels
    cos, sin = angle.cos(), angle.sin()
    first = torch.stack([cos * scale_x, (cos * shear - sin) * scale_y, move_x], dim=-1)
    second = torch.stack([sin * scale_x, (sin * shear + cos) * scale_y, move_y], dim=-1)
    return torch.stack([first, second], dim=1)


def _elastic_field(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """[B, H, W, 2] smooth displacements: normal draws on a coarse lattice, interpolated by cubic B-splines."""
    height, width = x.shape[-2:]
    knots = torch.randn(len(x), 2, ELASTIC_KNOTS, ELASTIC_KNOTS, generator=generator, device=x.device)
    knots *= strength * ELASTIC_PIXELS * 2 / width
    rows, columns = _spline_weights(height, x.device), _spline_weights(width, x.device)
    return (rows @ knots @ columns.T).permute(0, 2, 3, 1)


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
