"""Digits that touch, cut where the network reads the pieces best (segmentation by recognition).

Cuts are made at more places than needed: along the paths from top to bottom that cross the least ink. Every piece
between two of them that could be a digit is read, and the sequence of pieces with the best sum of scores is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from study.data.opening import Gray
from study.inference.fitting import Mask, Pixels, box_of, pixels_of
from study.inference.grouping import EIGHT, Part

Floats = NDArray[np.float64]
Paths = NDArray[np.int64]
# Network inputs uint8 [N, 28, 28] to the digit that each is read as, [N], -1 where it is none of 0 to 9; and how well
# it is read, [N]: log-odds up to a constant.
Reader = Callable[[NDArray[np.uint8]], tuple[NDArray[np.int64], Floats]]

NARROW = 0.6  # of a digit's height: a narrower part is never two
WIDEST = 1.5  # of its height: the widest piece that can be a digit
LEAST = 0.12  # of its height: the narrowest
STEP = 0.06  # of the height between the places where cuts are tried
REACH = 0.25  # of the height by which a cut may wander to either side
SLANTS = (0.0, 0.2, 0.4, 0.6)  # columns by row
MAX_CUTS = 60  # of one part
LOW = 0.55  # of the part's height: a lower piece is no digit
PIECE_COST = 0.1  # of every piece: two halves that are read well are dearer than one whole
# Log-odds that a piece is a whole digit, by logistic regression over 24,000 pieces of digits that touch, the
# constant raised by 2; and the logarithm of a digit's width by its height, mean and standard deviation.
BASE, BY_HEIGHT, BY_FORM = -6.7, 6.5, -0.2
FORMS = np.array(
    [
        *((-0.1, 0.19), (-0.57, 0.37), (-0.05, 0.2), (-0.18, 0.19), (-0.13, 0.18)),
        *((-0.1, 0.19), (-0.26, 0.21), (-0.23, 0.17), (-0.25, 0.2), (-0.3, 0.16)),
    ]
)


def cut_touching(part: Part, ink: Gray, read: Reader) -> list[Part]:
    """The digits of a part from left to right; the part itself where no cut is read better. `ink` [h, w] of its box."""
    if part.width < NARROW * part.height or min(part.mask.shape) < 4:
        return [part]
    cuts = _cuts(part.mask)
    pairs = _spans(cuts, part.height)
    pieces = {pair: piece for pair in pairs if (piece := _piece(part, cuts, pair)) is not None}
    if not pieces:
        return [part]
    answers, read_well = read(np.stack([_pixels(part, ink, piece) for piece in pieces.values()]))
    scores = read_well + _forms(part, list(pieces.values()), answers)
    chosen = _best(len(cuts), dict(zip(pieces, -np.logaddexp(0, -scores) - PIECE_COST, strict=True)))
    return [pieces[pair] for pair in chosen] or [part]


def _forms(part: Part, pieces: Sequence[Part], answers: NDArray[np.int64]) -> Floats:
    """What a piece's height, and its width for the digit that it is read as, say of it: log-odds [N]."""
    width, height = np.array([(piece.width, piece.height) for piece in pieces]).T
    mean, deviation = FORMS[answers].T
    odd = np.where(answers < 0, 0, np.minimum(((np.log(width / height) - mean) / deviation) ** 2, 25))
    return np.asarray(BASE + BY_HEIGHT * height / part.height + BY_FORM * odd)


def _pixels(part: Part, ink: Gray, piece: Part) -> Pixels:
    x, y = piece.box[0] - part.box[0], piece.box[1] - part.box[1]
    soft = ink[y : y + piece.height, x : x + piece.width]
    return pixels_of(np.where(ndimage.binary_dilation(piece.mask), soft, 0).astype(np.float32), piece.mask)


def _cuts(mask: Mask) -> Paths:
    """Paths [K, h] from top to bottom, by column; the first and the last are the sides."""
    paths = np.unique(_seams(mask, _stroke(mask)), axis=0)
    paths = paths[np.argsort(paths.mean(axis=1), kind="stable")]
    sides = np.zeros((1, len(mask)), np.int64)
    return np.concatenate([sides, paths, sides + mask.shape[1]])


def _stroke(mask: Mask) -> float:
    """Width of the strokes: twice the median depth of the ink's middle."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))
    ridge = (depth >= ndimage.maximum_filter(depth, 3)) & (depth > 0)
    return float(2 * np.median(depth[ridge]) - 1)


def _slant(mask: Mask) -> float:
    """Columns that writing leans to the right per row upwards: there its upright strokes fill the fewest."""
    height = len(mask)
    ys, xs = np.nonzero(mask)
    room = height * max(SLANTS)

    def peaked(slant: float) -> float:
        counts = np.bincount(np.asarray(xs + slant * ys + room - slant * height, np.int64), minlength=1)
        return float((counts.astype(np.float64) ** 2).sum())

    return max(SLANTS, key=peaked)


def _seams(mask: Mask, stroke: float) -> Paths:
    """For places all along the part the path near an upright or leaning line that crosses the least ink, [K, h]. To
    run at the full reach from that line all the way costs as much as to cross a `stroke`."""
    height, width = mask.shape
    reach, slant = max(1, round(REACH * height)), _slant(mask)
    step = max(1, round(STEP * height), width // MAX_CUTS)
    centres = np.arange(step, width - 1, step)
    off = np.arange(-reach, reach + 1)
    aside = stroke * (off / reach) ** 2 / height
    lean = np.round(slant * (height / 2 - np.arange(height))).astype(np.int64)
    padded = np.pad(mask, ((0, 0), (0, 1)))
    total = np.zeros((len(centres), len(off)))
    came = np.zeros((height, *total.shape), np.int8)
    for y in range(height):
        sides = np.pad(total, ((0, 0), (1, 1)), constant_values=np.inf)
        ways = np.stack([sides[:, :-2] + 0.05, sides[:, 1:-1], sides[:, 2:] + 0.05])
        came[y] = ways.argmin(axis=0) - 1
        total = ways.min(axis=0) + padded[y][np.clip(centres[:, None] + off + lean[y], 0, width)] + aside
    at, rows = total.argmin(axis=1), np.arange(len(centres))
    paths = np.zeros((len(centres), height), np.int64)
    for y in range(height - 1, -1, -1):
        paths[:, y] = np.clip(centres + off[at] + lean[y], 0, width)
        at = at + came[y, rows, at]
    return paths


def _spans(cuts: Paths, height: int) -> list[tuple[int, int]]:
    """Pairs of cuts as far apart as a digit is wide."""
    middle = cuts.mean(axis=1)
    n = len(middle)
    return [
        (i, j) for i in range(n) for j in range(i + 1, n) if LEAST * height <= middle[j] - middle[i] <= WIDEST * height
    ]


def _piece(part: Part, cuts: Paths, pair: tuple[int, int]) -> Part | None:
    """The ink between two cuts, without slivers of what lies beyond; None where it is too low for a digit."""
    columns = np.arange(part.width)
    start, end = (cuts[i][:, None] for i in pair)
    mask = part.mask & (columns >= start) & (columns < end)
    labels, count = ndimage.label(mask, EIGHT)
    if count > 1:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        mask = (sizes >= 0.12 * sizes.max())[labels] & mask
    if not count:
        return None
    left, top, right, bottom = box_of(mask)
    if bottom - top < LOW * part.height:
        return None
    x, y = part.box[:2]
    return Part((left + x, top + y, right + x, bottom + y), mask[top:bottom, left:right])


def _best(n: int, scores: dict[tuple[int, int], float]) -> Sequence[tuple[int, int]]:
    """The pairs of cuts from the first to the last whose scores have the largest sum."""
    best: list[tuple[float, list[tuple[int, int]]]] = [(0.0, []), *((-np.inf, []) for _ in range(n - 1))]
    for j in range(1, n):
        for i in range(j):
            if (i, j) in scores:
                score = best[i][0] + float(scores[i, j])
                if score > best[j][0]:
                    best[j] = (score, [*best[i][1], (i, j)])
    return best[-1][1]
