"""What a model refuses, measured: pictures of no single digit, and digits made hard, drawn by program from a seed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from study.inference.answer import Prediction
from study.inference.predictor import Predictor
from study.inference.side_by_side import PredictGroups, in_turn

Picture = NDArray[np.uint8]  # [H, W]
Rng = np.random.Generator
Digits = NDArray[np.uint8]  # [N, 28, 28]

PER_KIND = 50  # pictures, of a thousand digits or more; of fewer one for each _DIGITS_A_PICTURE, and _FEWEST at least
_FEWEST = 20
_DIGITS_A_PICTURE = 20
SIDES = (28, 60)  # pixels, lowest and highest, of pictures whose size is free: small ones take a second in all
BLURS = (0.5, 1.0, 1.5, 2.0, 3.0)  # standard deviations in pixels of 28 x 28
LETTERS = "ABCDEFGHJKMNPQRTUVWXYabcdefhijkmnprtuvwxy"
# Outlines on 112 x 112 pixels: a shirt, trousers, a dress, a shoe, a bag.
GARMENTS: tuple[list[tuple[int, int]], ...] = (
    [(77, 8), (104, 40), (92, 56), (80, 44), (80, 104), (32, 104), (32, 44), (20, 56), (8, 40), (35, 8)],
    [(36, 8), (78, 8), (84, 104), (62, 104), (57, 40), (50, 104), (28, 104)],
    [(42, 8), (70, 8), (66, 40), (88, 104), (24, 104), (46, 40)],
    [(8, 70), (30, 56), (60, 44), (102, 66), (104, 84), (8, 84)],
    [(14, 44), (40, 44), (44, 14), (68, 14), (72, 44), (98, 44), (98, 98), (14, 98)],
)


def blank(rng: Rng, digits: Digits, side: int) -> Picture:
    return _bytes(rng.uniform(0, 255) + rng.uniform(0, 4) * rng.standard_normal((side, side)))


def blank_with_light(rng: Rng, digits: Digits, side: int) -> Picture:
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    light = 160 + 50 * (x * np.cos(angle) + y * np.sin(angle)) - 15 * (x * x + y * y)
    return _bytes(light + 2 * rng.standard_normal(x.shape))


def pixel_noise(rng: Rng, digits: Digits, side: int) -> Picture:
    return rng.integers(0, 256, (side, side)).astype(np.uint8)


def soft_noise(rng: Rng, digits: Digits, side: int) -> Picture:
    plane = ndimage.gaussian_filter(rng.standard_normal((side, side)), rng.uniform(1, 5))
    return _bytes(128 + 55 * plane / plane.std())


def noise_in_mnist_form(rng: Rng, digits: Digits, side: int) -> Picture:
    plane = np.zeros((28, 28))
    plane[4:24, 4:24] = rng.integers(0, 256, (20, 20))
    return _bytes(plane)


def shuffled_digit(rng: Rng, digits: Digits, side: int) -> Picture:
    plane = np.zeros((28, 28), np.uint8)
    plane[4:24, 4:24] = rng.permutation(_any(rng, digits)[4:24, 4:24].ravel()).reshape(20, 20)
    return plane


def letter(rng: Rng, digits: Digits, side: int) -> Picture:
    sheet = Image.new("L", (side, side), 255)
    font = ImageFont.load_default(side * 0.7)
    sign = LETTERS[int(rng.integers(len(LETTERS)))]
    ImageDraw.Draw(sheet).text((side / 2, side / 2), sign, font=font, fill=20, anchor="mm")
    return np.asarray(sheet.rotate(rng.uniform(-10, 10), fillcolor=255))


def clothing(rng: Rng, digits: Digits, side: int) -> Picture:
    """Shirts, trousers, dresses, shoes and bags in the manner of Fashion-MNIST: filled, grey, 28 x 28."""
    sheet = Image.new("L", (112, 112), 0)
    outline = np.array(GARMENTS[int(rng.integers(len(GARMENTS)))])
    outline = outline + rng.uniform(-6, 6, outline.shape)
    ImageDraw.Draw(sheet).polygon([(x, y) for x, y in outline.tolist()], fill=int(rng.integers(90, 255)))
    plane = np.asarray(sheet.resize((28, 28), Image.Resampling.BOX), np.float32)
    return _bytes(plane * (1 - 0.3 * rng.random((28, 28))))


def two_digits(rng: Rng, digits: Digits, side: int) -> Picture:
    sheet, gap = np.zeros((60, 100), np.uint8), int(rng.integers(0, 16))
    sheet[16:44, 8:36], sheet[16:44, 40 + gap : 68 + gap] = _any(rng, digits), _any(rng, digits)
    return 255 - sheet


def _any(rng: Rng, digits: Digits) -> Picture:
    found: Picture = digits[int(rng.integers(len(digits)))]
    return found


def _bytes(plane: NDArray[np.floating]) -> Picture:
    return np.clip(np.round(plane), 0, 255).astype(np.uint8)


NO_DIGIT: dict[str, Callable[[Rng, Digits, int], Picture]] = {
    "blank": blank,
    "blank with light": blank_with_light,
    "pixel noise": pixel_noise,
    "soft noise": soft_noise,
    "noise in MNIST form": noise_in_mnist_form,
    "shuffled digit": shuffled_digit,
    "letter": letter,
    "clothing": clothing,
    "two digits": two_digits,
}


def measure_refusals(
    predictor: Predictor,
    digits: Digits,
    labels: NDArray[np.int64],
    per_kind: int | None = None,
    sides: tuple[int, int] = SIDES,
    seed: int = 0,
    predict: PredictGroups = in_turn,
) -> list[dict[str, Any]]:
    """Rows {picture, pictures, abstained, wrong}: the kind, how many, and shares; `wrong` of wrong answers that were
    given, which is any answer to a picture without a digit. `digits` [N, 28, 28] and `labels` [N] that the network was
    not trained on. Pictures are read by `predict`."""
    n = min(PER_KIND, max(_FEWEST, len(digits) // _DIGITS_A_PICTURE)) if per_kind is None else per_kind
    pictures: dict[str, list[Picture]] = {}
    for number, (kind, draw) in enumerate(NO_DIGIT.items()):
        rng = np.random.default_rng((seed, number))
        pictures[kind] = [draw(rng, digits, int(side)) for side in rng.integers(*sides, n, endpoint=True)]
    chosen = np.random.default_rng((seed, len(NO_DIGIT))).permutation(len(digits))[:n]
    images = digits[chosen]
    pictures["digit, inverted"] = list(255 - images)
    pictures |= {f"digit, blurred by {sigma} px": list(_blurred(images, sigma)) for sigma in BLURS}
    answers = predict(predictor, list(pictures.values()))
    return [
        _row(kind, its, None if kind in NO_DIGIT else labels[chosen])
        for kind, its in zip(pictures, answers, strict=True)
    ]


def _blurred(images: Digits, sigma: float) -> Digits:
    return np.round(ndimage.gaussian_filter(images.astype(np.float32), (0, sigma, sigma))).astype(np.uint8)


def _row(kind: str, answers: Sequence[Prediction], labels: NDArray[np.int64] | None) -> dict[str, Any]:
    # One that is read as a row has several answers; it may be answered rightly only as a whole.
    pictures = [list(answers) for _, answers in itertools.groupby(answers, key=lambda answer: answer.path)]
    answered = np.array([any(answer.status == "ok" for answer in each) for each in pictures])
    digits = np.array([each[0].digit if len(each) == 1 else -1 for each in pictures])
    right = np.zeros(len(pictures), bool) if labels is None else digits == labels
    return {
        "picture": kind,
        "pictures": len(pictures),
        "abstained": round(float(1 - answered.mean()), 4),
        "wrong": round(float((answered & ~right).mean()), 4),
    }
