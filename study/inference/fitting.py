"""A digit's ink as the network knows it: strokes of a pen's width, 20 x 20, the centre of mass in the middle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from study.data.opening import Gray

Mask = NDArray[np.bool_]
Pixels = NDArray[np.uint8]

SIZE, FIT = 28, 20
HALF_TONE = 0.4  # of the ink's full tone: above it a pixel is ink
FINE = 80  # pixels: shorter digits are enlarged before their strokes are measured
THICK = 4.5  # stroke width after the fit, in pixels, from which strokes are thinned
NO_PEN = 9.0  # from here on it is no stroke, and stays as it is
THIN = 1.9  # and up to which they are strengthened; MNIST's median is about 2.7


def pixels_of(soft: Gray, part: Mask, stroke: float | None = None) -> Pixels:
    """Network input uint8 [28, 28] of a digit's soft ink [h, w] whose `part` is ink, in strokes as wide as `stroke`
    pixels where that is known."""
    left, top, right, bottom = box_of(part)
    if stroke is not None and THIN <= stroke * FIT / max(right - left, bottom - top) <= THICK:
        return centre(fit(soft[top:bottom, left:right]))
    return centre(fit(strengthen(soft, part)))


def box_of(mask: Mask) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a mask that holds ink; right and bottom are the first pixels outside."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def stroke_width(mask: Mask) -> float:
    """Mean width of the strokes in pixels, from area and the ridge of the distance transform."""
    padded = np.pad(mask, 1)
    distance = ndimage.distance_transform_edt(padded)
    ridge = (distance >= ndimage.maximum_filter(distance, 3)) & padded
    return 2 * float(distance[ridge].mean()) - 0.5 if ridge.any() else 0.0


def strengthen(soft: Gray, part: Mask) -> Gray:
    """Cropped ink whose strokes are wide enough to survive the fit into 20 x 20, and no wider than people's pens."""
    left, top, right, bottom = box_of(part)
    cropped, part = _enlarged(soft[top:bottom, left:right], part[top:bottom, left:right])
    fitted = stroke_width(part) * FIT / max(cropped.shape)
    if THICK < fitted < NO_PEN:
        return _thinned(cropped, fitted - THICK)
    grow = round(max(0.0, THIN - fitted) * max(cropped.shape) / FIT / 2)
    pen = _disk(grow)
    return np.asarray(ndimage.grey_dilation(np.pad(cropped, grow + 1), footprint=pen) if grow else cropped, np.float32)


def _thinned(cropped: Gray, excess: float) -> Gray:
    """Strokes narrower by `excess` of the network's pixels. A large picture is made smaller first: the time is that of
    its pixels times those of the disk."""
    if max(cropped.shape) > FINE:
        cropped = _scaled(cropped, FINE / max(cropped.shape), Image.Resampling.BOX)
    shrink = round(excess * max(cropped.shape) / FIT / 2)
    if not shrink:
        return cropped
    return np.asarray(ndimage.grey_erosion(np.pad(cropped, 1), footprint=_disk(shrink))[1:-1, 1:-1], np.float32)


def _scaled(ink: Gray, factor: float, how: Image.Resampling) -> Gray:
    size = (max(1, round(ink.shape[1] * factor)), max(1, round(ink.shape[0] * factor)))
    return np.asarray(np.clip(np.asarray(Image.fromarray(ink).resize(size, how)), 0, 1), dtype=np.float32)


def _enlarged(soft: Gray, part: Mask) -> tuple[Gray, Mask]:
    """A small digit enlarged smoothly: only then can strokes grow by less than one of the network's pixels."""
    factor = -(-FINE // max(soft.shape))
    if factor <= 1:
        return soft, part
    large = _scaled(soft, factor, Image.Resampling.BICUBIC)
    return large, large > HALF_TONE


def _disk(radius: int) -> Mask:
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(np.hypot(y, x) <= radius + 0.3, dtype=bool)


def fit(soft: Gray) -> Gray:
    """[h, w] fitted into 20 x 20, aspect kept, grey levels kept, full tone at 1."""
    scale = FIT / max(soft.shape)
    size = (max(1, round(soft.shape[1] * scale)), max(1, round(soft.shape[0] * scale)))
    how = Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BILINEAR if scale < 1 else Image.Resampling.BICUBIC
    small = np.clip(np.asarray(Image.fromarray(soft).resize(size, how)), 0, 1)
    tone = float(np.quantile(small[small > 0.2], 0.85)) if (small > 0.2).any() else 1.0
    return np.asarray(np.clip(small / max(tone, 0.2), 0, 1), dtype=np.float32)


def centre(small: Gray) -> Pixels:
    """[h, w] up to 20 x 20 placed in 28 x 28 with its centre of mass in the middle, as uint8."""
    mass = max(float(small.sum()), 1e-6)
    rows = float(small.sum(1) @ np.arange(small.shape[0])) / mass
    columns = float(small.sum(0) @ np.arange(small.shape[1])) / mass
    top = int(np.clip(round(SIZE / 2 - rows), 0, SIZE - small.shape[0]))
    left = int(np.clip(round(SIZE / 2 - columns), 0, SIZE - small.shape[1]))
    placed = np.zeros((SIZE, SIZE), dtype=np.uint8)
    placed[top : top + small.shape[0], left : left + small.shape[1]] = np.round(small * 255)
    return placed
