"""A stranger's picture as the network knows digits: MNIST's own recipe.

A digit's box is fitted, aspect kept, into 20 x 20 with grey levels and placed in 28 x 28 so that its centre of mass is
in the middle (LeCun et al., "The MNIST database"). The steps before that find the digit: flatten the background, decide
the polarity, threshold softly, drop specks, frames and ruled lines, join the parts of one digit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from study.inference.cleaning import drop_borders, drop_frame, drop_lines, drop_specks, is_texture
from study.inference.grouping import Box, cut_touching, group_parts
from study.inference.ink import Invert, ink_of
from study.inference.opening import Gray, Opened
from study.inference.sheet import sheet_of

Mask = NDArray[np.bool_]
Pixels = NDArray[np.uint8]

SIZE, FIT = 28, 20
HALF_TONE = 0.4  # of the ink's full tone: above it a pixel is ink
PEAK = 0.9  # brightest pixel of a picture in MNIST's form
FAINT = 0.1  # below it a pixel belongs to no box of such a picture
FINE = 80  # pixels: shorter digits are enlarged before their strokes are measured
MIN_SIDE = 7  # picture pixels of a digit's longer side: below it the answer is a guess
THICK = 4.5  # and from which they are thinned
THIN = 1.9  # stroke width after the fit, in pixels, up to which strokes are strengthened; MNIST's median is about 2.7

POLARITY_UNCERTAIN = "polarity uncertain"
BLANK = "blank"
TOO_SMALL = "too small"
CLIPPED = "clipped"
SEVERAL_DIGITS = "several digits"
NOT_A_DIGIT = "not a digit"


@dataclass(frozen=True)
class Prepared:
    """One network input: `pixels` uint8 [28, 28], ink bright on black; `box` of the digit (left, top, right, bottom) in
    the picture's pixels, None where the whole picture was taken; `boxes` of all digits if there are several."""

    pixels: Pixels
    box: Box | None = None
    boxes: tuple[Box, ...] = ()
    flags: tuple[str, ...] = ()


def prepare(opened: Opened, invert: Invert = "auto", segment: bool = False) -> list[Prepared]:
    """Network inputs of one picture: exactly one, or with `segment` one per digit from left to right."""
    if invert == "auto" and looks_like_mnist(opened.gray):
        return [Prepared(np.asarray(np.round(opened.gray * 255), dtype=np.uint8))]
    sheet = sheet_of(opened.gray)
    ink, uncertain = ink_of(sheet.gray, invert)
    flags = (POLARITY_UNCERTAIN,) if uncertain else ()
    mask, texture = clean_mask(ink)
    if not mask.any():
        return [Prepared(np.zeros((SIZE, SIZE), np.uint8), flags=(*flags, BLANK))]
    place = _Place(sheet.left, sheet.top, opened.scale)
    if texture:
        return [_prepare_one(ink, mask, (*flags, NOT_A_DIGIT), place)]
    return _prepare_digits(place, ink, mask, flags, segment)


@dataclass(frozen=True)
class _Place:
    """Where the plane that is looked at lies in the picture: its corner in work pixels, and how large they are."""

    left: int
    top: int
    scale: float

    def in_picture(self, box: Box) -> Box:
        left, top, right, bottom = box
        x, y = (left + self.left, right + self.left), (top + self.top, bottom + self.top)
        return round(x[0] * self.scale), round(y[0] * self.scale), round(x[1] * self.scale), round(y[1] * self.scale)


def _prepare_digits(place: _Place, ink: Gray, mask: Mask, flags: tuple[str, ...], segment: bool) -> list[Prepared]:
    groups = group_parts(mask)
    if segment:
        groups = [piece for group in groups for piece in cut_touching(*group)]
    boxes = tuple(place.in_picture(box) for box, _ in groups)
    if segment or len(groups) == 1:
        made = [_prepare_one(ink, part, flags, place) for _, part in groups]
        return [made_one if len(groups) == 1 else _with_boxes(made_one, boxes) for made_one in made]
    largest = max(groups, key=lambda group: int(group[1].sum()))[1]
    one = _prepare_one(ink, largest, (*flags, SEVERAL_DIGITS), place)
    return [_with_boxes(one, boxes)]


def _with_boxes(one: Prepared, boxes: tuple[Box, ...]) -> Prepared:
    return Prepared(one.pixels, one.box, boxes, one.flags)


def _prepare_one(ink: Gray, part: Mask, flags: tuple[str, ...], place: _Place) -> Prepared:
    # A soft rim of the digit belongs to it; ink of others beyond it does not.
    reach = ndimage.binary_dilation(part, iterations=max(1, max(part.shape) // 100))
    soft = np.where(reach, ink, 0)
    box = _box_of(part)
    left, top, right, bottom = box
    found = list(flags)
    if max(right - left, bottom - top) * place.scale < MIN_SIDE:
        found.append(TOO_SMALL)
    if _touches_edge(box, part):
        found.append(CLIPPED)
    return Prepared(centre(fit(strengthen(soft, part))), place.in_picture(box), (), tuple(found))


def _touches_edge(box: Box, part: Mask) -> bool:
    """Ink along a picture's edge over more than a stroke's breadth: a digit that goes on outside."""
    edges = (part[0], part[-1], part[:, 0], part[:, -1])
    return max(float(edge.sum()) for edge in edges) > 0.25 * max(box[2] - box[0], box[3] - box[1])


def looks_like_mnist(gray: Gray) -> bool:
    """28 x 28, the ink's box 20 pixels long, its brightest pixel white, its centre of mass in the middle pixel or one
    beside it: as all of MNIST's images have it, to a pixel."""
    if gray.shape != (SIZE, SIZE) or gray.max() < PEAK:
        return False
    left, top, right, bottom = _box_of(gray > FAINT)
    if not FIT - 2 <= max(right - left, bottom - top) <= FIT + 1:
        return False
    rows, columns = gray.sum(1) @ np.arange(SIZE) / gray.sum(), gray.sum(0) @ np.arange(SIZE) / gray.sum()
    return bool(abs(rows - SIZE / 2) <= 1.5 and abs(columns - SIZE / 2) <= 1.5)


def clean_mask(ink: Gray) -> tuple[Mask, bool]:
    """Where the digit's ink is: above half tone, without ruled lines, frames and specks; and whether what was found is
    a texture rather than a drawing."""
    # Frames first, while they are whole; then what is left of them along the picture's edge.
    mask = drop_borders(drop_lines(drop_borders(drop_frame(ink > HALF_TONE))))
    return drop_specks(mask, ink), is_texture(mask)


def _box_of(mask: Mask) -> Box:
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
    left, top, right, bottom = _box_of(part)
    cropped, part = _enlarged(soft[top:bottom, left:right], part[top:bottom, left:right])
    side = max(cropped.shape)
    fitted = stroke_width(part) * FIT / side
    grow = round(max(0.0, THIN - fitted) * side / FIT / 2)
    shrink = round(max(0.0, fitted - THICK) * side / FIT / 2)
    pad = grow + 1
    cropped = np.pad(cropped, pad)
    if shrink:
        return np.asarray(ndimage.grey_erosion(cropped, footprint=_disk(shrink))[pad:-pad, pad:-pad], dtype=np.float32)
    if grow:
        return np.asarray(ndimage.grey_dilation(cropped, footprint=_disk(grow)), dtype=np.float32)
    return np.asarray(cropped[pad:-pad, pad:-pad], dtype=np.float32)


def _enlarged(soft: Gray, part: Mask) -> tuple[Gray, Mask]:
    """A small digit enlarged smoothly: only then can strokes grow by less than one of the network's pixels."""
    factor = -(-FINE // max(soft.shape))
    if factor <= 1:
        return soft, part
    size = (soft.shape[1] * factor, soft.shape[0] * factor)
    large = np.asarray(Image.fromarray(soft).resize(size, Image.Resampling.BICUBIC))
    return np.asarray(np.clip(large, 0, 1), dtype=np.float32), large > HALF_TONE


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
