"""Digits as other pens and hands would leave them, a batch at a time: thick and thin pens, outlines, upstrokes, lines
drawn through, gaps, specks, pieces of neighbours, blur, grain and pale ink.

Each picture gets a pen, a mark and a light, in which of them is drawn; no step is of the kinds stripe, glass blur, fog,
spatter, zigzag or Canny edges, on which robustness is measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

Step = Callable[[Tensor, torch.Generator], Tensor]

MAX_BLUR = 3.0  # pixels, standard deviation
_TAPS = 6  # of the blur, to each side
_INK = 0.5  # from here on a pixel is ink
_FAR = 20  # pixels between neighbours


def by_other_hands(x: Tensor, generator: torch.Generator) -> Tensor:
    """Float [B, 1, H, W] in [0, 1], ink bright on black, to the same shape and range."""
    for steps in (PENS, MARKS, LIGHTS):
        order = torch.rand(len(x), generator=generator, device=x.device).argsort()
        parts = torch.tensor_split(x[order], len(steps))
        drawn = torch.cat([step(part, generator) for step, part in zip(steps, parts, strict=True)])
        x = torch.empty_like(x).index_copy_(0, order, drawn)
    return x


def _uniform(x: Tensor, generator: torch.Generator, low: float, high: float) -> Tensor:
    """A draw for each picture, [B, 1, 1, 1]."""
    draws = torch.rand(len(x), generator=generator, device=x.device)
    return (low + (high - low) * draws).view(-1, 1, 1, 1)


def _as_it_is(x: Tensor, _: torch.Generator) -> Tensor:
    return x


# -- pens -------------------------------------------------------------------------------------------------------------


def _thick(x: Tensor, generator: torch.Generator) -> Tensor:
    return x + _uniform(x, generator, 0.3, 1) * (F.max_pool2d(x, 3, 1, 1) - x)


def _thin(x: Tensor, generator: torch.Generator) -> Tensor:
    worn = x - _uniform(x, generator, 0.2, 0.8) * (x + F.max_pool2d(-x, 3, 1, 1))
    return (worn / worn.amax(dim=(2, 3), keepdim=True).clamp(min=0.3)).clamp(0, 1)


def _outline(x: Tensor, generator: torch.Generator) -> Tensor:
    return (F.max_pool2d(x, 3, 1, 1) - _uniform(x, generator, 0.7, 1) * x).clamp(0, 1)


# -- marks ------------------------------------------------------------------------------------------------------------


def _lines(x: Tensor, generator: torch.Generator) -> Tensor:
    """Two strokes anywhere, mostly short ones."""
    draws = torch.rand(5, len(x), 2, generator=generator, device=x.device)
    start = draws[:2] * (x.shape[-1] - 1)
    end = start + _direction(draws[2]) * (3 + 37 * draws[3].square())
    return torch.maximum(x, _strokes(x, start, end, 0.1 + 0.7 * draws[4]))


def with_upstroke_or_foot(x: Tensor, generator: torch.Generator) -> Tensor:
    """Straight 1s as many people write them, float [B, 1, H, W] in [0, 1]: with a stroke up to their top, a foot below,
    or both."""
    draws = _uniform(x, generator, 0, 1)
    x = torch.where(draws < 0.85, _upstroke(x, generator, longest=14), x)
    return torch.where(draws > 0.6, _foot(x, generator), x)


def _upstroke(x: Tensor, generator: torch.Generator, longest: float = 12) -> Tensor:
    """A stroke from the topmost ink down to the left, as in many a 1."""
    draws = torch.rand(3, len(x), 1, generator=generator, device=x.device)
    start = _topmost(x)
    end = start + _direction(0.3 + 0.15 * draws[0]) * (3 + (longest - 3) * draws[1])
    return torch.maximum(x, _strokes(x, start, end, 0.5 + 0.8 * draws[2]))


def _foot(x: Tensor, generator: torch.Generator) -> Tensor:
    """A nearly level stroke through the lowest ink."""
    draws = torch.rand(4, len(x), 1, generator=generator, device=x.device)
    below = torch.tensor([0.0, x.shape[2] - 1.0], device=x.device).view(2, 1, 1)
    middle = (below - _topmost(x.flip(2))).abs()
    along = _direction(0.03 * (2 * draws[0] - 1))
    start, end = middle - along * (2 + 7 * draws[1]), middle + along * (2 + 7 * draws[2])
    return torch.maximum(x, _strokes(x, start, end, 0.5 + 0.8 * draws[3]))


def _topmost(x: Tensor) -> Tensor:
    """Column and row of the brightest pixel in the highest row with ink, [2, B, 1]."""
    row = (x.amax(dim=(1, 3)) > _INK).float().argmax(dim=1)  # [B]
    column = x[torch.arange(len(x), device=x.device), 0, row].argmax(dim=1)
    return torch.stack([column, row]).float().unsqueeze(2)


def _gaps(x: Tensor, generator: torch.Generator) -> Tensor:
    """Two places without ink, mostly short ones."""
    draws = torch.rand(5, len(x), 2, generator=generator, device=x.device)
    start = 6 + (x.shape[-1] - 12) * draws[:2]
    end = start + _direction(draws[2]) * (1 + 20 * draws[3] ** 3)
    return x * (1 - _strokes(x, start, end, 0.5 + draws[4]))


def _neighbour(x: Tensor, generator: torch.Generator) -> Tensor:
    """The edge of another digit of the batch, to the left or to the right."""
    width, other = x.shape[-1], x.roll(1, 0)
    before, after = F.pad(other, (_FAR, 0))[..., :width], F.pad(other, (0, _FAR))[..., -width:]
    return torch.maximum(x, torch.where(_uniform(x, generator, 0, 1) < 0.5, before, after))


def _specks(x: Tensor, generator: torch.Generator) -> Tensor:
    """A share of the pixels is black or white."""
    draws, share = torch.rand(x.shape, generator=generator, device=x.device), _uniform(x, generator, 0, 0.25)
    return torch.where(draws < share / 2, 0.0, torch.where(draws < share, 1.0, x))


def _direction(turns: Tensor) -> Tensor:
    """Unit vectors (x, y), [2, ...]; y points down."""
    return torch.stack([(2 * math.pi * turns).cos(), (2 * math.pi * turns).sin()])


def _strokes(x: Tensor, start: Tensor, end: Tensor, reach: Tensor) -> Tensor:
    """Ink [B, 1, H, W] within `reach` [B, S] pixels of straight lines between points [2, B, S], columns and rows."""
    height, width = x.shape[-2:]
    columns, rows = _pixels(height, width, x.device)  # [H·W] each
    along = end - start
    across, down = along.unsqueeze(3)  # [B, S, 1] each
    from_x, from_y = columns - start[0].unsqueeze(2), rows - start[1].unsqueeze(2)  # [B, S, H·W] each
    length = along.square().sum(0).clamp(min=1e-3).unsqueeze(2)
    share = torch.addcmul(from_x * across, from_y, down).div_(length).clamp_(0, 1)
    from_x.addcmul_(share, across, value=-1)
    from_y.addcmul_(share, down, value=-1)
    distance = from_x.square_().addcmul_(from_y, from_y).sqrt_()
    ink = (reach.unsqueeze(2) + 0.5 - distance).clamp_(0, 1).amax(dim=1)
    return ink.view(-1, 1, height, width)


@lru_cache(maxsize=8)
def _pixels(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Column and row of every pixel, [H·W] each."""
    rows, columns = torch.meshgrid(
        torch.arange(height, device=device).float(), torch.arange(width, device=device).float(), indexing="ij"
    )
    return columns.flatten(), rows.flatten()


# -- lights -----------------------------------------------------------------------------------------------------------


def _blur(x: Tensor, generator: torch.Generator) -> Tensor:
    """Each picture by a blur of its own, as products with banded matrices: convolutions by a kernel for each picture
    would take as long as the network."""
    sigma = _uniform(x, generator, 0.4, MAX_BLUR)
    taps = torch.arange(-_TAPS, _TAPS + 1, device=x.device)
    whole = _bell(taps, sigma).sum(dim=3, keepdim=True)
    rows, columns = (_bell(_apart(size, x.device), sigma) / whole for size in x.shape[-2:])
    with torch.autocast(x.device.type, enabled=False):
        return (rows @ x.float() @ columns).clamp(0, 1)


def _bell(distance: Tensor, sigma: Tensor) -> Tensor:
    return torch.exp(-0.5 * (distance / sigma).square())


@lru_cache(maxsize=8)
def _apart(size: int, device: torch.device) -> Tensor:
    """[size, size] pixels between each two of a line, infinite beyond the taps."""
    places = torch.arange(size, device=device).float()
    apart = (places.unsqueeze(1) - places).abs()
    return torch.where(apart <= _TAPS, apart, math.inf)


def _pale(x: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(x.shape, generator=generator, device=x.device)
    return (x * _uniform(x, generator, 0.3, 1) + _uniform(x, generator, 0, 0.2) * noise).clamp(0, 1)


def _grain(x: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(x.shape, generator=generator, device=x.device)
    return (x + x.sqrt() * _uniform(x, generator, 0.1, 0.6) * noise).clamp(0, 1)


PENS: tuple[Step, ...] = (_thick, _thin, _as_it_is, _as_it_is, _outline)
MARKS: tuple[Step, ...] = (_lines, _as_it_is, _neighbour, _gaps, _upstroke, _specks)
LIGHTS: tuple[Step, ...] = (_as_it_is, _blur, _pale, _as_it_is, _grain)
