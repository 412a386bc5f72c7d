"""Training data in memory that worker processes share, without a copy for each. Imports no torch before it is needed:
the host of a cluster's machine has none."""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Mapping
from multiprocessing.reduction import DupFd
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from study.training.loop import TrainingData

# Memory without a name. torch's own way takes files in /dev/shm, of which a container has 64 MB: a write beyond them is
# a bus error, and 240,000 training images are 188 MB.
_NAMELESS = hasattr(os, "memfd_create")


class _SharedArray:
    """An array whose bytes every process maps that it is sent to, as an argument of a process."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._shape, self._dtype = array.shape, array.dtype
        self._descriptor = os.memfd_create("digit-study")
        weakref.finalize(self, os.close, self._descriptor)
        os.truncate(self._descriptor, max(1, array.nbytes))
        self.array = self._map(self._descriptor)
        self.array[...] = array

    def _map(self, descriptor: int) -> NDArray[Any]:
        return np.ndarray(self._shape, self._dtype, buffer=mmap.mmap(descriptor, 0))

    def __getstate__(self) -> dict[str, Any]:
        return {"_shape": self._shape, "_dtype": self._dtype, "sent": DupFd(self._descriptor)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        descriptor = state.pop("sent").detach()
        self.__dict__.update(state)
        self.array = self._map(descriptor)
        os.close(descriptor)


class SharedData:
    """Training data as an argument of worker processes, its tensors as arrays."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = {
            name: _shared(value) if isinstance(value, np.ndarray) else value for name, value in fields.items()
        }

    @classmethod
    def of(cls, data: TrainingData) -> SharedData:
        """`data` itself moves there, so that it is in memory once."""
        import torch

        shared = cls(as_arrays(data))
        for name, value in vars(shared.data).items():
            if isinstance(value, torch.Tensor):
                getattr(data, name).data = value
        return shared

    @property
    def data(self) -> TrainingData:
        import torch

        from study.training.loop import TrainingData

        found: dict[str, Any] = {
            name: torch.from_numpy(value.array) if isinstance(value, _SharedArray) else value
            for name, value in self._fields.items()
        }
        return TrainingData(**found)


def as_arrays(data: TrainingData) -> dict[str, Any]:
    """Its fields by name, the tensors among them as arrays, which need no torch."""
    import torch

    return {name: x.contiguous().numpy() if isinstance(x, torch.Tensor) else x for name, x in vars(data).items()}


def _shared(array: NDArray[Any]) -> _SharedArray | Tensor:
    if _NAMELESS:
        return _SharedArray(array)
    import torch

    return torch.tensor(array).share_memory_()  # type: ignore[no-untyped-call, no-any-return]  # torch leaves it untyped
