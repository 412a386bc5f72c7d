"""Small drawings of a run as SVG: how it learned, what it confused, which digits it misread.

An SVG is text of a few kilobytes, sharp at any size, and made without a plotting library, which would take a second to
load while workers train.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BLUE, _RED, _GREY = "#0072B2", "#D55E00", "#666"
_FONT = 'font-family="sans-serif" font-size="12"'


def curve(title: str, points: Sequence[tuple[float, float]], axis: str) -> str:
    """A line through (x, y) with a mark at each, and the figures of its last point."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    low, high = min(ys), max(ys)
    margin = (high - low) / 10 or max(abs(high) / 100, 1e-9)
    low, high, right = low - margin, high + margin, max(xs) or 1.0
    at = [(60 + 380 * x / right, 190 - 150 * (y - low) / (high - low)) for x, y in points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    marks = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{_BLUE}"/>' for x, y in at)
    return _svg(
        470,
        230,
        _text(60, 20, title, weight="bold"),
        f'<path d="M60,40V190H440" fill="none" stroke="{_GREY}"/>',
        _text(54, 45, f"{high:.4g}", anchor="end"),
        _text(54, 190, f"{low:.4g}", anchor="end"),
        _text(60, 207, "0"),
        _text(440, 207, f"{right:,.0f}", anchor="end"),
        _text(250, 222, axis, anchor="middle"),
        f'<polyline points="{line}" fill="none" stroke="{_BLUE}" stroke-width="2"/>{marks}',
        _text(min(at[-1][0], 435), at[-1][1] - 8, f"{ys[-1]:.4g}", anchor="end"),
    )


def confusion(title: str, labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: Sequence[str]) -> str:
    """How often each class (a row) was read as each (a column), blue on the diagonal, red beside it. Cells without an
    image are not drawn, so that the size follows what was confused and not the number of classes."""
    n, side = len(classes), 34
    counts = np.zeros((n, n), dtype=np.int64)
    np.add.at(counts, (labels, predicted), 1)
    most = {True: max(1, int(counts.diagonal().max(initial=0))), False: 1}
    beside = counts - np.diag(counts.diagonal())
    most[False] = max(1, int(beside.max(initial=0)))
    cells = []
    for row, column in zip(*np.nonzero(counts), strict=True):
        count, right = int(counts[row, column]), bool(row == column)
        x, y, depth = 70 + side * int(column), 50 + side * int(row), 0.15 + 0.65 * count / most[right]
        cells.append(
            f'<rect x="{x}" y="{y}" width="{side - 2}" height="{side - 2}" fill="{_BLUE if right else _RED}" '
            f'fill-opacity="{depth:.2f}"/>{_text(x + side / 2 - 1, y + side / 2 + 3, f"{count}", anchor="middle")}'
        )
    names = [_short(name) for name in classes]
    columns = [_text(70 + side * (i + 0.5), 42, name, anchor="middle") for i, name in enumerate(names)]
    rows = [_text(62, 50 + side * (i + 0.6), name, anchor="end") for i, name in enumerate(names)]
    rule = _text(70, 72 + side * n, "row: what it is; column: what was read")
    head = _text(10, 20, title, weight="bold")
    return _svg(max(420, 90 + side * n), 84 + side * n, head, *columns, *rows, *cells, rule)


def digits(title: str, images: NDArray[np.uint8], captions: Sequence[str]) -> str:
    """Images [N, H, W] of grey levels, ten in a row, each over its caption."""
    cells = []
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        x, y = 10 + 74 * (index % 10), 32 + 84 * (index // 10)
        cells.append(
            f'<image x="{x}" y="{y}" width="64" height="64" style="image-rendering:pixelated" href="{_png(image)}"/>'
            + _text(x + 32, y + 78, caption, anchor="middle")
        )
    return _svg(760, 40 + 84 * -(-len(captions) // 10), _text(10, 20, title, weight="bold"), *cells)


def _png(image: NDArray[np.uint8]) -> str:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}"'
    return f"<text {where}>{html.escape(text)}</text>"


def _short(name: str) -> str:
    return name if len(name) <= 8 else name[:7] + "…"


def _svg(width: int, height: int, *parts: str) -> str:
    """On white, whatever the page's colours."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'{head} {_FONT}><rect width="{width}" height="{height}" fill="white"/>{"".join(parts)}</svg>\n'
