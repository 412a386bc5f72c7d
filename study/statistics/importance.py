"""Which parameters of a search told its best trials apart: PED-ANOVA, and whether chance alone would say as much.

Conditional PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255, and 2601.20800) as Optuna computes it: how differently a
parameter is distributed among the best tenth of the trials and among all. A handful of trials is always distributed
somehow, so each parameter is held against what as many trials give that are drawn without looking at their values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from study.statistics.result import Result

BEST = 0.1  # share of the trials that count as the best
PERMUTATIONS = 100
STEPS = 50  # of the grid that a range is cut into
_NARROWEST = 0.5 / 1.64  # bandwidth on the grid: nine tenths of a kernel lie in one cell
_TINY = 1e-12
_FEWEST = 2  # trials that must have a parameter

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Column:
    """A parameter in N trials: the cell of a grid of `size` that its value lies in, int [N], -1 where a trial has no
    such parameter. The cells of a numeric one are in order."""

    cells: NDArray[np.int64]
    size: int
    is_numeric: bool


@dataclass(frozen=True)
class Importance(Result):
    """Shares of all parameters, which sum to 1, the most important first; `clear` are those that no permutation of the
    trials' values made as important, all parameters considered. Empty where nothing varies."""

    shares: Mapping[str, float]
    clear: tuple[str, ...]


def cells_of(values: NDArray[Any], low: float, high: float, step: float | None, *, log: bool, whole: bool) -> Column:
    """The column of a numeric parameter, NaN where a trial has none; ranges are cut as Optuna cuts them."""
    steps = STEPS
    if log and whole:
        steps = min(math.ceil(math.log2(high - low + 1)) + 1, STEPS)
    elif step is not None:
        steps = min(round((high - low) / step) + 1, STEPS)
    low, high = (math.log(low), math.log(high)) if log else (low, high)
    known = ~np.isnan(values)
    scaled = np.log(values[known]) if log else values[known]
    cells = np.full(len(values), -1)
    cells[known] = np.clip(np.ceil((scaled - low) / ((high - low) / (steps - 1)) - 0.5), 0, steps - 1)
    return Column(cells, steps, True)


def importance(columns: Mapping[str, Column], values: NDArray[Any], seed: int = 0) -> Importance:
    """Of the parameters of N trials for their values [N], of which higher are better."""
    n = len(values)
    best = values >= np.sort(values)[::-1][max(0, math.ceil(BEST * n) - 1)]
    rng = np.random.default_rng(seed)
    chosen = np.stack([best, *(rng.permutation(best) for _ in range(PERMUTATIONS))])  # [1 + permutations, N]
    found = {name: _divergences(column, chosen) for name, column in columns.items()}
    total = sum(float(strengths[0]) for strengths in found.values())
    if total <= 0:
        return Importance({}, ())
    ranked = sorted(found, key=lambda name: -float(found[name][0]))
    return Importance({name: float(found[name][0]) / total for name in ranked}, _clear(ranked, found))


def _clear(names: list[str], found: Mapping[str, Floats]) -> tuple[str, ...]:
    """Each parameter in units of its own mean over the permutations, against the largest of all parameters in any."""
    means = {name: max(float(strengths[1:].mean()), _TINY) for name, strengths in found.items()}
    floor = max(float(strengths[1:].max()) / means[name] for name, strengths in found.items())
    return tuple(name for name in names if float(found[name][0]) / means[name] > floor)


def _divergences(column: Column, chosen: NDArray[np.bool_]) -> Floats:
    """Of the parameter among all trials and among those `chosen` bool [R, N]: [R]."""
    has = column.cells >= 0
    among = chosen & has
    if column.size < 2 or has.sum() < _FEWEST:
        return np.zeros(len(chosen))
    one_hot = (column.cells[:, None] == np.arange(column.size)).astype(np.float64)  # [N, G]
    counts = np.vstack([has, among]) @ one_hot  # [1 + R, G]
    densities = (_numeric(counts) if column.is_numeric else _categorical(counts)) + _TINY
    everywhere, best = densities[0], densities[1:]
    share = among.sum(axis=1) / chosen.sum(axis=1)
    distance = ((best / everywhere - 1) ** 2) @ everywhere
    return np.asarray(share**2 / has.mean() * distance * (among.any(axis=1)), dtype=np.float64)


def _categorical(counts: Floats) -> Floats:
    """Densities [R, G] from counts [R, G]: a kernel for each cell that occurs and a flat one, as one observation."""
    size, n = counts.shape[1], counts.sum(axis=1, keepdims=True)
    smooth = 1.0 / ((counts > 0).sum(axis=1, keepdims=True) + 1)
    kernels = (counts + smooth * n) / (1 + smooth * size)
    return np.asarray((kernels + 1 / size) / (n + 1), dtype=np.float64)


def _numeric(counts: Floats) -> Floats:
    """Densities [R, G] from counts [R, G]: normal kernels in the cells, cut off at the ends of the grid, and a wide
    one in its middle, as one observation."""
    size, widths = counts.shape[1], _bandwidths(counts)[:, None]
    below = special.ndtr((np.arange(1 - size, size + 1) - 0.5) / widths)  # [R, 2G], by distance from a kernel's middle
    inside = below[:, : size - 1 : -1] - below[:, size - 1 :: -1]  # [R, G], of the kernel in each cell
    length = 4 * size
    spectrum = np.fft.rfft(counts / inside, length) * np.fft.rfft(np.diff(below, axis=1), length)
    density = np.fft.irfft(spectrum, length)[:, size - 1 : 2 * size - 1]
    edges = special.ndtr((np.arange(size + 1) - size / 2) / size)
    wide = np.diff(edges) / (edges[-1] - edges[0])
    return np.asarray((density + wide) / (counts.sum(axis=1)[:, None] + 1), dtype=np.float64)


def _bandwidths(counts: Floats) -> Floats:
    """By Scott's rule (1992), [R]."""
    cells, n = np.arange(counts.shape[1]), counts.sum(axis=1)
    some = np.maximum(n, 1)
    mean = counts @ cells / some
    squares = (counts * (cells[None, :] - mean[:, None]) ** 2).sum(axis=1)
    upto = np.cumsum(counts, axis=1)
    first = (upto >= np.maximum(n // 4, 1)[:, None]).argmax(axis=1)
    third = (upto > (n * 3 // 4)[:, None]).argmax(axis=1)
    spread = np.minimum((third - first) / 1.34, np.sqrt(squares / np.maximum(1, n - 1)))
    return np.asarray(np.maximum(1.059 * spread * some**-0.2, _NARROWEST), dtype=np.float64)
