"""Pictures drawn by program that show, one by one, what kept strangers' digits from being read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from study.inference.answer import Prediction
from study.inference.hands import ones_with_upstrokes
from study.inference.predictor import Predictor

Digits = NDArray[np.uint8]
Rng = np.random.Generator
Draw = Callable[[Digits, Rng], Digits]  # a digit [28, 28] to a picture [H, W]
SIGNS = "*#%&@?+=<>$!"


def large(digit: Digits, longer: int) -> Digits:
    """The digit's box, bright on black, its longer side as many pixels."""
    rows, columns = np.flatnonzero(digit.max(1) > 60), np.flatnonzero(digit.max(0) > 60)
    box = digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = longer / max(box.shape)
    size = (max(1, round(box.shape[1] * scale)), max(1, round(box.shape[0] * scale)))
    return np.asarray(Image.fromarray(box).resize(size, Image.Resampling.BICUBIC))


def placed(ink: Digits, height: int, width: int, top: int, left: int) -> Digits:
    plane = np.zeros((height, width), np.uint8)
    plane[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return plane


def amid(ink: Digits, height: int, width: int) -> Digits:
    return placed(ink, height, width, (height - ink.shape[0]) // 2, (width - ink.shape[1]) // 2)


def upstroke(digit: Digits, rng: Rng) -> Digits:
    one = ones_with_upstrokes(digit[None], int(rng.integers(2**31)))[0]
    return 255 - amid(large(one, 150), 200, 200)


def one_pixel(digit: Digits, rng: Rng) -> Digits:
    sheet = Image.new("L", (28, 28), 255)
    x, lean = int(rng.integers(10, 18)), int(rng.integers(-4, 5))
    ImageDraw.Draw(sheet).line([(x + lean, int(rng.integers(3, 8))), (x - lean, int(rng.integers(20, 26)))], fill=0)
    return np.asarray(sheet)


def oversized(digit: Digits, rng: Rng) -> Digits:
    return amid(large(digit, 24), 28, 28)


def dim(digit: Digits, rng: Rng) -> Digits:
    return np.asarray(digit * rng.uniform(0.3, 0.45), np.uint8)


def loose_stroke(digit: Digits, rng: Rng) -> Digits:
    """A 0 near the picture's edges with a loose stroke inside."""
    sheet, width = Image.new("L", (200, 200), 255), int(rng.integers(5, 12))
    pen, (left, top) = ImageDraw.Draw(sheet), rng.integers(14, 40, 2).tolist()
    pen.ellipse((left, top, 200 - left, 200 - top), outline=20, width=width)
    reach = int(rng.integers(15, 26))
    pen.line((100 - reach, 100 + reach, 100 + reach, 100 - reach), fill=20, width=width)
    return np.asarray(sheet)


def cropped(digit: Digits, rng: Rng) -> Digits:
    return 255 - large(digit, int(rng.integers(40, 160)))


def with_pieces(digit: Digits, rng: Rng) -> Digits:
    """Cropped out of a sheet, with a piece of a neighbour at the left edge."""
    ink = large(digit, 100)
    plane = amid(ink, 120, ink.shape[1] + 40)
    top, height = int(rng.integers(20, 60)), int(rng.integers(15, 35))
    plane[top : top + height, : int(rng.integers(4, 9))] = 255
    return 255 - plane


def paper_on_desk(digit: Digits, rng: Rng) -> Digits:
    sheet = 240 - amid(large(digit, 60), 130, 110).astype(np.int64) * 200 // 255
    desk = np.full((200, 240), 50, np.int64)
    top, left = int(rng.integers(20, 50)), int(rng.integers(20, 110))
    desk[top : top + 130, left : left + 110] = sheet
    return np.clip(desk + rng.normal(0, 3, desk.shape), 0, 255).astype(np.uint8)


def canvas_on_page(digit: Digits, rng: Rng) -> Digits:
    page = np.full((400, 600), 200, np.uint8)
    page[:40] = 60  # a bar with the page's name
    page[80:330, 150:400] = 255 - amid(large(digit, 150), 250, 250)
    page[350:370, 150:250] = 90  # a button
    return page


def faint(digit: Digits, rng: Rng) -> Digits:
    return np.asarray(250 - amid(large(digit, 120), 200, 200).astype(np.int64) // 20, np.uint8)


def beside_table_edge(digit: Digits, rng: Rng) -> Digits:
    ink = placed(large(digit, 80), 800, 1000, int(rng.integers(100, 600)), int(rng.integers(150, 800)))
    picture = 230 - ink.astype(np.int64) * 180 // 255
    picture[:, :25] = 40
    return np.clip(picture + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8)


def sign(digit: Digits, rng: Rng) -> Digits:
    sheet, side = Image.new("L", (120, 120), 255), int(rng.integers(60, 100))
    letter = SIGNS[int(rng.integers(len(SIGNS)))]
    ImageDraw.Draw(sheet).text((60, 60), letter, font=ImageFont.load_default(side), fill=20, anchor="mm")
    return np.asarray(sheet)


# By the cause, and what all its pictures show where that is not the digit that they are drawn from: -1 is no digit.
CAUSES: dict[str, tuple[int, Draw, int | None]] = {
    "1 with an upstroke or a foot": (1, upstroke, 1),
    "line of one pixel in 28 x 28": (2, one_pixel, 1),
    "bright digit of 24 px in 28 x 28": (2, oversized, None),
    "dim digit, 28 x 28": (2, dim, None),
    "0 near the edges, loose stroke": (3, loose_stroke, 0),
    "cropped to its ink": (3, cropped, None),
    "cropped, a neighbour's piece": (3, with_pieces, None),
    "white paper on a dark desk": (4, paper_on_desk, None),
    "canvas on a grey page": (4, canvas_on_page, None),
    "faint but clean": (4, faint, None),
    "80 px beside a table's edge": (4, beside_table_edge, None),
    "typeset signs": (6, sign, -1),
}


def rows_of_digits(digits: Digits, rows: int, uneven: bool, rng: Rng) -> Digits:
    """[N, 28, 28] in rows; with `uneven` each in ink of its own darkness."""
    columns, pitch = len(digits) // rows, 70
    page = np.zeros((rows * pitch + 20, columns * pitch + 20))
    for i, digit in enumerate(digits):
        ink = large(digit, 48) * (rng.uniform(0.4, 1.0) if uneven else 1.0)
        y, x = i // columns * pitch + 20 + int(rng.integers(0, 9)), i % columns * pitch + 20
        page[y : y + ink.shape[0], x : x + ink.shape[1]] = ink
    return np.asarray(245 - 0.85 * page, np.uint8)


ROWS = {
    "3 rows of 5": (5, 15, 3, False),
    "a row of 10 of uneven ink": (5, 10, 1, True),
    "sheet of 48": (5, 48, 6, False),
}


@dataclass(frozen=True)
class Row:
    """Shares of the pictures of one cause: best guess `right`, left `open`, and answered `wrong`. Of rows of digits the
    picture is right where all its digits are, and open where it was taken for one digit."""

    cause: int
    kind: str
    pictures: int
    right: float
    open: float
    wrong: float


def read_causes(predictor: Predictor, images: Digits, labels: NDArray[np.int64], count: int, seed: int) -> list[Row]:
    """`images` [N, 28, 28] that the network was not trained on; `count` pictures of each kind, a tenth of rows."""
    rng, found = np.random.default_rng(seed), []
    for kind, (cause, draw, shown) in CAUSES.items():
        known = np.flatnonzero(labels == 1) if shown == 1 else np.arange(len(labels))
        chosen = rng.choice(known, count)
        answers = [_as_one(predictor.predict([draw(images[i], rng)])) for i in chosen]
        truth = labels[chosen] if shown is None else np.full(count, shown)
        right = np.array([answer.digit for answer in answers]) == truth
        answered = np.array([answer.status == "ok" for answer in answers])
        found.append(Row(cause, kind, count, *_shares(right, answered)))
    for kind, (cause, n, rows, uneven) in ROWS.items():
        seen = [_read_rows(predictor, images, labels, n, rows, uneven, rng) for _ in range(max(1, count // 10))]
        found.append(Row(cause, kind, len(seen), *_shares(*np.array(seen).T)))
    return found


def _as_one(answers: Sequence[Prediction]) -> Prediction:
    """The answer to a picture; one that is cut into several digits counts as a wrong one."""
    return answers[0] if len(answers) == 1 else Prediction(answers[0].path, "ok")


def _shares(right: NDArray[np.bool_], answered: NDArray[np.bool_]) -> Sequence[float]:
    return float(right.mean()), float((~answered).mean()), float((answered & ~right).mean())


def _read_rows(
    predictor: Predictor, images: Digits, labels: NDArray[np.int64], n: int, rows: int, uneven: bool, rng: Rng
) -> tuple[bool, bool]:
    chosen = rng.integers(0, len(images), n)
    answers = predictor.predict([rows_of_digits(images[chosen], rows, uneven, rng)])
    return [answer.digit for answer in answers] == labels[chosen].tolist(), len(answers) > 1
