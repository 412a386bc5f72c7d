"""Which parts of a mask make one digit, and how many digits there are."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom are the first pixels outside

EIGHT = np.ones((3, 3), dtype=bool)
DIGIT_HEIGHT = 0.55  # of the tallest part: lower parts cannot be digits of their own
OVERLAP = 0.35  # of the narrower part's width: parts one above the other belong together
MAX_PARTS = 40
MAX_WIDTH = 1.4  # of its height: wider parts are taken for digits that touch; 1.4 % of single digits are as wide
USUAL_WIDTH = 0.75  # of its height
CUT_REACH = 0.25  # of a digit's width, to either side of where it should end


def group_parts(mask: Mask) -> list[tuple[Box, Mask]]:
    """Digits from left to right: box and mask [H, W] of each. The mask must hold ink."""
    labels, count = ndimage.label(mask, EIGHT)
    boxes = [_box(found) for found in ndimage.find_objects(labels)]
    if count == 1 or count > MAX_PARTS:
        return [(_union(boxes), mask)]
    groups = _merge(boxes)
    made = [(_union([boxes[i] for i in group]), np.isin(labels, [i + 1 for i in group])) for group in groups]
    return sorted(made, key=lambda item: item[0][0])


def cut_touching(box: Box, part: Mask) -> list[tuple[Box, Mask]]:
    """A part too wide for one digit, cut from top to bottom at the columns with the least ink; others whole.

    Strokes that lie over one another share a column and are cut through: only digits that meet at a point or by a
    thin stroke come out well.
    """
    left, top, right, bottom = box
    n = round((right - left) / (USUAL_WIDTH * (bottom - top)))
    if right - left <= MAX_WIDTH * (bottom - top) or n < 2:
        return [(box, part)]
    width, ink = (right - left) / n, part.sum(axis=0)
    reach = max(1, round(CUT_REACH * width))
    cuts = [left]
    for i in range(1, n):
        start = round(left + i * width) - reach
        cuts.append(start + int(np.argmin(ink[start : start + 2 * reach + 1])))
    columns = np.arange(part.shape[1])
    parts = [part & (columns >= a) & (columns < b) for a, b in itertools.pairwise([*cuts, right])]
    return [(_box(ndimage.find_objects(piece.astype(np.uint8))[0]), piece) for piece in parts if piece.any()]


def _box(found: tuple[slice, ...]) -> Box:
    rows, columns = found
    return columns.start, rows.start, columns.stop, rows.stop


def _union(boxes: list[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _merge(boxes: list[Box]) -> list[list[int]]:
    """Parts joined until only digits of their own stand apart; indices into `boxes`."""
    groups = [[i] for i in range(len(boxes))]
    while len(groups) > 1:
        unions = [_union([boxes[i] for i in group]) for group in groups]
        tallest = max(box[3] - box[1] for box in unions)
        pairs = ((i, j) for i in range(len(groups)) for j in range(i))
        joined = [(i, j) for i, j in pairs if _belong(unions[i], unions[j], tallest)]
        if not joined:
            return groups
        i, j = min(joined, key=lambda pair: _distance(unions[pair[0]], unions[pair[1]]))
        groups[j] += groups.pop(i)
    return groups


def _distance(a: Box, b: Box) -> float:
    dx = max(a[0] - b[2], b[0] - a[2], 0)
    dy = max(a[1] - b[3], b[1] - a[3], 0)
    return float(np.hypot(dx, dy))


def _belong(a: Box, b: Box, tallest: int) -> bool:
    """One above the other; or one too low to be a digit and near."""
    overlap = min(a[2], b[2]) - max(a[0], b[0])
    narrower = min(a[2] - a[0], b[2] - b[0])
    lower = min(a[3] - a[1], b[3] - b[1])
    if overlap >= OVERLAP * narrower:
        return _distance(a, b) < 0.5 * tallest and not _stacked(a, b, tallest)
    return (lower < DIGIT_HEIGHT * tallest and _distance(a, b) < 0.3 * tallest) or _distance(a, b) < 0.04 * tallest


def _stacked(a: Box, b: Box, tallest: int) -> bool:
    """Two digits one above the other: both tall, and a clear gap between them."""
    gap = max(a[1], b[1]) - min(a[3], b[3])
    return min(a[3] - a[1], b[3] - b[1]) >= DIGIT_HEIGHT * tallest and gap > 0.1 * tallest
