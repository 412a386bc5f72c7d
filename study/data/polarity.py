"""Dark ink on light paper, or bright on dark? Told from the pictures' borders, where there is seldom ink."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

LOOKED_AT = 2000  # pictures, spread evenly
CLEAR = 0.2  # of a picture's tonal range, by which its border has to be nearer to one end
MOST = 0.75  # share of the telling pictures that decides for all


def light_ground_share(images: Tensor) -> float:
    """Of the pictures of uint8 [N, H, W] that tell, the share whose ground is light; 0 if none tells.

    A picture's ground is the median of its outermost pixels. It tells if it is clearly nearer to the darkest or to the
    brightest pixel; blank pictures do not. Ground that is grey counts by the side of the ink on which it is.
    """
    chosen = images[:: max(1, len(images) // LOOKED_AT)].numpy()
    height = _ground_height(chosen)
    telling = np.abs(height - 0.5) > CLEAR / 2
    return float((height[telling] > 0.5).mean()) if telling.any() else 0.0


def is_dark_on_light(images: Tensor) -> bool:
    """Whether the pictures are to be inverted so that ink is bright: most of those that tell have light ground."""
    return light_ground_share(images) >= MOST


def is_mixed(images: Tensor) -> bool:
    """Whether too many pictures are of either kind for one rule to serve them all."""
    return 1 - MOST < light_ground_share(images) < MOST


def _ground_height(images: NDArray[np.uint8]) -> NDArray[Any]:
    """[N]: where the ground lies between a picture's darkest pixel, 0, and its brightest, 1; 0.5 for a blank one."""
    flat = images.reshape(len(images), -1)
    low, high = flat.min(axis=1).astype(float), flat.max(axis=1).astype(float)
    edges = [images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]]
    ground = np.median(np.concatenate(edges, axis=1), axis=1)
    spread = high - low
    return np.where(spread > 0, (ground - low) / np.maximum(spread, 1), 0.5)
