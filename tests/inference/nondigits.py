"""What strangers hand in that is no single clean digit, drawn by program: arrays uint8 [H, W]."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

Picture = NDArray[np.uint8]
Rng = np.random.Generator
Digits = NDArray[np.uint8]

LETTERS = "ABCDEFGHJKMNPQRTUVWXYabcdefhijkmnprtuvwxy"


def blank(rng: Rng, digits: Digits) -> Picture:
    side = int(rng.integers(28, 300))
    return _bytes(rng.uniform(0, 255) + rng.uniform(0, 4) * rng.standard_normal((side, side)))


def blank_with_light(rng: Rng, digits: Digits) -> Picture:
    y, x = np.mgrid[-1:1:200j, -1:1:200j]
    angle = rng.uniform(0, 2 * np.pi)
    light = 160 + 50 * (x * np.cos(angle) + y * np.sin(angle)) - 15 * (x * x + y * y)
    return _bytes(light + 2 * rng.standard_normal(x.shape))


def pixel_noise(rng: Rng, digits: Digits) -> Picture:
    side = int(rng.integers(28, 200))
    return rng.integers(0, 256, (side, side)).astype(np.uint8)


def soft_noise(rng: Rng, digits: Digits) -> Picture:
    side = int(rng.integers(28, 200))
    plane = ndimage.gaussian_filter(rng.standard_normal((side, side)), rng.uniform(1, 5))
    return _bytes(128 + 55 * plane / plane.std())


def noise_in_mnist_form(rng: Rng, digits: Digits) -> Picture:
    plane = np.zeros((28, 28))
    plane[4:24, 4:24] = rng.integers(0, 256, (20, 20))
    return _bytes(plane)


def shuffled_digit(rng: Rng, digits: Digits) -> Picture:
    plane = np.zeros((28, 28), np.uint8)
    plane[4:24, 4:24] = rng.permutation(_any(rng, digits)[4:24, 4:24].ravel()).reshape(20, 20)
    return plane


def letter(rng: Rng, digits: Digits) -> Picture:
    side = 120
    sheet = Image.new("L", (side, side), 255)
    font = ImageFont.load_default(side * 0.7)
    sign = LETTERS[int(rng.integers(len(LETTERS)))]
    ImageDraw.Draw(sheet).text((side / 2, side / 2), sign, font=font, fill=20, anchor="mm")
    return np.asarray(sheet.rotate(rng.uniform(-10, 10), fillcolor=255))


def clothing(rng: Rng, digits: Digits) -> Picture:
    """Shirts, trousers, dresses, shoes and bags in the manner of Fashion-MNIST: filled, grey, 28 x 28."""
    sheet = Image.new("L", (112, 112), 0)
    brush, tone, j = ImageDraw.Draw(sheet), int(rng.integers(90, 255)), lambda: rng.uniform(-6, 6)
    match int(rng.integers(5)):
        case 0:
            right = [(77 + j(), 8), (108, 40 + j()), (92, 56 + j()), (80 + j(), 44), (80 + j(), 106)]
            left = [(32 + j(), 106), (32 + j(), 44), (20, 56 + j()), (4, 40 + j()), (35 + j(), 8)]
            brush.polygon(right + left, fill=tone)
        case 1:
            outline = [(36 + j(), 6), (78 + j(), 6), (84 + j(), 106), (62, 106), (57 + j(), 40), (50, 106), (28, 106)]
            brush.polygon(outline, fill=tone)
        case 2:
            brush.polygon(
                [(42 + j(), 6), (70 + j(), 6), (66, 40), (88 + j(), 106), (24 + j(), 106), (46, 40)], fill=tone
            )
        case 3:
            brush.polygon(
                [(6, 70 + j()), (30, 56 + j()), (60, 44 + j()), (104, 66 + j()), (106, 84), (6, 84)], fill=tone
            )
        case _:
            brush.rectangle([14 + j(), 40 + j(), 98 + j(), 98 + j()], fill=tone)
            brush.arc([34, 10, 78, 70], 180, 360, fill=tone, width=5)
    plane = np.asarray(sheet.resize((28, 28), Image.Resampling.BOX), np.float32)
    return _bytes(plane * (1 - 0.3 * rng.random((28, 28))))


def two_digits(rng: Rng, digits: Digits) -> Picture:
    sheet, gap = np.zeros((60, 100), np.uint8), int(rng.integers(0, 16))
    sheet[16:44, 8:36], sheet[16:44, 40 + gap : 68 + gap] = _any(rng, digits), _any(rng, digits)
    return 255 - sheet


def _any(rng: Rng, digits: Digits) -> Picture:
    found: Picture = digits[int(rng.integers(len(digits)))]
    return found


def _bytes(plane: NDArray[np.floating]) -> Picture:
    return np.clip(np.round(plane), 0, 255).astype(np.uint8)


KINDS: dict[str, Callable[[Rng, Digits], Picture]] = {
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
