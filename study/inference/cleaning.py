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
SLOPES = np.linspace(-0.08, 0.08, 17)  # ruled lines lie within about 4.5 degrees of the picture's sides
MAX_THICKNESS = 0.03  # of the picture's height
BEYOND = 1.45  # times the digit's width
FROM_EDGE_TO_EDGE = 0.92  # share of the side that a line without company covers
COVERAGE = 0.7  # share of the side that a line covers
BESIDE = 0.3  # share of the side along which it is seen by itself: a large digit hides the rest
PAGE_LINES = 3  # from edge to edge: no digit has as many strokes so long
FRAME_ZONE = 0.15  # share of the picture, from each side, in which a frame's line is looked for
FRAME_SIDES = 3  # of a rectangle that must be seen: the digit may hide one
MAX_EDGE_INK = 0.25  # share of the picture's edge that the ink of a digit may touch
MAX_CRUMBS = 30  # parts
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
    """Mask without straight thin lines across the picture, level or upright, where a digit remains without them."""
    if min(mask.shape) < MIN_LINED_SIDE or not mask.any():
        return mask
    flat = _without_flat_lines(mask)
    return _without_flat_lines(flat.T).T


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
    padded = np.pad(coarse, ((thick + height, thick + height), (0, 0)))
    lines: list[_Line] = []
    for slope in SLOPES:
        offsets = np.round(slope * (np.arange(width) - width / 2)).astype(np.int64)
        sheared = padded[np.arange(height, 2 * height + 2 * thick)[:, None] + offsets, np.arange(width)]
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


def drop_borders(mask: Mask) -> Mask:
    """Mask without parts that hug the picture's edge (frames, table edges, shadows) where another part lies inside."""
    labels, count = ndimage.label(mask, EIGHT)
    if count < 2:
        return mask
    height, width = mask.shape
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    boxes = list(enumerate(ndimage.find_objects(labels), 1))
    drop = [i for i, box in boxes if _hugs(box, height, width) or _frames(box, int(sizes[i]), height, width)]
    kept = np.isin(labels, drop, invert=True) & mask
    inner = max((int(sizes[i]) for i in range(1, count + 1) if i not in drop), default=0)
    return kept if drop and inner >= 0.002 * mask.size else mask


def _hugs(box: tuple[slice, ...], height: int, width: int) -> bool:
    """Touches two sides and spans them, or lies in a corner, or flat along one side."""
    rows, columns = box
    touches = (rows.start <= 1) + (rows.stop >= height - 1) + (columns.start <= 1) + (columns.stop >= width - 1)
    tall, wide = (rows.stop - rows.start) / height, (columns.stop - columns.start) / width
    flat = min(tall, wide) < 0.08 and max(tall, wide) > 0.3
    spanning = min(tall, wide) > 0.85
    at_corner = (rows.start <= 1) != (rows.stop >= height - 1) and max(tall, wide) < 0.3
    return bool((touches >= 1 and flat) or (touches >= 2 and (spanning or at_corner)))


def _frames(box: tuple[slice, ...], size: int, height: int, width: int) -> bool:
    """A thin outline around most of the picture; it counts as a frame only if something else lies inside."""
    tall, wide = box[0].stop - box[0].start, box[1].stop - box[1].start
    return bool(tall > 0.7 * height and wide > 0.7 * width and size < 0.2 * tall * wide)


def drop_specks(mask: Mask, ink: Gray) -> Mask:
    """Mask without parts that carry little ink beside the largest one."""
    labels, count = ndimage.label(mask, EIGHT)
    if count < 2:
        return mask
    weights = np.bincount(labels.ravel(), weights=ink.ravel(), minlength=count + 1)
    weights[0] = 0
    return np.asarray((weights >= SPECK * weights.max())[labels] & mask, dtype=bool)


def is_texture(mask: Mask) -> bool:
    """Noise, cloth or print rather than a drawing on a ground: ink all along the picture's edge, or only crumbs."""
    edge = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
    if float(edge.mean()) > MAX_EDGE_INK:
        return True
    labels, count = ndimage.label(mask, EIGHT)
    return count > MAX_CRUMBS and float(np.bincount(labels.ravel())[1:].max()) < 0.5 * float(mask.sum())
