"""Training data in memory that worker processes share, without a copy for each."""

from __future__ import annotations

import mmap
import os
import weakref
from multiprocessing.reduction import DupFd
from typing import Any

import torch
from torch import Tensor

from study.training.loop import TrainingData

# Memory without a name. torch's own way takes files in /dev/shm, of which a container has 64 MB: a write beyond them is
# a bus error, and 240,000 training images are 188 MB.
_NAMELESS = hasattr(os, "memfd_create")


class _SharedTensor:
    """A tensor whose bytes every process maps that it is sent to, as an argument of a process."""

    def __init__(self, tensor: Tensor) -> None:
        self._shape, self._dtype = tuple(tensor.shape), tensor.dtype
        self._descriptor = os.memfd_create("digit-study")
        weakref.finalize(self, os.close, self._descriptor)
        os.truncate(self._descriptor, max(1, tensor.nbytes))
        self.tensor = self._map(self._descriptor)
        self.tensor.copy_(tensor)

    def _map(self, descriptor: int) -> Tensor:
        memory = mmap.mmap(descriptor, 0)
        n = torch.Size(self._shape).numel()
        flat = torch.frombuffer(memory, dtype=self._dtype, count=n) if n else torch.empty(0, dtype=self._dtype)
        return flat.reshape(self._shape)

    def __getstate__(self) -> dict[str, Any]:
        return {"_shape": self._shape, "_dtype": self._dtype, "sent": DupFd(self._descriptor)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        descriptor = state.pop("sent").detach()
        self.__dict__.update(state)
        self.tensor = self._map(descriptor)
        os.close(descriptor)


class SharedData:
    """Training data as an argument of worker processes. `data` itself moves there, so that it is in memory once."""

    def __init__(self, data: TrainingData) -> None:
        fields = vars(data)
        self._tensors = {name: _move(value) for name, value in fields.items() if isinstance(value, Tensor)}
        self._others = {name: value for name, value in fields.items() if name not in self._tensors}

    @property
    def data(self) -> TrainingData:
        tensors: dict[str, Any] = {
            name: shared.tensor if isinstance(shared, _SharedTensor) else shared
            for name, shared in self._tensors.items()
        }
        return TrainingData(**tensors, **self._others)


def _move(tensor: Tensor) -> _SharedTensor | Tensor:
    if not _NAMELESS:
        return tensor.share_memory_()  # type: ignore[no-untyped-call, no-any-return]  # torch leaves it untyped
    shared = _SharedTensor(tensor)
    tensor.data = shared.tensor
    return shared
