"""Digits as people deliver them, drawn by program from MNIST's: what the threshold is chosen on beside clean images."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from study.data.other_hands import with_upstroke_or_foot
from study.inference.abstain import Hands
from study.inference.fitting import box_of, centre, fit
from study.inference.predictor import BATCH, Predictor
from study.inference.side_by_side import PredictGroups, in_turn

Digits = NDArray[np.uint8]  # [N, 28, 28]
Plane = NDArray[np.float32]
Rng = np.random.Generator

COUNT = 400
FORMS = 500  # images of another form
ZOOM = 2
MARGIN = 8  # pixels around the digit
ONE = "1"  # the class whose written form differs most from MNIST's


def drawn_by_hands(digit: NDArray[np.uint8], rng: Rng) -> NDArray[np.uint8]:
    """One digit [28, 28] by another pen and hand, [H, W]: narrower or wider, slanted, thin, fat or broken strokes, pale
    or blurred, dark on light or bright on dark, sometimes with a piece of a neighbour at the edge."""
    ink = _warped(np.asarray(digit / np.float32(255), dtype=np.float32), rng)
    ink = _penned(ink, rng)
    if rng.random() < 0.15:
        ink = _broken(ink, rng)
    if rng.random() < 0.3:
        ink = ndimage.gaussian_filter(ink, rng.uniform(0.5, 2.0))
    if rng.random() < 0.15:
        ink[int(rng.integers(4, 30)) :, : int(rng.integers(1, 4))][:12] = 1
    if rng.random() < 0.25:
        ink = (ink > 0.5).astype(np.float32)
    paper, pen = rng.uniform(0.7, 1.0), rng.uniform(0.0, 0.45)
    shown = paper - (paper - pen) * ink + rng.normal(0, rng.uniform(0, 0.02), ink.shape)
    shown = np.clip(shown if rng.random() < 0.7 else 1 - shown, 0, 1)
    return np.asarray(np.round(shown * 255), dtype=np.uint8)


def _warped(ink: Plane, rng: Rng) -> Plane:
    """Enlarged, with another slant, width and height, and lines that tremble."""
    slant, wide, turn = rng.uniform(-0.35, 0.35), rng.uniform(0.75, 1.3), np.deg2rad(rng.uniform(-8, 8))
    side = ZOOM * 28 + 2 * MARGIN
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    y, x = (y - side / 2) / ZOOM, (x - side / 2) / ZOOM
    tremble = [ndimage.gaussian_filter(rng.standard_normal((side, side)), 6) for _ in range(2)]
    dy, dx = (rng.uniform(0, 0.8) * plane / plane.std() for plane in tremble)
    rows = y * np.cos(turn) - x * np.sin(turn) + dy
    columns = (x * np.cos(turn) + y * np.sin(turn)) / wide + slant * y + dx
    return np.asarray(ndimage.map_coordinates(ink, [rows + 13.5, columns + 13.5], order=1), dtype=np.float32)


def _penned(ink: Plane, rng: Rng) -> Plane:
    kind = rng.random()
    if kind < 0.3:
        return np.asarray(ndimage.grey_dilation(ink, size=(2, 2)), dtype=np.float32)
    if kind < 0.6:
        thin = np.asarray(ndimage.grey_erosion(ink, size=(2, 2)), dtype=np.float32)
        return thin if thin.max() > 0.5 else ink
    return ink


def _broken(ink: Plane, rng: Rng) -> Plane:
    """A gap of two pixels somewhere in the strokes."""
    rows, columns = np.nonzero(ink > 0.5)
    if len(rows):
        at = int(rng.integers(len(rows)))
        ink[rows[at] : rows[at] + 2, columns[at] : columns[at] + 3] = 0
    return ink


def ones_with_upstrokes(ones: Digits, seed: int = 0) -> Digits:
    """1s [N, 28, 28] as many people write them and MNIST's writers seldom do, fitted as MNIST's digits are."""
    generator = torch.Generator().manual_seed(seed)
    planes = torch.from_numpy(ones).unsqueeze(1).float() / 255
    drawn = with_upstroke_or_foot(planes, generator).squeeze(1).numpy()
    return np.stack([_fitted(plane) for plane in drawn]) if len(ones) else ones


def _fitted(plane: Plane) -> NDArray[np.uint8]:
    left, top, right, bottom = box_of(plane > 0.25)
    return centre(fit(plane[top:bottom, left:right]))


def other_forms(images: Tensor, labels: Tensor, classes: Sequence[str]) -> dict[int, Tensor]:
    """By class of `images` uint8 [N, 28, 28] other forms [M, 28, 28] of it, for the second reader: of 1s alone."""
    if not _are_digits(classes):
        return {}
    one = list(classes).index(ONE)
    ones = images[labels == one][:FORMS].numpy()
    return {one: torch.from_numpy(ones_with_upstrokes(ones))} if len(ones) else {}


def _are_digits(classes: Sequence[str]) -> bool:
    return set(classes) == set("0123456789")


def read_hands(
    predictor: Predictor,
    digits: Digits,
    labels: NDArray[np.int64],
    count: int = COUNT,
    seed: int = 0,
    predict: PredictGroups = in_turn,
) -> Hands:
    """What is known of pictures of `digits` [M, 28, 28] that the network was not trained on; half of the 1s have
    upstrokes or feet. They are read by `predict`."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(digits), min(count, 3 * len(digits)))
    images = digits[chosen]
    one = predictor.classes.index(ONE) if _are_digits(predictor.classes) else -1
    changed = np.flatnonzero(labels[chosen] == one)[::2]
    images[changed] = ones_with_upstrokes(images[changed], seed)
    drawn = [drawn_by_hands(image, rng) for image in images]
    groups = [drawn[start : start + BATCH] for start in range(0, len(drawn), BATCH)]
    answers = list(itertools.chain.from_iterable(predict(predictor, groups, threshold=0.0, segment=False)))
    refused = np.array([answer.status != "ok" for answer in answers])
    pixels = np.stack([answer.pixels for answer in answers if answer.pixels is not None])
    return Hands(predictor.evidence(pixels), labels[chosen], refused)
