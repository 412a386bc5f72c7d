"""Which parts of a mask make one digit, how many digits there are, and in which order they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom are the first pixels outside
Boxes = NDArray[np.int64]  # [N, 4]

EIGHT = np.ones((3, 3), dtype=bool)
DIGIT_HEIGHT = 0.55  # of the usual part: lower parts cannot be digits of their own
OVERLAP = 0.35  # of the narrower part's width: parts one above the other belong together
GAP = 2  # pixels between digits one above the other: in a small picture a broken stroke has as many
MAX_PARTS = 1500
FEW = 6  # parts: of so few the tallest says how tall a digit is
SAME_ROW = 0.5  # of the lower digit's height that neighbours in a row share


@dataclass(frozen=True)
class Part:
    """A digit's ink: its box in the plane that is looked at, the mask [h, w] of that box, and the probability that it
    was rightly cut from digits that it touched."""

    box: Box
    mask: Mask
    certain: float = 1.0

    @property
    def width(self) -> int:
        return self.box[2] - self.box[0]

    @property
    def height(self) -> int:
        return self.box[3] - self.box[1]


def group_parts(mask: Mask) -> list[Part]:
    """The digits of a mask that holds ink, in reading order: row by row, from left to right."""
    labels, count = ndimage.label(mask, EIGHT)
    found = ndimage.find_objects(labels)
    boxes = np.array([(c.start, r.start, c.stop, r.stop) for r, c in found])
    groups = [np.arange(count)] if count == 1 or count > MAX_PARTS else _merged(boxes)
    parts = [_part(labels, group + 1, _union(boxes[group])) for group in groups]
    return [part for row in rows_of(parts) for part in row]


def _part(labels: NDArray[np.integer], members: NDArray[np.int64], box: Box) -> Part:
    left, top, right, bottom = box
    return Part(box, np.isin(labels[top:bottom, left:right], members))


def rows_of(parts: Sequence[Part]) -> list[list[Part]]:
    """Parts in rows from top to bottom, each from left to right. A row goes on with the digit that lies beside its last
    one, so it may climb or fall across the sheet."""
    rows: list[list[Part]] = []
    for part in sorted(parts, key=lambda part: part.box[0]):
        beside = [row for row in rows if _shared_height(row[-1], part) >= SAME_ROW]
        if beside:
            max(beside, key=lambda row: _shared_height(row[-1], part)).append(part)
        else:
            rows.append([part])
    return sorted(rows, key=lambda row: float(np.median([part.box[1] + part.box[3] for part in row])))


def _shared_height(a: Part, b: Part) -> float:
    return (min(a.box[3], b.box[3]) - max(a.box[1], b.box[1])) / max(1, min(a.height, b.height))


def _union(boxes: Boxes) -> Box:
    left, top = boxes[:, :2].min(axis=0)
    right, bottom = boxes[:, 2:].max(axis=0)
    return int(left), int(top), int(right), int(bottom)


def _merged(boxes: Boxes) -> list[NDArray[np.int64]]:
    """Parts joined, nearest first, until only digits of their own stand apart; indices into `boxes`."""
    groups = [np.array([i]) for i in range(len(boxes))]
    while len(groups) > 1:
        unions = np.array([_union(boxes[group]) for group in groups])
        apart = np.where(_belong(unions), _distances(unions), np.inf)
        np.fill_diagonal(apart, np.inf)
        nearest = apart.argmin(axis=1)
        pairs = [(i, int(j)) for i, j in enumerate(nearest) if i < j and nearest[j] == i and np.isfinite(apart[i, j])]
        if not pairs:
            return groups
        gone = {j for _, j in pairs}
        for i, j in pairs:
            groups[i] = np.concatenate([groups[i], groups[j]])
        groups = [group for i, group in enumerate(groups) if i not in gone]
    return groups


def _usual_height(boxes: Boxes) -> float:
    """The tallest of a few parts; of many, the median of those that are no dots and dashes."""
    heights = boxes[:, 3] - boxes[:, 1]
    if len(heights) <= FEW:
        return float(heights.max())
    return float(np.median(heights[heights >= 0.5 * np.quantile(heights, 0.9)]))


def _gaps(boxes: Boxes, low: int, high: int) -> NDArray[np.int64]:
    """[N, N]: pixels between two boxes along one axis, below zero where they overlap."""
    return np.asarray(
        np.maximum(boxes[:, None, low], boxes[None, :, low]) - np.minimum(boxes[:, None, high], boxes[None, :, high])
    )


def _distances(boxes: Boxes) -> NDArray[np.float64]:
    return np.hypot(np.maximum(_gaps(boxes, 0, 2), 0), np.maximum(_gaps(boxes, 1, 3), 0))


def _belong(boxes: Boxes) -> NDArray[np.bool_]:
    """[N, N]: one above the other; or one too low to be a digit and near."""
    usual, apart = _usual_height(boxes), _distances(boxes)
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    narrower, lower = np.minimum(width[:, None], width), np.minimum(height[:, None], height)
    above = -_gaps(boxes, 0, 2) >= OVERLAP * narrower
    # Two digits one above the other: both tall, and a clear gap between them.
    stacked = (lower >= DIGIT_HEIGHT * usual) & (_gaps(boxes, 1, 3) > max(GAP, 0.1 * usual))
    beside = ((lower < DIGIT_HEIGHT * usual) & (apart < 0.3 * usual)) | (apart < 0.04 * usual)
    return np.asarray(np.where(above, (apart < 0.5 * usual) & ~stacked, beside))
