"""From grey levels to ink: the ground flattened, the polarity decided, full tone at 1."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Gray = NDArray[np.float32]
Invert = Literal["auto", "yes", "no"]

MIN_CONTRAST = 0.06  # of the full range: below it a picture with noise is called blank
FAINTEST = 0.015  # and below this also one without noise
CLEAN = 10  # times the deviation of the ground: ink that stands out so far is no noise
CLEAR = 0.8  # share of the variance that two classes explain when ink lies on a flat ground
MAX_EDGE_INK = 0.15  # share of the picture's edge that may stand out from a good ground
COARSE = 64  # longest side at which local light is looked at; smaller pictures have no local light
SAMPLES = 4096  # pixels that the smooth ground is fitted to


def ink_of(gray: Gray, invert: Invert = "auto") -> tuple[Gray, bool]:
    """Ink in 0 … 1 on a flat ground of 0, [H, W], and whether the polarity was hard to tell.

    `invert` 'yes' says that the ink is dark, 'no' that it is bright, as the network has it.
    """
    ground = _ground(gray)
    dark, bright = _ink_masses(gray - ground)
    is_dark = dark > bright if invert == "auto" else invert == "yes"
    uncertain = invert == "auto" and min(dark, bright) > 0.6 * max(dark, bright) > 0
    return _flat_ink(gray, ground, is_dark), uncertain


def _ground(gray: Gray) -> Gray:
    """A smooth ground, or a broken one where the smooth one leaves a shadow among the ink."""
    smooth = _surface(gray)
    if min(gray.shape) < COARSE:
        return smooth
    edge = _edge_ink(gray - smooth)
    if separability(gray - smooth) >= CLEAR and edge <= MAX_EDGE_INK:
        return smooth
    broken = _broken_ground(gray)
    clearer = separability(gray - broken) > separability(gray - smooth)
    return broken if clearer or _edge_ink(gray - broken) < 0.5 * edge else smooth


def _edge_ink(residual: Gray) -> float:
    """Share of the picture's edge that stands out from the ground: shadows reach it, digits seldom do."""
    strength = np.abs(residual)
    edge = np.concatenate([strength[0], strength[-1], strength[1:-1, 0], strength[1:-1, -1]])
    return float((edge > otsu(strength)).mean())


def _ink_masses(residual: Gray) -> tuple[float, float]:
    """What stands out of the noise on the dark and on the bright side of the ground."""
    noise = _robust_deviation(residual)
    weight = _centre_weight(residual.shape)
    dark = float((np.maximum(-residual - 3 * noise, 0) * weight).sum())
    return dark, float((np.maximum(residual - 3 * noise, 0) * weight).sum())


def _broken_ground(gray: Gray) -> Gray:
    """Ground under a shadow with an edge: a median over windows wider than strokes keeps edges and loses the ink."""
    height, width = gray.shape
    factor = COARSE / max(gray.shape)
    small = Image.fromarray(gray).resize((round(width * factor), round(height * factor)), Image.Resampling.BOX)
    window = COARSE // 3 | 1
    # Along the columns, then along the rows: a tenth of the time of the median over squares.
    ground = ndimage.median_filter(np.asarray(small), (window, 1), mode="nearest")
    ground = ndimage.median_filter(ground, (1, window), mode="nearest")
    smooth = Image.fromarray(ndimage.gaussian_filter(ground, 1)).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(smooth, dtype=np.float32)


def separability(values: Gray) -> float:
    """Share of the variance that Otsu's two classes explain, in 0 … 1."""
    level = otsu(values)
    above = values > level
    share = float(above.mean())
    if not 0 < share < 1:
        return 1.0
    gap = float(values[above].mean() - values[~above].mean())
    return share * (1 - share) * gap**2 / max(float(values.var()), 1e-12)


def _centre_weight(shape: tuple[int, ...]) -> Gray:
    """1 inside, 0 on the outer twelfth: table edges and frames do not vote on the polarity."""
    weight = np.zeros(shape, dtype=np.float32)
    my, mx = shape[0] // 12, shape[1] // 12
    weight[my : shape[0] - my, mx : shape[1] - mx] = 1
    return weight


def _surface(gray: Gray) -> Gray:
    """A quadratic surface through the background, [H, W]: started on the border, then fitted to all that lies near."""
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in gray.shape)
    step = max(1, int(np.sqrt(gray.size / SAMPLES)))
    values = gray[::step, ::step].ravel()
    ys, xs = (grid.ravel() for grid in np.meshgrid(y[::step], x[::step], indexing="ij"))
    rim = np.maximum(np.abs(xs), np.abs(ys)) > 0.8
    c = _fit_surface(np.stack(_quadratic(xs, ys), axis=-1), values, rim)
    terms = _quadratic(x[None, :], y[:, None])
    return np.asarray(sum(k * term for k, term in zip(c, terms, strict=True)) + np.zeros_like(gray), dtype=np.float32)


def _quadratic(x: Gray, y: Gray) -> list[Gray]:
    return [np.ones_like(x), x, y, x * y, x * x, y * y]


def _fit_surface(basis: Gray, values: Gray, rim: NDArray[np.bool_]) -> Gray:
    """Coefficients [6] of least squares over the values that lie near, seen from the last fit."""
    first = values[rim] if rim.any() else values
    coefficients = np.zeros(6, dtype=np.float32)
    coefficients[0] = _median(first)
    spread = max(0.1, 2 * _robust_deviation(first))
    # A little ridge keeps the slopes at zero where too few pixels speak for them.
    ridge = np.diag([0, 1, 1, 1, 1, 1]).astype(np.float32) * len(values) * 1e-3
    residual, known = values - basis @ coefficients, np.zeros(0, dtype=bool)
    for _ in range(6):
        near = np.abs(residual) < spread
        # The same pixels again would bring the same surface again.
        if near.sum() < 0.2 * len(values) or np.array_equal(near, known):
            break
        picked = basis[near]
        coefficients = np.linalg.solve(picked.T @ picked + ridge, picked.T @ values[near]).astype(np.float32)
        residual, known = values - basis @ coefficients, near
        spread = float(np.clip(3 * _robust_deviation(residual[near]), 0.03, 0.15))
    return coefficients


def _robust_deviation(values: Gray) -> float:
    return 1.4826 * _median(np.abs(values - np.float32(_median(values)))) if values.size else 0.0


def _median(values: Gray) -> float:
    """As `np.median` of all values, of which there is at least one and none is no number, in half its time."""
    high = values.size // 2
    low = high - 1 + values.size % 2
    parted = np.partition(values.ravel(), (low, high))
    return float((parted[low] + parted[high]) / 2)


def _flat_ink(gray: Gray, ground: Gray, is_dark: bool) -> Gray:
    """Ink after a second, local look at the ground: what is no ink, spread smoothly under the ink."""
    ink = _against(gray, ground, is_dark)
    level = otsu(ink)
    free = ~ndimage.binary_dilation(ink > 0.5 * level, iterations=2)
    if min(gray.shape) >= COARSE and free.mean() > 0.3:
        ink = _against(gray, _local_ground(gray, ground, free), is_dark)
    return _scaled(ink)


def _local_ground(gray: Gray, ground: Gray, free: NDArray[np.bool_]) -> Gray:
    """The mean of what is no ink within about a twelfth of the picture; `ground` where there is none of it."""
    height, width = gray.shape
    factor = COARSE / max(gray.shape)
    size = (max(2, round(width * factor)), max(2, round(height * factor)))
    planes = (np.where(free, gray - ground, 0).astype(np.float32), free.astype(np.float32))
    sigma = min(size) / 12
    mass, weight = (
        ndimage.gaussian_filter(
            np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BOX)), sigma, truncate=2
        )
        for plane in planes
    )
    gap = np.where(weight > 0.02, mass / np.maximum(weight, 0.02), 0).astype(np.float32)
    large = Image.fromarray(gap).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(ground + np.asarray(large), dtype=np.float32)


def _against(gray: Gray, ground: Gray, is_dark: bool) -> Gray:
    """Share of the light that the ink takes away from paper, or adds to a dark ground. Paper in shadow takes the same
    share of less light, so dark ink is measured relative to its ground."""
    if is_dark:
        return np.asarray(np.clip((ground - gray) / np.maximum(ground, 0.15), 0, 1), dtype=np.float32)
    return np.asarray(np.clip(gray - ground, 0, 1), dtype=np.float32)


def _scaled(ink: Gray) -> Gray:
    """Ink with its full tone at 1 and the ground's noise at 0; all zero where there is no contrast."""
    level = otsu(ink)
    strong = ink[ink > level]
    weak = ink[ink <= level]
    if min(strong.size, weak.size) < 3:
        return np.zeros_like(ink)
    full = float(np.quantile(strong, 0.75))
    if full < max(FAINTEST, min(MIN_CONTRAST, CLEAN * float(weak.std()))):
        return np.zeros_like(ink)
    floor = min(float(np.mean(weak) + 2 * np.std(weak)), 0.6 * level)
    return np.asarray(np.clip((ink - floor) / max(full - floor, 1e-6), 0, 1), dtype=np.float32)


def otsu(values: Gray) -> float:
    """Otsu's threshold (1979): the level that parts values into two classes of least inner variance."""
    counts, edges = np.histogram(values, bins=128)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    total, mass = below[-1], np.cumsum(counts * middles)
    above = total - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (mass[-1] * below - mass * total) ** 2 / (below * above)
    return float(edges[1:][np.nanargmax(np.where(np.isfinite(between), between, -1))])
