"""Corruptions of digit images, a batch at a time: the blur ladder, and kinds in the style of MNIST-C.

The second group follows the list of Mu & Gilmer 2019 ("MNIST-C: A Robustness Benchmark for Computer Vision") in an
implementation and with levels of our own, so its figures are not comparable with published MNIST-C ones.

Every function takes x float [N, 1, 28, 28] in [0, 1], a level, and a generator, and returns the same shape and range;
outside the picture all is black. Random draws are made per image, from the generator alone.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Corrupt = Callable[[Tensor, float, torch.Generator], Tensor]


def _uniform(x: Tensor, generator: torch.Generator, low: float = 0.0, high: float = 1.0) -> Tensor:
    """One draw per image, [N]."""
    return low + (high - low) * torch.rand(len(x), generator=generator)


def _signs(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.where(_uniform(x, generator) < 0.5, -1.0, 1.0)


# -- blur -------------------------------------------------------------------------------------------------------------


def gaussian_blur(x: Tensor, sigma: float, _: torch.Generator | None = None) -> Tensor:
    """Standard deviation in pixels; the kernel reaches four of them."""
    radius = math.ceil(4 * sigma)
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    taps = taps / taps.sum()
    x = F.conv2d(x, taps.view(1, 1, 1, -1), padding=(0, radius))
    return F.conv2d(x, taps.view(1, 1, -1, 1), padding=(radius, 0)).clamp_(0, 1)


def defocus(x: Tensor, radius: float, _: torch.Generator) -> Tensor:
    """A disk of `radius` pixels, its rim weighted by the share of the pixel inside (4 x 4 samples)."""
    reach = math.ceil(radius)
    samples = (torch.arange((2 * reach + 1) * 4) + 0.5) / 4 - reach - 0.5
    inside = (samples[:, None] ** 2 + samples[None, :] ** 2 <= radius**2).float()
    kernel = F.avg_pool2d(inside[None, None], 4)
    return F.conv2d(x, kernel / kernel.sum(), padding=reach).clamp_(0, 1)


def down_up(x: Tensor, size: float, _: torch.Generator) -> Tensor:
    """Averaged down to size x size pixels and interpolated up again."""
    small = F.adaptive_avg_pool2d(x, int(size))
    return F.interpolate(small, x.shape[-2:], mode="bilinear", align_corners=False)


def motion_blur(x: Tensor, length: float, generator: torch.Generator) -> Tensor:
    """Along a straight line of `length` pixels in a random direction."""
    reach, n = int(length) // 2, len(x)
    angle = _uniform(x, generator, 0, math.pi)
    steps = torch.linspace(-reach, reach, 4 * int(length))  # [T]
    columns, rows = angle.cos()[:, None] * steps, angle.sin()[:, None] * steps  # [N, T]
    side = 2 * reach + 1
    cell = (rows.round().long() + reach) * side + columns.round().long() + reach
    kernel = torch.zeros(n, side * side).scatter_add_(1, cell, torch.full(cell.shape, 1 / len(steps)))
    # One group per image lets each have a kernel of its own.
    blurred = F.conv2d(x.transpose(0, 1), kernel.view(n, 1, side, side), padding=reach, groups=n)
    return blurred.transpose(0, 1).clamp_(0, 1)


# -- noise and light --------------------------------------------------------------------------------------------------


def shot_noise(x: Tensor, photons: float, generator: torch.Generator) -> Tensor:
    """Poisson noise where a white pixel catches `photons` on average."""
    return (torch.poisson(x * photons, generator=generator) / photons).clamp_(0, 1)


def impulse_noise(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """A share of the pixels becomes black or white."""
    draw = torch.rand(x.shape, generator=generator)
    return torch.where(draw < share / 2, 0.0, torch.where(draw < share, 1.0, x))


def glass_blur(x: Tensor, reach: float, generator: torch.Generator) -> Tensor:
    """Each pixel shows one at most `reach` away, between two slight blurs."""
    n, _, height, width = x.shape
    span = 2 * int(reach) + 1
    rows, columns = torch.randint(0, span, (2, n, height, width), generator=generator) - int(reach)
    rows = (rows + torch.arange(height)[:, None]).clamp_(0, height - 1)
    columns = (columns + torch.arange(width)).clamp_(0, width - 1)
    seen = gaussian_blur(x, 0.5).flatten(1).gather(1, (rows * width + columns).flatten(1))
    return gaussian_blur(seen.view_as(x), 0.5)


def brightness(x: Tensor, added: float, _: torch.Generator) -> Tensor:
    return (x + added).clamp_(0, 1)


def _clouds(x: Tensor, generator: torch.Generator) -> Tensor:
    """Smooth noise in [0, 1] at three scales, each half as strong as the coarser one."""
    total = torch.zeros_like(x)
    for cells, weight in ((3, 4.0), (6, 2.0), (12, 1.0)):
        noise = torch.rand((len(x), 1, cells, cells), generator=generator)
        total += weight * F.interpolate(noise, x.shape[-2:], mode="bicubic", align_corners=True)
    low, high = total.amin(dim=(2, 3), keepdim=True), total.amax(dim=(2, 3), keepdim=True)
    return (total - low) / (high - low)


def fog(x: Tensor, density: float, generator: torch.Generator) -> Tensor:
    """Bright clouds laid over a fading picture."""
    veil = density * _clouds(x, generator)
    return (x * (1 - veil) + veil).clamp_(0, 1)


def spatter(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """White drops on a share of the picture."""
    noise = gaussian_blur(torch.rand(x.shape, generator=generator), 1.2)[:, :, 2:-2, 2:-2]
    drops = F.pad(noise, (2, 2, 2, 2))
    edge = torch.quantile(drops.flatten(1), 1 - share, dim=1).view(-1, 1, 1, 1)
    return torch.maximum(x, gaussian_blur((drops > edge).float(), 0.5))


# -- geometry ---------------------------------------------------------------------------------------------------------


def _affine(x: Tensor, matrix: Tensor, shift: Tensor | None = None) -> Tensor:
    """Sample at matrix [N, 2, 2] times the (x, y) position from the centre, plus shift [N, 2] in pixels."""
    offset = torch.zeros(len(x), 2) if shift is None else shift * (2 / x.shape[-1])
    grid = F.affine_grid(torch.cat([matrix, offset[:, :, None]], dim=2), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False).clamp_(0, 1)


def _matrices(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    return torch.stack([torch.stack([a, b], dim=1), torch.stack([c, d], dim=1)], dim=1)


def rotate(x: Tensor, degrees: float, generator: torch.Generator) -> Tensor:
    """By `degrees`, left or right at random."""
    angle = _signs(x, generator) * math.radians(degrees)
    return _affine(x, _matrices(angle.cos(), -angle.sin(), angle.sin(), angle.cos()))


def shear(x: Tensor, slope: float, generator: torch.Generator) -> Tensor:
    """Sideways by `slope` pixels a row, left or right at random."""
    ones, slopes = torch.ones(len(x)), _signs(x, generator) * slope
    return _affine(x, _matrices(ones, slopes, torch.zeros(len(x)), ones))


def scale(x: Tensor, factor: float, _: torch.Generator) -> Tensor:
    """To `factor` of its size about the centre, each new pixel the mean of what it covers."""
    size = 2 * round(x.shape[-1] * factor / 2)
    margin = (x.shape[-1] - size) // 2
    return F.pad(F.adaptive_avg_pool2d(x, size), (margin,) * 4)


def translate(x: Tensor, pixels: float, generator: torch.Generator) -> Tensor:
    """By `pixels` in a random direction."""
    angle = _uniform(x, generator, 0, 2 * math.pi)
    shift = pixels * torch.stack([angle.cos(), angle.sin()], dim=1)
    return _affine(x, torch.eye(2).expand(len(x), 2, 2), shift)


# -- drawn over -------------------------------------------------------------------------------------------------------


def stripe(x: Tensor, width: float, generator: torch.Generator) -> Tensor:
    """A vertical band of inverted pixels through the middle half of the picture."""
    quarter = x.shape[-1] // 4
    start = _uniform(x, generator, quarter, 3 * quarter - width).floor().view(-1, 1, 1, 1)
    column = torch.arange(x.shape[-1])
    return torch.where((column >= start) & (column < start + width), 1 - x, x)


def _draw(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """White dots of about one pixel at positions [N, T], spread over the four pixels around each."""
    side = x.shape[-1]
    canvas = torch.zeros(len(x), side * side)
    for down in (0, 1):
        for right in (0, 1):
            r, c = rows.floor() + down, columns.floor() + right
            weight = (1 - (rows - r).abs()) * (1 - (columns - c).abs())
            weight = torch.where((r >= 0) & (r < side) & (c >= 0) & (c < side), weight, 0.0)
            cell = r.clamp(0, side - 1).long() * side + c.clamp(0, side - 1).long()
            canvas.scatter_reduce_(1, cell, weight, reduce="amax")
    return torch.maximum(x, canvas.view_as(x))


def _across(x: Tensor, steps: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows and columns [N, steps] of a straight line from the left edge to the right one."""
    last = x.shape[-1] - 1
    left, right = _uniform(x, generator, 0, last), _uniform(x, generator, 0, last)
    along = torch.linspace(0, 1, steps)
    return left[:, None] + (right - left)[:, None] * along, (last * along).expand(len(x), steps)


def dotted_line(x: Tensor, lines: float, generator: torch.Generator) -> Tensor:
    for _ in range(int(lines)):
        x = _draw(x, *_across(x, 12, generator))
    return x


def zigzag(x: Tensor, lines: float, generator: torch.Generator) -> Tensor:
    """Lines from edge to edge that swing 3 pixels up and down, seven times."""
    for _ in range(int(lines)):
        rows, columns = _across(x, 112, generator)
        swing = 3 * (2 * ((torch.linspace(0, 7, 112) % 1) - 0.5).abs() * 2 - 1)
        x = _draw(x, rows + swing, columns)
    return x


def canny_edges(x: Tensor, high: float, _: torch.Generator) -> Tensor:
    """Only the edges (Canny 1986): blur, Sobel, thin to the ridge, keep what hangs on a gradient above `high`."""
    sobel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]) / 4
    gradient = F.conv2d(gaussian_blur(x, 1.0), torch.stack([sobel, sobel.T]).unsqueeze(1), padding=1)
    magnitude = gradient.square().sum(dim=1, keepdim=True).sqrt()
    ridge = magnitude * (magnitude >= _larger_neighbour(gradient, magnitude) - 1e-6)
    weak, edges = ridge > high / 3, ridge > high
    for _step in range(x.shape[-1]):
        grown = weak & (F.max_pool2d(edges.float(), 3, stride=1, padding=1) > 0)
        if torch.equal(grown, edges):
            break
        edges = grown
    return edges.float()


def _larger_neighbour(gradient: Tensor, magnitude: Tensor) -> Tensor:
    """The larger of the two magnitudes beside each pixel in the gradient's direction, of four directions."""
    angle = torch.atan2(gradient[:, 1:], gradient[:, :1]) % math.pi
    sector = (angle / (math.pi / 4)).round().long() % 4  # 0 along x, 1 down-right, 2 along y, 3 down-left
    padded = F.pad(magnitude, (1, 1, 1, 1))
    height, width = magnitude.shape[-2:]

    def at(down: int, right: int) -> Tensor:
        return padded[:, :, 1 + down : 1 + down + height, 1 + right : 1 + right + width]

    steps = [(0, 1), (1, 1), (1, 0), (1, -1)]
    larger = torch.cat([torch.maximum(at(r, c), at(-r, -c)) for r, c in steps], dim=1)
    return larger.gather(1, sector)


# -- the ladder -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Corruption:
    """One kind with its levels, mildest first, and what a level counts."""

    kind: str
    group: Literal["blur", "MNIST-C style"]
    unit: str
    levels: tuple[float, ...]
    apply: Corrupt


LADDER: tuple[Corruption, ...] = (
    Corruption("gaussian blur", "blur", "sigma, px", (0.5, 1.0, 1.5, 2.0, 2.5, 3.0), gaussian_blur),
    Corruption("defocus", "blur", "radius, px", (1, 2, 3), defocus),
    Corruption("down and up", "blur", "to, px", (14, 10, 7), down_up),
    Corruption("motion blur", "blur", "length, px", (3, 5, 7), motion_blur),
    Corruption("shot noise", "MNIST-C style", "photons", (20, 8, 4), shot_noise),
    Corruption("impulse noise", "MNIST-C style", "share of pixels", (0.05, 0.15, 0.3), impulse_noise),
    Corruption("glass blur", "MNIST-C style", "reach, px", (1, 2), glass_blur),
    Corruption("shear", "MNIST-C style", "px per row", (0.2, 0.4, 0.6), shear),
    Corruption("scale", "MNIST-C style", "factor", (0.8, 0.65, 0.5), scale),
    Corruption("rotate", "MNIST-C style", "degrees", (15, 30, 45), rotate),
    Corruption("brightness", "MNIST-C style", "added", (0.2, 0.4, 0.6), brightness),
    Corruption("translate", "MNIST-C style", "px", (2, 4, 6), translate),
    Corruption("stripe", "MNIST-C style", "width, px", (2, 4, 6), stripe),
    Corruption("fog", "MNIST-C style", "density", (0.3, 0.5, 0.7), fog),
    Corruption("spatter", "MNIST-C style", "share of picture", (0.03, 0.08, 0.15), spatter),
    Corruption("dotted line", "MNIST-C style", "lines", (1, 2), dotted_line),
    Corruption("zigzag", "MNIST-C style", "lines", (1, 2), zigzag),
    Corruption("canny edges", "MNIST-C style", "gradient", (0.3,), canny_edges),
)


def corrupted(x: Tensor, corruption: Corruption, level: float, seed: int = 0) -> Tensor:
    """x [N, 1, 28, 28] under one level; the draws depend on seed, kind and level, not on what was drawn before."""
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {corruption.kind} {level}".encode()))
    return corruption.apply(x, level, generator)
