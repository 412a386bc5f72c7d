"""Digits that touch, cut where the network reads the pieces best (segmentation by recognition).

Cuts are tried along many lines from top to bottom, upright and leaning, each moved to where it crosses the least ink.
Every piece between two of them that could be a digit is read, and of all ways to part the ink the likeliest is kept: a
conditional random field over the cuts, whose weights were learnt on digits of MNIST that touch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from study.data.opening import Gray
from study.inference.fitting import Mask, Pixels, box_of, pixels_of, stroke_width
from study.inference.grouping import EIGHT, Part

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NARROW = 0.5  # of a digit's height: a narrower part is never two
WIDEST = 1.3  # of its height: the widest piece that can be a digit
LOW = 0.55  # of the part's height: a lower piece is no digit
LEAST = 3  # squares of a stroke's width: the ink of the smallest piece
STEP = 0.08  # of the height between the places where lines begin and end
LEAN = (-0.25, 0.5)  # of the height by which a line's upper end may lie to the right of its lower end
REACH = 0.1  # of the height by which a cut may leave its line to either side
MAX_STEPS = 200  # along one part
MAX_PIECES = 3000  # that one part is read for: a string of twenty digits that all touch has some 2,000
DEAREST = 4  # widths of a stroke: the most ink that a cut may cross
ALIKE = 2  # squares of a stroke's width: of cuts that part the ink alike but for so much the cheapest is tried
SLIVER = 0.12  # of a piece's largest part: what lies loose and is smaller belongs to its neighbours
SAME = 0.6  # of two pieces' width together that they share where they are the same digit

# The logarithm of a digit's width by its height, mean and standard deviation, by digit.
FORMS = np.array(
    [
        *((-0.1, 0.19), (-0.57, 0.37), (-0.05, 0.2), (-0.18, 0.19), (-0.13, 0.18)),
        *((-0.1, 0.19), (-0.26, 0.21), (-0.23, 0.17), (-0.25, 0.2), (-0.3, 0.16)),
    ]
)
# Log-odds by the logarithm of the number of parts beside it that are no wider than high: set by hand.
BY_SINGLES = 0.5
# What speaks for a piece being a digit, learnt on 700 parts of one to six digits: in the order of `_looks`.
WEIGHTS = np.array([-4.61, 2.49, -0.23, -4.92, 4.65, -2.03, -1.18, -0.2, -2.42])


@dataclass(frozen=True, slots=True)
class Readings:
    """How N network inputs are read: the `digits` [N], -1 where it is none of 0 to 9; the `doubt` [N], a calibrated
    probability that it is another one; the `distance` [N] from what that class looks like; and how `strange` it is
    [N], above 1 like no digit."""

    digits: Ints
    doubt: Floats
    distance: Floats
    strange: Floats


Reader = Callable[[NDArray[np.uint8]], Readings]  # of network inputs uint8 [N, 28, 28]


@dataclass(frozen=True, slots=True)
class _Cuts:
    """Cuts from left to right; the first and the last are the part's sides. `paths` [K, h]: the column by row that lies
    right of the cut; `left` [K, h]: pixels of ink left of it; `crossed` [K]: pixels of ink that it runs through."""

    paths: Ints
    left: Ints
    crossed: Ints


@dataclass(frozen=True, slots=True)
class _Piece:
    """What lies between two cuts, as a `part` and as `pixels` for the network."""

    start: int
    end: int
    part: Part
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class Ways:
    """All ways to part a part's ink: `parts` [N] that could be digits, by the cut that they end at; the cuts at their
    two ends, `edges` [N, 2], of which the `last` is the part's right side; the `digits` [N] that they are read as; and
    the `looks` [N, 9] that WEIGHTS are for."""

    parts: Sequence[Part]
    edges: Ints
    last: int
    digits: Ints
    looks: Floats

    @property
    def whole(self) -> Mask:
        """[N]: the whole part."""
        return np.asarray((self.edges == (0, self.last)).all(axis=1))


def cut_touching(part: Part, ink: Gray, read: Reader, singles: int = 0) -> list[Part]:
    """The digits of a part from left to right, with the probability that they are cut rightly; the part itself where
    no cut is likelier. `ink` [h, w] of its box; beside it there are `singles` that look like one digit each, and the
    more there are the likelier it is one, too."""
    ways = ways_to_cut(part, ink, read)
    if ways is None:
        return [part]
    scores = ways.looks @ WEIGHTS
    scores[ways.whole] += BY_SINGLES * np.log1p(singles)
    certain = _same(ways.parts, ways.digits) @ sum_of_ways(ways.edges, scores, ways.last)[1]
    best = likeliest_way(ways.edges, scores, ways.last)
    return [replace(ways.parts[i], certain=min(1.0, float(certain[i]))) for i in best] or [part]


def ways_to_cut(part: Part, ink: Gray, read: Reader) -> Ways | None:
    """None where the part is too narrow for two digits, no piece of it could be one, or there are too many to try."""
    if part.width < NARROW * part.height or min(part.mask.shape) < 4:
        return None
    stroke = stroke_width(part.mask)
    cuts = _cuts(part.mask, stroke)
    pieces = list(islice(_pieces(part, ink, cuts, stroke), MAX_PIECES + 1))
    if not 0 < len(pieces) <= MAX_PIECES:
        return None
    readings = read(np.stack([piece.pixels for piece in pieces]))
    looks = _looks(pieces, readings, cuts.crossed / stroke, _usual_height(part.mask))
    edges = np.array([(piece.start, piece.end) for piece in pieces])
    return Ways([piece.part for piece in pieces], edges, len(cuts.paths) - 1, readings.digits, looks)


# --- cuts ------------------------------------------------------------------------------------------------------------


def _cuts(mask: Mask, stroke: float) -> _Cuts:
    """The cheapest of those that part the ink nearly alike, and the sides."""
    paths, costs = _near_lines(mask, stroke)
    before = np.pad(mask.cumsum(axis=1), ((0, 0), (1, 0)))
    rows = np.arange(len(mask))
    left = before[rows, paths]
    tried = [i for i in np.argsort(costs, kind="stable") if costs[i] <= DEAREST * stroke]
    kept, chosen = [np.zeros_like(rows), before[:, -1]], []
    for i in tried:
        if (np.abs(np.array(kept) - left[i]).sum(axis=1) > ALIKE * stroke**2).all():
            kept.append(left[i])
            chosen.append(i)
    chosen.sort(key=lambda i: int(left[i].sum()))
    sides = np.full((2, len(mask)), [[0], [mask.shape[1]]])
    paths = np.concatenate([sides[:1], paths[chosen], sides[1:]])
    crossed = np.pad(mask, ((0, 0), (0, 1)))[rows, paths].sum(axis=1)
    crossed[0] = 0
    return _Cuts(paths, before[rows, paths], crossed)


def _near_lines(mask: Mask, stroke: float) -> tuple[Ints, Floats]:
    """For each line between a place on the top and one on the bottom the path near it that crosses the least ink:
    paths [L, h], and what they cost in pixels [L]. To run at the full reach all the way costs a `stroke`."""
    height, width = mask.shape
    step, reach = max(2, round(STEP * height), width // MAX_STEPS), max(1, round(REACH * height))
    places = np.arange(0, width + 1, step)
    lean = places[:, None] - places
    tops, bottoms = np.nonzero((lean >= LEAN[0] * height) & (lean <= LEAN[1] * height))
    down = np.linspace(0, 1, height)
    lines = np.round(places[tops, None] + (places[bottoms] - places[tops])[:, None] * down).astype(np.int64)  # [L, h]
    off = np.arange(-reach, reach + 1)
    aside = stroke * (off / reach) ** 2 / height
    padded = np.pad(mask, ((0, 0), (reach, reach + 1)))
    total = np.zeros((len(lines), len(off)))
    came = np.zeros((height, *total.shape), np.int8)
    for y in range(height):
        sides = np.pad(total, ((0, 0), (1, 1)), constant_values=np.inf)
        ways = np.stack([sides[:, :-2] + 0.05, sides[:, 1:-1], sides[:, 2:] + 0.05])
        came[y] = ways.argmin(axis=0) - 1
        total = ways.min(axis=0) + padded[y][lines[:, y, None] + off + reach] + aside
    at, each = total.argmin(axis=1), np.arange(len(lines))
    costs = total[each, at]
    paths = np.zeros((len(lines), height), np.int64)
    for y in range(height - 1, -1, -1):
        paths[:, y] = np.clip(lines[:, y] + off[at], 0, width)
        at = at + came[y, each, at]
    return paths, costs


# --- pieces ----------------------------------------------------------------------------------------------------------


def _pieces(part: Part, ink: Gray, cuts: _Cuts, stroke: float) -> Iterator[_Piece]:
    """All that could be a digit, by the cut that they end at."""
    soft = np.where(ndimage.binary_dilation(part.mask), ink, 0).astype(np.float32)
    columns, middles = np.arange(part.width), cuts.paths.mean(axis=1)
    for end in range(1, len(middles)):
        for start in np.flatnonzero(middles[end] - middles[:end] <= 2 * WIDEST * part.height):
            rows = cuts.left[end] - cuts.left[start]
            tall = np.flatnonzero(rows)
            if rows.min() < 0 or rows.sum() < LEAST * stroke**2 or np.ptp(tall) + 1 < LOW * part.height:
                continue
            between = (columns >= cuts.paths[start][:, None]) & (columns < cuts.paths[end][:, None])
            mask = _without_slivers(part.mask & between)
            box = left, top, right, bottom = box_of(mask)
            whole = start == 0 and end == len(middles) - 1
            if bottom - top < LOW * part.height or (right - left > WIDEST * part.height and not whole):
                continue
            cropped = mask[top:bottom, left:right]
            shown = np.where(between & (mask | ~part.mask), soft, 0)[top:bottom, left:right]
            yield _Piece(int(start), end, _moved(box, part, cropped), pixels_of(shown, cropped, stroke))


def _moved(box: tuple[int, int, int, int], part: Part, mask: Mask) -> Part:
    x, y = part.box[:2]
    return Part((box[0] + x, box[1] + y, box[2] + x, box[3] + y), mask)


def _without_slivers(mask: Mask) -> Mask:
    labels, count = ndimage.label(mask, EIGHT)
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= SLIVER * sizes.max())[labels] & mask, dtype=bool)


def _same(parts: Sequence[Part], digits: Ints) -> Mask:
    """[N, N]: pieces that are read alike in nearly the same place, cut a little elsewhere."""
    left, right = np.array([(part.box[0], part.box[2]) for part in parts]).T
    shared = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
    either = np.maximum(right[:, None], right) - np.minimum(left[:, None], left)
    return np.asarray((shared > SAME * either) & (digits[:, None] == digits))


def _usual_height(mask: Mask) -> float:
    """The median height of the ink around a column, as wide as a digit: neighbours may stand higher or lower."""
    height, inked = len(mask), mask.any(axis=0)
    top = np.where(inked, mask.argmax(axis=0), height)
    bottom = np.where(inked, height - mask[::-1].argmax(axis=0), 0)
    near = round(0.6 * height) | 1
    return float(np.median(ndimage.maximum_filter1d(bottom, near) - ndimage.minimum_filter1d(top, near)))


def _looks(pieces: Sequence[_Piece], readings: Readings, crossed: Floats, usual: float) -> Floats:
    """Looks [N, 9] at pieces: all alike; how surely it is read; how far it is from its class, by itself and by its
    width; its height in that of a `usual` digit, and what it lacks of 0.8; its form beside its class's; the strokes
    that its cuts have `crossed` [K]; and how strange it is."""
    width, height = np.array([(piece.part.width, piece.part.height) for piece in pieces], np.float64).T
    mean, deviation = FORMS[readings.digits].T
    odd = np.where(readings.digits < 0, 0, np.minimum(((np.log(width / height) - mean) / deviation) ** 2, 25))
    sure = -np.log(np.clip(readings.doubt, 1e-4, 1)) / -np.log(1e-4)
    distance, height = readings.distance / 20, height / usual
    looks = [
        *(np.ones_like(width), sure, distance, distance * width / usual),
        *(np.minimum(height, 1), np.maximum(0.8 - height, 0), odd / 10),
        np.array([crossed[piece.start] + crossed[piece.end] for piece in pieces]),
        np.log1p(np.maximum(readings.strange, 0)),
    ]
    return np.stack(looks, axis=1)


# --- the likeliest way -----------------------------------------------------------------------------------------------


def likeliest_way(edges: Ints, scores: Floats, last: int) -> Sequence[int]:
    """The pieces from the first cut to the last whose scores have the largest sum, none where no row of pieces reaches
    it; `edges` [N, 2] by their ends."""
    best: dict[int, tuple[float, list[int]]] = {0: (0.0, [])}
    for i, (start, end) in enumerate(edges.tolist()):
        if start in best:
            score = best[start][0] + float(scores[i])
            if end not in best or score > best[end][0]:
                best[end] = (score, [*best[start][1], i])
    return best.get(last, (0.0, []))[1]


def sum_of_ways(edges: Ints, scores: Floats, last: int) -> tuple[float, Floats]:
    """Over all ways from cut 0 to the `last`: the logarithm of the sum of their weights, minus infinity where there is
    none, and the probability of each piece [N] to be in the way. `edges` [N, 2] by their ends."""
    before, after = [-np.inf] * (last + 1), [-np.inf] * (last + 1)
    before[0] = after[last] = 0.0
    scored = [(start, end, score) for (start, end), score in zip(edges.tolist(), scores.tolist(), strict=True)]
    for start, end, score in scored:
        before[end] = float(np.logaddexp(before[end], before[start] + score))
    for start, end, score in reversed(scored):
        after[start] = float(np.logaddexp(after[start], after[end] + score))
    through = np.array(before)[edges[:, 0]] + scores + np.array(after)[edges[:, 1]]
    return before[last], np.asarray(np.exp(through - max(before[last], -1e300)))
