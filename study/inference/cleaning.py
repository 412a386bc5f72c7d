"""What is in a mask of ink and belongs to no digit: ruled lines, frames, table edges, specks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Gray = NDArray[np.float32]

EIGHT = np.ones((3, 3), dtype=bool)
COARSE = 192  # longest side at which lines are looked for
MIN_LINED_SIDE = 40  # pixels; in smaller pictures a line cannot be told from a stroke
STRIP = 3  # times as long as broad
SLOPES = np.linspace(-0.08, 0.08, 17)  # ruled lines lie within about 4.5 degrees of the picture's sides
MAX_THICKNESS = 0.03  # of the picture's height
BEYOND = 1.45  # times the digit's width
FROM_EDGE_TO_EDGE = 0.92  # share of the side that a line without company covers
COVERAGE = 0.7  # share of the side that a line covers
BESIDE = 0.3  # share of the side along which it is seen by itself: a large digit hides the rest
PAGE_LINES = 3  # from edge to edge: no digit has as many strokes so long
FRAME_ZONE = 0.15  # share of the picture, from each side, in which a frame's line is looked for
FRAME_SIDES = 3  # of a rectangle that must be seen: the digit may hide one
RIM = 0.08  # of a part's box, from each of its sides, in which a frame's side lies
STRAIGHT = 0.75  # share of a side that a frame covers within the rim; an oval covers 0.54
FRAMED = 0.2  # of a frame's height: the least that a digit inside has
BAND = 0.3  # of the picture: the broadest strip along an edge
SOLID = 0.6  # share of its box that a strip fills
SMALLEST = 0.03  # of the picture: the height of the smallest digit beside a strip
PIECE = 0.5  # of the digit's height and ink: a larger part beside it is a digit
MAX_EDGE_INK = 0.25  # share of the picture's edge that the ink of a digit may touch
MAX_CRUMBS = 30  # parts
MIN_HEIGHT = 8  # pixels of a sheet's digits
MAX_INK = 0.3  # share of a sheet that is written on
EVEN = 0.8  # of a sheet's ink: in parts of about the same height
SPECK = 0.03  # of the largest part's ink: below it a part is a speck


def drop_frame(mask: Mask) -> Mask:
    """Mask without a rectangle around the digit: straight thin lines near three or four of the picture's sides. Ink
    that goes on inside stays, so a stroke may touch the frame or cross it."""
    if min(mask.shape) < MIN_LINED_SIDE:
        return mask
    kept = mask.copy()
    bands = [(side, band) for side in _sides(kept) if (band := _line_near_top(side)) is not None]
    for side, band in bands:
        inside = side[band.stop : band.stop + 1].any(axis=0) if band.stop < len(side) else False
        side[band] &= inside
    return kept if len(bands) >= FRAME_SIDES and _is_substantial(kept) else mask


def _sides(mask: Mask) -> list[Mask]:
    """Views of the mask with each of its four sides on top."""
    return [mask, mask[::-1], mask.T, mask.T[::-1]]


def _line_near_top(mask: Mask) -> slice | None:
    height = len(mask)
    rows = np.flatnonzero(mask[: round(FRAME_ZONE * height)].mean(axis=1) >= COVERAGE)
    thick = bool(rows.size) and np.ptp(rows) + 1 > max(3, MAX_THICKNESS * height)
    # A row on either side holds the line's soft rim.
    return None if not rows.size or thick else slice(max(0, int(rows[0]) - 1), int(rows[-1]) + 2)


def drop_lines(mask: Mask) -> Mask:
    """Mask without straight thin lines across the picture, level or upright, where a digit remains without them. Lines
    across a strip are not looked for: they are its digits' strokes."""
    if min(mask.shape) < MIN_LINED_SIDE or not mask.any():
        return mask
    height, width = mask.shape
    flat = _without_flat_lines(mask) if STRIP * width >= height else mask
    return _without_flat_lines(flat.T).T if STRIP * height >= width else flat


def _without_flat_lines(mask: Mask) -> Mask:
    lines, ruled_page = _flat_lines(mask)
    rest = mask & ~lines
    lines_matter = lines.any() and _is_substantial(rest) and (ruled_page or _longer_than(lines, rest))
    return rest if lines_matter else mask


@dataclass(frozen=True)
class _Line:
    """A row of the coarse mask, sheared by `offsets` [columns], that a line fills; `thin` [columns] where nothing
    crosses it."""

    row: int
    offsets: NDArray[np.int64]
    thin: Mask
    covered: float
    edge_to_edge: bool


def _flat_lines(mask: Mask) -> tuple[Mask, bool]:
    """Pixels of near-horizontal thin lines that cover most of the width, but for the columns where a stroke crosses;
    and whether they are so many, from edge to edge, that they can only be a page's.

    Looked for in a coarse mask, sheared by each slope so that a line of that slope lies in one row or two.
    """
    factor = max(1, -(-max(mask.shape) // COARSE))
    coarse = _pooled(mask, factor)
    if coarse.any(0).mean() < COVERAGE:
        return np.zeros_like(mask), False
    height, width = coarse.shape
    thick = max(2, round(MAX_THICKNESS * height))
    reach = max(height, round(max(np.abs(SLOPES)) * width / 2))  # rows that a slope leads beyond the picture
    padded = np.pad(coarse, ((thick + reach, thick + reach), (0, 0)))
    lines: list[_Line] = []
    for slope in SLOPES:
        offsets = np.round(slope * (np.arange(width) - width / 2)).astype(np.int64)
        sheared = padded[np.arange(reach, reach + height + 2 * thick)[:, None] + offsets, np.arange(width)]
        row = sheared[thick:-thick] | sheared[thick + 1 : -thick + 1 or None]
        thin = row & ~sheared[: -2 * thick] & ~sheared[2 * thick :]
        for y in np.flatnonzero((row.mean(1) >= COVERAGE) & (thin.mean(1) >= BESIDE)):
            ends = bool(row[y, :2].any() and row[y, -2:].any())
            lines.append(_Line(int(y), offsets, thin[y], float(row[y].mean()), ends))
    found = np.zeros_like(mask)
    if _is_ruling(lines, height):
        for line in lines:
            _mark(found, (line.row + line.offsets) * factor, np.repeat(line.thin, factor)[: mask.shape[1]], factor)
    places = sorted(line.row for line in lines if line.edge_to_edge)
    return found & mask, int((np.diff(places) > 2 * thick).sum()) + 1 >= PAGE_LINES


def _is_ruling(lines: list[_Line], height: int) -> bool:
    """Several lines apart, or one from edge to edge: a lone shorter one may be a pen's straight stroke."""
    places = [line.row for line in lines]
    apart = bool(places) and bool(np.ptp(places) > 0.1 * height)
    return apart or max((line.covered for line in lines), default=0.0) >= FROM_EDGE_TO_EDGE


def _pooled(mask: Mask, factor: int) -> Mask:
    """[H, W] to [H / factor, W / factor], rounded up: True where a block holds ink."""
    padded = np.pad(mask, ((0, -mask.shape[0] % factor), (0, -mask.shape[1] % factor)))
    blocks = padded.reshape(padded.shape[0] // factor, factor, padded.shape[1] // factor, factor)
    return np.asarray(blocks.any(axis=(1, 3)), dtype=bool)


def _mark(found: Mask, rows: NDArray[np.int64], columns: Mask, factor: int) -> None:
    """Set the band of two coarse rows, and a pixel around it, that starts at `rows` [coarse columns] in `columns`."""
    starts = np.repeat(rows, factor)[: found.shape[1]]
    at = np.flatnonzero(columns)
    for offset in range(-1, 2 * factor + 1):
        inside = (starts[at] + offset >= 0) & (starts[at] + offset < found.shape[0])
        found[starts[at][inside] + offset, at[inside]] = True


def _is_substantial(rest: Mask) -> bool:
    """Something of a digit's extent is left: the long strokes of a 1 or a 7 are no ruled lines."""
    labels, count = ndimage.label(rest, EIGHT)
    if count == 0:
        return False
    spans = [max(box[0].stop - box[0].start, box[1].stop - box[1].start) for box in ndimage.find_objects(labels)]
    return bool(max(spans) >= 0.08 * max(rest.shape))


def _longer_than(lines: Mask, rest: Mask) -> bool:
    """A ruled line goes on far beyond the digit; a digit's own stroke does not."""
    labels, _ = ndimage.label(rest, EIGHT)
    biggest = int(np.argmax(np.bincount(labels.ravel())[1:]))
    columns = ndimage.find_objects(labels)[biggest][1]
    return bool(np.ptp(np.flatnonzero(lines.any(0))) + 1 >= BEYOND * (columns.stop - columns.start))


@dataclass(frozen=True)
class _Part:
    """One connected part of a mask [H, W]: its label, box (rows, columns) and number of pixels."""

    label: int
    rows: slice
    columns: slice
    size: int

    @property
    def height(self) -> int:
        return int(self.rows.stop - self.rows.start)

    @property
    def width(self) -> int:
        return int(self.columns.stop - self.columns.start)

    @property
    def long(self) -> int:
        return max(self.height, self.width)


def _parts_of(labels: NDArray[np.integer], count: int) -> list[_Part]:
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    boxes = enumerate(ndimage.find_objects(labels), 1)
    return [_Part(i, rows, columns, int(sizes[i])) for i, (rows, columns) in boxes]


def drop_borders(mask: Mask) -> Mask:
    """Mask without what lies around a digit: frames, table edges, shadows, and pieces of neighbours that the picture's
    edge has cut. A digit that fills its picture touches all edges, too; what tells them apart is that a frame is
    straight along its sides and a table's edge runs from side to side."""
    labels, count = ndimage.label(mask, EIGHT)
    if count < 2:
        return mask
    parts = _parts_of(labels, count)
    around = [part for part in parts if _is_band(part, mask.shape) or _is_frame(part, labels)]
    least = max((FRAMED * part.height for part in around if not _is_band(part, mask.shape)), default=0.0)
    inside = [part for part in parts if part not in around and _may_be_digit(part, mask.shape, least)]
    if not inside:
        around, inside = [], parts
    around += _pieces(inside, mask.shape)
    return np.isin(labels, [part.label for part in around], invert=True) & mask if around else mask


def _may_be_digit(part: _Part, shape: tuple[int, ...], least: float) -> bool:
    return part.height >= max(least, SMALLEST * max(shape)) and part.size >= 0.0004 * shape[0] * shape[1]


def _touches(part: _Part, shape: tuple[int, ...]) -> tuple[bool, bool, bool, bool]:
    """Whether it reaches the picture's top, bottom, left and right edge, but for a pixel or two in a hundred."""
    rows, columns = part.rows, part.columns
    y, x = (max(1, round(0.02 * side)) for side in shape)
    return rows.start <= y, rows.stop >= shape[0] - y, columns.start <= x, columns.stop >= shape[1] - x


def _is_band(part: _Part, shape: tuple[int, ...]) -> bool:
    """A full strip along one of the picture's edges, from side to side: a table's edge, a shadow."""
    top, bottom, left, right = _touches(part, shape)
    level = left and right and (top != bottom) and part.height < BAND * shape[0]
    upright = top and bottom and (left != right) and part.width < BAND * shape[1]
    return bool((level or upright) and part.size >= SOLID * part.height * part.width)


def _is_frame(part: _Part, labels: NDArray[np.integer]) -> bool:
    """A thin outline around most of the picture, straight along three or four of its sides; or an angle of two along
    the picture's own edges. An oval is near its box's sides over half of their length, a frame over all of it."""
    height, width = labels.shape
    if part.height < 0.7 * height or part.width < 0.7 * width or part.size > 0.25 * part.height * part.width:
        return False
    own = labels[part.rows, part.columns] == part.label
    covered = [_rim_share(side) >= STRAIGHT for side in _sides(own)]
    top, bottom, left, right = (
        share and touches for share, touches in zip(covered, _touches(part, labels.shape), strict=True)
    )
    angle = (top != bottom) and (left != right) and _in_rim(own) >= 0.9
    return sum(covered) >= FRAME_SIDES or bool(angle)


def _rim_share(side: Mask) -> float:
    return float(side[: max(2, round(RIM * len(side)))].any(axis=0).mean())


def _in_rim(own: Mask) -> float:
    """Share of the ink within a rim's breadth of its box."""
    y, x = (max(2, round(RIM * n)) for n in own.shape)
    return 1 - float(own[y:-y, x:-x].sum()) / max(1, int(own.sum()))


def _pieces(parts: list[_Part], shape: tuple[int, ...]) -> list[_Part]:
    """Small parts that the left or right edge cuts, beside the largest part rather than above or below it: a
    neighbour's. A loose stroke of the digit itself lies above, below or across it."""
    main = max(parts, key=lambda part: part.size)
    found = []
    for part in parts:
        _, _, left, right = _touches(part, shape)
        overlap = min(part.columns.stop, main.columns.stop) - max(part.columns.start, main.columns.start)
        small = part.height < PIECE * main.height and part.size < PIECE * main.size
        if part is not main and (left or right) and small and overlap <= 0.3 * part.width:
            found.append(part)
    return found


def drop_specks(mask: Mask, ink: Gray) -> Mask:
    """Mask without parts that carry little ink beside the largest one."""
    labels, count = ndimage.label(mask, EIGHT)
    if count < 2:
        return mask
    weights = np.bincount(labels.ravel(), weights=ink.ravel(), minlength=count + 1)
    weights[0] = 0
    return np.asarray((weights >= SPECK * weights.max())[labels] & mask, dtype=bool)


def is_texture(mask: Mask) -> bool:
    """Noise, cloth or print rather than drawings on a ground: ink all along the picture's edge, or only crumbs. Many
    parts of about the same height are a sheet of digits."""
    edge = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
    if float(edge.mean()) > MAX_EDGE_INK:
        return True
    labels, count = ndimage.label(mask, EIGHT)
    sizes = np.bincount(labels.ravel())[1:]
    if count <= MAX_CRUMBS or float(sizes.max()) >= 0.5 * float(mask.sum()):
        return False
    heights = np.array([rows.stop - rows.start for rows, _ in ndimage.find_objects(labels)])
    usual = float(np.median(np.repeat(heights, sizes)))  # of the part that a pixel of ink belongs to
    even = (heights >= 0.5 * usual) & (heights <= 2 * usual)
    return usual < MIN_HEIGHT or float(mask.mean()) > MAX_INK or float(sizes[even].sum()) < EVEN * float(mask.sum())
