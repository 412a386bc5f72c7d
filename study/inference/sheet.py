"""A sheet of paper on a desk, or a canvas on a web page: where the digit is, and all around it another ground."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from study.inference.ink import Gray, otsu

Mask = NDArray[np.bool_]

MIN_PICTURE = 64  # pixels; in smaller pictures a sheet cannot be told from a stroke
COARSE = 128  # longest side at which sheets are looked for
MIN_AREA = 0.04  # of the picture
MAX_AREA = 0.9
RECTANGULAR = 0.88  # share of its box, turned as it lies, that a sheet fills; an oval fills 0.79
ANGLES = (0, -4, 4, -8, 8, -12, 12)  # degrees by which a sheet may lie turned
INK = (0.003, 0.25)  # share of a sheet, lowest and highest, that is written on
SHARP = 0.6  # of the step from the sheet's tone to that around it that is taken within three coarse pixels
AROUND = 0.7  # share of the rest of the picture that is of the other tone


@dataclass(frozen=True)
class Sheet:
    """The part of a picture to read, `gray` [h, w], and where its corner lies in the picture's work pixels."""

    gray: Gray
    left: int = 0
    top: int = 0


def sheet_of(gray: Gray) -> Sheet:
    """The sheet that the picture [H, W] shows, all beyond its edges painted in its own tone; else the whole picture."""
    if min(gray.shape) < MIN_PICTURE:
        return Sheet(gray)
    factor = max(1, -(-max(gray.shape) // COARSE))
    small = np.asarray(Image.fromarray(gray).reduce(factor))
    for plane in (small, 1 - small):
        for level in _levels(plane):
            for filled, bright in _regions(plane > level):
                if _is_sheet(plane, filled, bright):
                    return _cut(gray, filled, bright, factor)
    return Sheet(gray)


def _levels(plane: Gray) -> Iterator[float]:
    """Otsu's threshold, and that of the brighter class by itself: a white canvas on a grey page with dark bars."""
    level = otsu(plane)
    yield level
    bright = plane[plane > level]
    if bright.size > 0.2 * plane.size and np.ptp(bright) > 0.05:
        yield otsu(bright)


def _regions(bright: Mask) -> Iterator[tuple[Mask, Mask]]:
    """Connected regions of a sheet's size, the largest first: with and without what is written on them."""
    labels, count = ndimage.label(bright)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    for label in np.argsort(-sizes)[:3]:
        if sizes[label] >= MIN_AREA * bright.size:
            region = labels == label
            yield np.asarray(ndimage.binary_fill_holes(region), dtype=bool), region


def _is_sheet(plane: Gray, filled: Mask, bright: Mask) -> bool:
    area = float(filled.mean())
    if not MIN_AREA <= area <= MAX_AREA or _edges_touched(filled) > 2:
        return False
    if not INK[0] <= 1 - bright.sum() / filled.sum() <= INK[1]:
        return False
    return bool(_inner(filled).any()) and _is_sharp(plane, filled, bright) and _is_rectangular(filled)


def _inner(filled: Mask) -> Mask:
    """The sheet less the rim that holds its shadow; all of it where it goes on beyond the picture."""
    return np.asarray(ndimage.binary_erosion(filled, iterations=2, border_value=1), dtype=bool)


def _edges_touched(filled: Mask) -> int:
    return sum(bool(edge.any()) for edge in (filled[0], filled[-1], filled[:, 0], filled[:, -1]))


def _is_sharp(plane: Gray, filled: Mask, bright: Mask) -> bool:
    """All around the sheet lies another tone, and it begins at once: light that falls off has no edge."""
    own = float(np.median(plane[bright]))
    inside = filled & ~_inner(filled)
    outside = ndimage.binary_dilation(filled, iterations=3) & ~ndimage.binary_dilation(filled)
    if not outside.any():
        return False
    rest = plane[~filled]
    other = float(np.median(rest))
    step = float(np.median(plane[inside]) - np.median(plane[outside]))
    darker = float((rest < (own + other) / 2).mean())
    return own - other > 0.05 and step >= SHARP * (own - other) and darker >= AROUND


def _is_rectangular(filled: Mask) -> bool:
    image = Image.fromarray(filled.astype(np.uint8) * 255)
    area = float(filled.sum())
    for angle in ANGLES:
        turned = image.rotate(angle, expand=True) if angle else image
        left, top, right, bottom = turned.getbbox() or (0, 0, 1, 1)
        if area >= RECTANGULAR * (right - left) * (bottom - top):
            return True
    return False


def _cut(gray: Gray, filled: Mask, bright: Mask, factor: int) -> Sheet:
    """The region enlarged to work pixels, less its rim."""
    inner = _inner(filled)
    rows, columns = np.flatnonzero(inner.any(1)), np.flatnonzero(inner.any(0))
    top, left = int(rows[0]) * factor, int(columns[0]) * factor
    bottom, right = (int(rows[-1]) + 1) * factor, (int(columns[-1]) + 1) * factor
    part = gray[top:bottom, left:right]

    def large(mask: Mask) -> Mask:
        return mask.repeat(factor, 0).repeat(factor, 1)[top:bottom, left:right][: part.shape[0], : part.shape[1]]

    tone = np.median(part[large(bright)])
    return Sheet(np.where(large(inner), part, tone).astype(np.float32), left, top)
