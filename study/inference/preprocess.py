"""A stranger's picture as the network knows digits: MNIST's own recipe.

A digit's box is fitted, aspect kept, into 20 x 20 with grey levels and placed in 28 x 28 so that its centre of mass is
in the middle (LeCun et al., "The MNIST database"). The steps before that find the digit: flatten the background, decide
the polarity, threshold softly, drop specks, frames and ruled lines, join the parts of one digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from study.data.opening import Gray, Opened
from study.inference.cleaning import drop_borders, drop_frame, drop_lines, drop_specks, is_texture
from study.inference.cutting import Reader, cut_touching
from study.inference.fitting import FIT, HALF_TONE, SIZE, Mask, Pixels, box_of, pixels_of, stroke_width
from study.inference.grouping import EIGHT, Box, Part, group_parts, rows_of
from study.inference.ink import Invert, ink_of
from study.inference.sheet import Sheet, sheet_of

PEAK = 0.9  # brightest pixel of a picture in MNIST's form
DIM = 0.3  # and of a blurred one
STEEP = 0.3  # of the brightest pixel: the steepest step between neighbours in a picture blurred by 2 px or more
FILLED = 0.5  # share of its box that is ink: above it a part may be a solid shape
BROAD = 7.0  # pixels of 20: a stroke as wide is no pen's
FAINT = 0.1  # below it a pixel belongs to no box of such a picture
MIN_SIDE = 7  # picture pixels of a digit's longer side: below it the answer is a guess
PALE = 0.15  # of the full tone: above it a stroke of a paler digit shows
PALEST = 0.25  # of the full tone: what a paler digit reaches
LIKE = (0.4, 2.5)  # of the height of the digits in full tone: that of a paler one
ROW = 3  # digits that make a row
EVEN = (0.6, 1.6)  # of the median height: that of the digits of a row
SURE = 0.9  # probability of a cut that is relied on
MOST = 0.8  # of a picture's parts that are as high as one another where it is clearly a row

POLARITY_UNCERTAIN = "polarity uncertain"
BLANK = "blank"
TOO_SMALL = "too small"
CLIPPED = "clipped"
SEVERAL_DIGITS = "several digits"
NOT_A_DIGIT = "not a digit"
READ_AS_ROW = "read as a row"
CUT_UNCERTAIN = "cut uncertain"


@dataclass(frozen=True)
class Prepared:
    """One network input: `pixels` uint8 [28, 28], ink bright on black; `box` of the digit (left, top, right, bottom) in
    the picture's pixels and its `row`, from 1; `boxes` of all digits if there are several."""

    pixels: Pixels
    box: Box
    boxes: tuple[Box, ...] = ()
    flags: tuple[str, ...] = ()
    row: int = 1


@dataclass(frozen=True)
class Look:
    """What was found in a picture: the `sheet` that was read, its `ink` [h, w] in 0 ... 1, the `mask` of the digits'
    strokes, and the digits' `parts` in reading order. Without parts the picture is in MNIST's own form, or blank."""

    opened: Opened
    sheet: Sheet
    ink: Gray
    mask: Mask
    parts: tuple[Part, ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def untouched(self) -> bool:
        """In MNIST's own form."""
        return not self.parts and BLANK not in self.flags

    @property
    def is_even(self) -> bool:
        """Three digits or more in a row, nearly all as high as one another."""
        heights = np.array([part.height for part in self.parts])
        if len(heights) < ROW or max(map(len, rows_of(self.parts))) < ROW:
            return False
        low, high = (share * np.median(heights) for share in EVEN)
        return float(((heights >= low) & (heights <= high)).mean()) >= MOST

    @property
    def is_wide(self) -> bool:
        """One part alone, wider than high."""
        return len(self.parts) == 1 and NOT_A_DIGIT not in self.flags and self.parts[0].width > self.parts[0].height

    @property
    def room(self) -> float:
        """Digits, as wide as high, that its parts have room for."""
        return sum(max(1.0, part.width / part.height) for part in self.parts)

    def in_picture(self, box: Box) -> Box:
        """A box of the sheet's work pixels in the picture's own."""
        left, top, right, bottom = box
        x, y, scale = self.sheet.left, self.sheet.top, self.opened.scale
        return (
            round((left + x) * scale),
            round((top + y) * scale),
            round((right + x) * scale),
            round((bottom + y) * scale),
        )

    def in_sheet(self, box: Box) -> Box:
        """A box of the picture's pixels in the sheet's work pixels."""
        left, top, right, bottom = box
        x, y, scale = self.sheet.left, self.sheet.top, self.opened.scale
        return round(left / scale) - x, round(top / scale) - y, round(right / scale) - x, round(bottom / scale) - y


def prepare(
    opened: Opened, invert: Invert = "auto", segment: bool = False, read: Reader | None = None
) -> list[Prepared]:
    """Network inputs of one picture: exactly one, or with `segment` one per digit in reading order; digits that touch
    are cut apart where there is a `read`er of the pieces."""
    look = look_at(opened, invert)
    return each_of(look, read) if segment else [one_of(look)]


def look_at(opened: Opened, invert: Invert = "auto") -> Look:
    """Find the ink and the digits in a picture."""
    gray = opened.gray
    if invert == "auto" and looks_like_mnist(gray):
        return Look(opened, Sheet(gray), gray, gray > FAINT)
    sheet = sheet_of(gray)
    ink, uncertain = ink_of(sheet.gray, invert)
    mask, texture = clean_mask(ink)
    flags = (POLARITY_UNCERTAIN,) if uncertain else ()
    if not mask.any():
        return Look(opened, sheet, ink, mask, (), (*flags, BLANK))
    if texture:
        box = box_of(mask)
        whole = Part(box, mask[box[1] : box[3], box[0] : box[2]])
        return Look(opened, sheet, ink, mask, (whole,), (*flags, NOT_A_DIGIT))
    return Look(opened, sheet, ink, mask, tuple(group_parts(mask)), flags)


def one_of(look: Look) -> Prepared:
    """The picture's only digit, or the largest of several, so flagged and with the boxes of all."""
    if not look.parts:
        return _untouched(look)
    largest = max(look.parts, key=lambda part: int(part.mask.sum()))
    if len(look.parts) == 1:
        return _prepared(look, largest, 1)
    rows = enumerate(rows_of(look.parts), 1)
    one = _prepared(look, largest, next(number for number, row in rows if any(part is largest for part in row)))
    boxes = tuple(look.in_picture(part.box) for part in look.parts)
    return replace(one, boxes=boxes, flags=(*look.flags, SEVERAL_DIGITS, *one.flags[len(look.flags) :]))


def _untouched(look: Look) -> Prepared:
    pixels = np.zeros((SIZE, SIZE)) if BLANK in look.flags else np.round(look.ink * 255)
    width, height = look.opened.size
    return Prepared(np.asarray(pixels, dtype=np.uint8), (0, 0, width, height), (), look.flags)


def each_of(look: Look, read: Reader | None = None) -> list[Prepared]:
    """Every digit of the picture, row by row from left to right."""
    if not look.parts or NOT_A_DIGIT in look.flags:
        return [one_of(look)]
    parts = look.parts
    if read is not None:
        singles = [part.width <= part.height for part in parts]
        parts = tuple(
            piece
            for part, single in zip(parts, singles, strict=True)
            for piece in cut_touching(part, _ink_of(look, part), read, sum(singles) - single)
        )
    made = [_prepared(look, part, number) for number, row in enumerate(rows_of(parts), 1) for part in row]
    boxes = tuple(one.box for one in made) if len(made) > 1 else ()
    return [replace(one, boxes=boxes) for one in made]


def _ink_of(look: Look, part: Part) -> Gray:
    left, top, right, bottom = part.box
    return look.ink[top:bottom, left:right]


def _prepared(look: Look, part: Part, row: int) -> Prepared:
    flags = list(look.flags)
    if max(part.width, part.height) * look.opened.scale < MIN_SIDE:
        flags.append(TOO_SMALL)
    if part.mask.mean() > FILLED and _fitted_stroke(part) > BROAD and NOT_A_DIGIT not in flags:
        flags.append(NOT_A_DIGIT)
    if _touches_edge(part, look.mask.shape):
        flags.append(CLIPPED)
    if part.certain < SURE:
        flags.append(CUT_UNCERTAIN)
    return Prepared(_pixels(look, part), look.in_picture(part.box), (), tuple(flags), row)


def _pixels(look: Look, part: Part) -> Pixels:
    # A soft rim of the digit belongs to it; ink of others beyond it does not.
    rim = max(1, max(look.mask.shape) // 100)
    padded = np.pad(part.mask, rim)
    left, top, right, bottom = part.box
    around = np.pad(look.ink, rim)[top : bottom + 2 * rim, left : right + 2 * rim]
    soft = np.where(ndimage.binary_dilation(padded, iterations=rim), around, 0)
    tone = float(np.quantile(soft[padded], 0.85))
    if tone < 2 * HALF_TONE:
        soft = np.clip(soft / max(tone, PALE), 0, 1)
    return pixels_of(np.asarray(soft, dtype=np.float32), padded)


def _fitted_stroke(part: Part) -> float:
    return stroke_width(part.mask) * FIT / max(part.width, part.height)


def _touches_edge(part: Part, shape: Sequence[int]) -> bool:
    """Ink along a picture's edge over more than a stroke's breadth: a digit that goes on outside."""
    left, top, right, bottom = part.box
    at_edge = (top == 0, bottom == shape[0], left == 0, right == shape[1])
    edges = (part.mask[0], part.mask[-1], part.mask[:, 0], part.mask[:, -1])
    longest = max((float(edge.sum()) for edge, reached in zip(edges, at_edge, strict=True) if reached), default=0.0)
    return longest > 0.25 * max(part.width, part.height)


def looks_like_mnist(gray: Gray) -> bool:
    """28 x 28, the ink's box 20 pixels long, its brightest pixel white, its centre of mass in the middle pixel or one
    beside it: as all of MNIST's images have it, to a pixel."""
    if gray.shape != (SIZE, SIZE) or gray.max() < DIM:
        return False
    left, top, right, bottom = box_of(gray > FAINT)
    sized = FIT - 2 <= max(right - left, bottom - top) <= FIT + 1
    if not (sized and float(gray.max()) >= PEAK) and not _is_blurred(gray):
        return False
    border = np.concatenate([gray[0], gray[-1], gray[1:-1, 0], gray[1:-1, -1]])
    if float(border.mean()) > 0.05 * float(gray.max()):
        return False
    rows, columns = gray.sum(1) @ np.arange(SIZE) / gray.sum(), gray.sum(0) @ np.arange(SIZE) / gray.sum()
    return bool(abs(rows - SIZE / 2) <= 1.5 and abs(columns - SIZE / 2) <= 1.5)


def _is_blurred(gray: Gray) -> bool:
    """No edge is as steep as a pen's, whatever the size: to fit such a picture anew would hide that it is blurred."""
    steepest = max(float(np.abs(np.diff(gray, axis=axis)).max()) for axis in (0, 1))
    return steepest < STEEP * float(gray.max())


def clean_mask(ink: Gray) -> tuple[Mask, bool]:
    """Where the digits' ink is: above half tone, without ruled lines, frames and specks; and whether what was found is
    a texture rather than a drawing."""
    # Frames first, while they are whole; then what is left of them along the picture's edge.
    mask = drop_borders(drop_lines(drop_borders(drop_frame(ink > HALF_TONE))))
    mask = _with_paler(ink, mask)
    return drop_specks(mask, ink), is_texture(mask)


def _with_paler(ink: Gray, mask: Mask) -> Mask:
    """Mask with the digits that are paler than others but as large, at half of their own tone."""
    labels, count = ndimage.label(ink > PALE, EIGHT)
    if count < 2 or not mask.any():
        return mask
    numbers = np.arange(1, count + 1)
    peaks = np.asarray(ndimage.maximum(ndimage.uniform_filter(ink, 2), labels, numbers))
    known = np.asarray(ndimage.maximum(mask, labels, numbers)).astype(bool)
    heights = np.array([rows.stop - rows.start for rows, _ in ndimage.find_objects(labels)])
    if not known.any():
        return mask
    usual = float(np.median(heights[known & (heights >= 0.5 * heights[known].max())]))
    pale = (peaks >= PALEST) & (peaks < 2 * HALF_TONE) & (heights >= LIKE[0] * usual) & (heights <= LIKE[1] * usual)
    level = np.concatenate([[np.inf], np.where(pale, HALF_TONE * peaks, np.inf)])
    return np.asarray(mask | (ink > level[labels]), dtype=bool)
