"""The tone of a data set's pictures: dark ink on light paper or bright on dark, on grey ground or on black.

Told from the pictures' borders, where there is seldom ink.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LOOKED_AT = 2000  # pictures, spread evenly
CLEAR = 0.2  # of a picture's tonal range, by which its border has to be nearer to one end
MOST = 0.75  # share of the telling pictures that decides for all
BLACK = 16  # up to this grey level the ground of bright ink is black
LEAST_RANGE = 32  # grey levels between ground and ink: with fewer there is nothing to be stretched
_CHUNK = 4096


@dataclass(frozen=True)
class Tone:
    """What makes ink bright on black: `inverted` first, then the grey levels (ground, ink) stretched to 0 and 255;
    None where they are so. Predictions do as much with the pictures that they read."""

    inverted: bool = False
    levels: tuple[int, int] | None = None

    def applied(self, images: Tensor) -> Tensor:
        """uint8 [N, H, W] to the same shape."""
        bright = 255 - images if self.inverted else images
        if self.levels is None:
            return bright
        ground, ink = self.levels
        parts = [
            ((part.float() - ground) * (255 / (ink - ground))).round().clamp(0, 255).to(torch.uint8)
            for part in torch.split(bright, _CHUNK)
        ]
        return torch.cat(parts)


AS_IT_IS = Tone()


def tone_of(images: Tensor) -> Tone:
    """Of training images uint8 [N, H, W]: one rule for all of them."""
    share = light_ground_share(images)
    chosen = _chosen(images)
    ground, ink = _levels(255 - chosen if share >= MOST else chosen)
    return Tone(share >= MOST, (ground, ink) if ground > BLACK and ink - ground >= LEAST_RANGE else None)


def light_ground_share(images: Tensor) -> float:
    """Of the pictures of uint8 [N, H, W] that tell, the share whose ground is light; 0 if hardly any tells.

    A picture's ground is the median of its outermost pixels. It tells if it is clearly nearer to the darkest or to the
    brightest pixel; blank pictures do not. Ground that is grey counts by the side of the ink on which it is.
    """
    height = _ground_height(_chosen(images))
    return float((height > 0.5).mean()) if height.size else 0.0


def is_mixed(images: Tensor) -> bool:
    """Whether too many pictures are of either kind for one rule to serve them all."""
    return 1 - MOST < light_ground_share(images) < MOST


def _chosen(images: Tensor) -> NDArray[np.uint8]:
    """Of some pictures those that have ink on a ground: none if that is so of fewer than half of those with ink."""
    looked_at = images[:: max(1, len(images) // LOOKED_AT)].numpy()
    low, _, high = _measured(looked_at)
    inked = looked_at[high > low]
    telling = inked[np.abs(_ground_height(inked) - 0.5) > CLEAR / 2]
    return telling if 2 * len(telling) >= len(inked) else telling[:0]


def _levels(images: NDArray[np.uint8]) -> tuple[int, int]:
    """The middle picture's ground and its brightest pixel."""
    _, ground, high = _measured(images)
    return (int(np.median(ground)), int(np.median(high))) if len(images) else (0, 255)


def _ground_height(images: NDArray[np.uint8]) -> NDArray[Any]:
    """[N]: where the ground lies between a picture's darkest pixel, 0, and its brightest, 1."""
    low, ground, high = _measured(images)
    return np.asarray((ground - low) / np.maximum(high - low, 1))


def _measured(images: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Of each picture the darkest pixel, the ground and the brightest pixel, [N] each."""
    flat = images.reshape(len(images), images.shape[1] * images.shape[2])
    edges = [images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]]
    ground = np.median(np.concatenate(edges, axis=1), axis=1)
    return flat.min(axis=1).astype(float), ground, flat.max(axis=1).astype(float)
