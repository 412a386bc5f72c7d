"""Which images each step trains on: all of them in turn, or more often those that are hard for the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor

from study.seeds import derive_seed

# The last part of each cycle sees all images, so that what is judged has learned from the data as they are.
_UNBIASED_SHARE = 0.05


class Batches:
    """Indices [B] of the images of each step, all images in turn: a fresh permutation each epoch, the last images of
    one joined to the next. They depend on seed and step alone, so that a continued run sees what an uninterrupted one
    would see."""

    def __init__(self, part: Tensor, batch_size: int, seed: int) -> None:
        self._part, self._seed = part, seed
        self._passes = _Passes(len(part), batch_size, self._permuted)

    def __getitem__(self, step: int) -> Tensor:
        return self._passes[step]

    def _permuted(self, epoch: int) -> Tensor:
        # Drawn on the CPU: the order is then the same on every device.
        generator = torch.Generator().manual_seed(derive_seed(self._seed, "", epoch, "order"))
        return self._part[torch.randperm(len(self._part), generator=generator).to(self._part.device)]

    def learn(self, index: Tensor, logits: Tensor, labels: Tensor) -> None:
        """What the network, logits [B, C], made of the images at `index` with `labels`: here of no interest."""

    def state(self) -> dict[str, Tensor]:
        """What the next batches depend on beside seed and step."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """What `state` gave."""


class HardBatches(Batches):
    """Every image once, then passes over a share of them, drawn by the loss that each had when it was last seen to
    the given power, without replacement; the last part of each cycle goes through all of them again.

    `cycles` are those of the learning rate, in steps. A pass depends on the losses at its beginning: the state holds
    them, and the pass that is under way.
    """

    def __init__(
        self,
        part: Tensor,
        batch_size: int,
        seed: int,
        *,
        n_images: int,
        n_classes: int,
        cycles: Sequence[int],
        share: float,
        power: float,
    ) -> None:
        super().__init__(part, batch_size, seed)
        self._power, self._size = power, max(1, round(share * len(part)))
        # Of an image never seen, that of a guess.
        self._losses = torch.full((n_images,), float(n_classes), device=part.device).log_()
        self._hard = _hard_steps(cycles, -(-len(part) // batch_size))
        self._before = [0, *accumulate(self._hard)]
        self._drawn = _Passes(self._size, batch_size, self._draw)

    def __getitem__(self, step: int) -> Tensor:
        before = self._before[step]
        return self._drawn[before] if self._hard[step] else self._passes[step - before]

    def learn(self, index: Tensor, logits: Tensor, labels: Tensor) -> None:
        self._losses.index_copy_(0, index, F.cross_entropy(logits.float(), labels, reduction="none"))

    def _draw(self, number: int) -> Tensor:
        """The images with the largest of u^(1/w), u uniform and w an image's weight, are drawn by weight and without
        replacement (Efraimidis and Spirakis 2006). What is drawn at random is drawn on the CPU, as above."""
        generator = torch.Generator().manual_seed(derive_seed(self._seed, "", number, "hard"))
        waits = torch.empty(len(self._part)).exponential_(generator=generator).to(self._part.device)
        weights = self._losses[self._part].clamp_(min=1e-6).pow_(self._power)
        drawn = torch.topk(waits.div_(weights), self._size, largest=False, sorted=False).indices.sort().values
        order = torch.randperm(self._size, generator=generator).to(self._part.device)
        return self._part[drawn[order]]

    def state(self) -> dict[str, Tensor]:
        return {"losses": self._losses, **self._drawn.state()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._losses.copy_(state["losses"])
        self._drawn.restore({name: values.to(self._part.device) for name, values in state.items()})


def _hard_steps(cycles: Sequence[int], first_pass: int) -> list[bool]:
    """For each step whether its images are drawn: neither in the first pass, of so many steps, nor at a cycle's end."""
    hard = [position < round((1 - _UNBIASED_SHARE) * n) for n in cycles for position in range(n)]
    return [chosen and step >= first_pass for step, chosen in enumerate(hard)]


class _Passes:
    """Batches out of passes of so many images, the last images of one joined to the next; `order` gives the images of
    a pass by its number, when its first image is wanted."""

    def __init__(self, size: int, batch_size: int, order: Callable[[int], Tensor]) -> None:
        self._size, self._batch_size, self._order = size, batch_size, order
        self._number, self._images = -1, torch.empty(0, dtype=torch.int64)

    def __getitem__(self, batch: int) -> Tensor:
        position, left = batch * self._batch_size, self._batch_size
        pieces: list[Tensor] = []
        while left:
            number, offset = divmod(position, self._size)
            pieces.append(self._of(number)[offset : offset + left])
            position += len(pieces[-1])
            left -= len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _of(self, number: int) -> Tensor:
        if number != self._number:
            self._number, self._images = number, self._order(number)
        return self._images

    def state(self) -> dict[str, Tensor]:
        return {"number": torch.tensor(self._number), "images": self._images}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._number, self._images = int(state["number"]), state["images"]
