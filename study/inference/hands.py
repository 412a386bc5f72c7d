"""Digits as people deliver them, drawn by program from MNIST's: what the threshold is chosen on beside clean images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from study.inference.predictor import Predictor

Digits = NDArray[np.uint8]  # [N, 28, 28]
Plane = NDArray[np.float32]
Rng = np.random.Generator

COUNT = 400
ZOOM = 2
MARGIN = 8  # pixels around the digit


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


def read_hands(
    predictor: Predictor, digits: Digits, labels: NDArray[np.int64], count: int = COUNT, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Confidence [N], zero where the picture is refused whatever the threshold, and whether the answer is right, of
    pictures of `digits` [M, 28, 28] that the network was not trained on."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(digits), min(count, 3 * len(digits)))
    answers = predictor.predict((drawn_by_hands(digits[i], rng) for i in chosen), threshold=0.0, segment=False)
    confidence = np.array([float(answer.probability or 0) if answer.status == "ok" else 0.0 for answer in answers])
    return confidence, np.array([answer.digit for answer in answers]) == labels[chosen]
