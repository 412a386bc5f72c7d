"""How a network reads pictures: each once or, where it is not sure of one, that one again from its four neighbours.

A pixel up, down, left or right a picture shows the same digit, so the mean of five readings answers better than one.
What is read with confidence stays as it was: the other tenth gains as much as all of them would, for 1.1 to 1.2 passes
per picture in place of 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from study.models import contrast
from study.records.settings import Frozen

BELOW = 0.95
SHIFTS = ((1, 0), (-1, 0), (0, 1), (0, -1))  # pixels down and to the right
_BATCH = 64


class ShiftedReading(Frozen):
    """Read again what the first reading, its logits divided by `temperature`, answers with a probability under
    `below`."""

    below: float = Field(default=BELOW, ge=0, le=1)
    temperature: float = Field(gt=0, allow_inf_nan=False)


class Reader(nn.Module):
    """Pixels from 0 to 255, of any type, [B, 1, 28, 28], ink bright, to logits [B, C].

    The logits of five readings are averaged, not their probabilities: both answer as well, and the mean of logits keeps
    their scale, by which a picture of no digit is known, and does not depend on a temperature. With `on_black` a
    picture on ground that is not black is brought onto black first.
    """

    def __init__(
        self,
        network: nn.Module,
        mean: float,
        std: float,
        shifted: ShiftedReading | None = None,
        *,
        on_black: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.mean, self.std, self.shifted, self.on_black = mean, std, shifted, on_black

    def forward(self, images: Tensor) -> Tensor:
        pixels = self.seen(images)
        logits = self.once(pixels)
        if self.shifted is None:
            return logits
        unsure = self.is_unsure(logits)
        if torch.compiler.is_exporting():  # both ways belong into the file
            either: Tensor = torch.cond(unsure.any(), self._read_again, _as_they_are, (pixels, logits, unsure))
            return either
        return self._read_again(pixels, logits, unsure) if unsure.any() else logits

    def seen(self, images: Tensor) -> Tensor:
        """What the network sees of pixels of any type: float [B, 1, 28, 28] from 0 to 255, ink bright on black."""
        pixels = images.float()
        return contrast.on_black(pixels) if self.on_black else pixels

    def is_unsure(self, logits: Tensor) -> Tensor:
        """bool [B]: which pictures are read again, by the logits [B, C] of their first reading."""
        if self.shifted is None:
            return torch.zeros(len(logits), dtype=torch.bool)
        confidence = (logits / self.shifted.temperature).softmax(dim=1).amax(dim=1)
        return confidence < self.shifted.below

    def average(self, pixels: Tensor, logits: Tensor) -> Tensor:
        """The mean logits [B, C] of five readings, of which `logits` are the first; float pixels [B, 1, 28, 28]."""
        height, width = pixels.shape[-2:]
        framed = F.pad(pixels, (1, 1, 1, 1))
        moved = [framed[..., 1 - down :, 1 - right :][..., :height, :width] for down, right in SHIFTS]
        others = self.once(torch.cat(moved)).view(len(SHIFTS), -1, logits.shape[1])  # [4, B, C]
        mean: Tensor = (logits + others.sum(0)) / (1 + len(SHIFTS))
        return mean

    def once(self, pixels: Tensor) -> Tensor:
        """Logits [B, C] of float pixels [B, 1, 28, 28], whatever they leave unsure."""
        logits: Tensor = self.network((pixels / 255 - self.mean) / self.std)
        return logits

    def _read_again(self, pixels: Tensor, logits: Tensor, unsure: Tensor) -> Tensor:
        index = unsure.nonzero().squeeze(1)
        if torch.compiler.is_exporting():
            torch._check(index.numel() > 0)  # networks may not work on no picture at all
        return logits.index_copy(0, index, self.average(pixels[index], logits[index]))


def _as_they_are(pixels: Tensor, logits: Tensor, unsure: Tensor) -> Tensor:
    return logits.clone()


@dataclass(frozen=True, slots=True)
class Read:
    """Logits [N, C] of N images, and how many passes through the network each took [N]."""

    logits: NDArray[np.float32]
    passes: NDArray[np.int64]


@torch.inference_mode()
def read_again(reader: Reader, images: Tensor, first: NDArray[Any]) -> Read:
    """Of images uint8 [N, 28, 28] whose `first` reading is known, as logits [N, C]: only what they leave unsure is
    read, on the device where the network is."""
    device = next(reader.parameters()).device
    logits = torch.from_numpy(np.array(first, dtype=np.float32))
    unsure = reader.is_unsure(logits)
    for index in torch.split(unsure.nonzero().squeeze(1), _BATCH):
        pixels = reader.seen(images[index].unsqueeze(1).to(device))
        logits[index] = reader.average(pixels, logits[index].to(device)).float().cpu()
    return Read(logits.numpy(), 1 + len(SHIFTS) * unsure.long().numpy())
