"""Contrast before the network: ground that is not black is taken away, however its light falls. Pictures on black
ground, as all of MNIST's are, stay as they are to the last digit."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

BLACK = 16 / 255  # of white: ground up to it is black
LEAST_RANGE = 32 / 255  # of white, between ground and ink: a fainter picture is not stretched to full contrast
_WINDOW = 9  # pixels: wider than a stroke, so that the darkest of a window is ground
_INK_AT_EDGE = 0.1  # share of the outermost pixels that may be ink
_WHITER = 256 / 255  # than white, so that white ground divides nothing by zero


def on_black(pixels: Tensor, white: float = 255.0) -> Tensor:
    """Float pixels [B, 1, H, W] from 0 to `white`, ink bright, to the same shape and range."""
    lit = is_lit(pixels, white)
    if not torch.compiler.is_exporting() and not lit.any():
        return pixels
    return torch.where(lit.view(-1, 1, 1, 1), _risen(pixels, white), pixels)


def is_lit(pixels: Tensor, white: float = 255.0) -> Tensor:
    """bool [B]: whether the middle one of a picture's outermost pixels [B, 1, H, W], of any type, is brighter than
    black."""
    return _at_edge(pixels, 0.5) > BLACK * white


def _at_edge(pixels: Tensor, share: float) -> Tensor:
    """The level [B] that this share of the outermost pixels reaches."""
    sides = pixels[..., 0, :], pixels[..., -1, :], pixels[..., 1:-1, 0], pixels[..., 1:-1, -1]
    edge = torch.cat(sides, dim=-1).squeeze(1)  # [B, 2·(H + W) - 4]
    return edge.topk(int(share * edge.shape[1]), dim=1).values[:, -1]


def _risen(pixels: Tensor, white: float) -> Tensor:
    """How far each pixel rises above the ground around it, as a share of what white would, and stretched."""
    ground = _ground(pixels)
    above = (pixels - ground).clamp(min=0) / (_WHITER * white - ground)  # [B, 1, H, W] from 0 to 1
    # Light that changes within a window rises above its darkest pixel: as much as it does at the edge is no ink.
    ink = (above - _at_edge(above, _INK_AT_EDGE).view(-1, 1, 1, 1)).clamp(min=0)
    return white * ink / ink.amax(dim=(2, 3), keepdim=True).clamp(min=LEAST_RANGE)


def _ground(pixels: Tensor) -> Tensor:
    """The light of the ground: a morphological opening, smoothed."""
    reach = _WINDOW // 2
    darkest = -F.max_pool2d(-pixels, _WINDOW, 1, reach)
    opened = F.max_pool2d(darkest, _WINDOW, 1, reach)
    return F.avg_pool2d(opened, _WINDOW, 1, reach, count_include_pad=False)
