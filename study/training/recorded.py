"""A training step recorded once on a GPU and replayed: one launch instead of a hundred."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_STEPS_BEFORE_RECORDING = 3  # in which libraries set themselves up and the optimizer makes its state

Step = Callable[[Tensor], None]


class RecordedStep:
    """`step(index)` with int64 indices [B] of a batch, B always the same. The kernels of a small network's step take
    less time than launching them one by one: after a few steps one is recorded as a CUDA graph, and replayed from then
    on.

    All that `step` reads and writes must stay where it was while recorded: the images, the weights, the optimizer's
    state and its learning rate (a tensor, see `build_optimizer`). Random draws, from `generator` and from torch's own,
    go on from step to step as they would without recording.
    """

    def __init__(self, step: Step, generator: torch.Generator, batch_size: int) -> None:
        self._step, self._generator = step, generator
        self._index = torch.zeros(batch_size, dtype=torch.int64, device=generator.device)
        self._stream = torch.cuda.Stream(generator.device)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._graph: torch.cuda.CUDAGraph | None = None
        self._taken = 0

    def __call__(self, index: Tensor) -> None:
        self._index.copy_(index)
        if self._graph is not None:
            self._graph.replay()
        elif self._taken < _STEPS_BEFORE_RECORDING:
            self._take_one()
        else:
            self._graph = self._record()
            self._graph.replay()
        self._taken += 1

    def _take_one(self) -> None:
        # On the stream of the recording: autograd stays with the stream on which it first met a parameter.
        current = torch.cuda.current_stream(self._index.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            self._step(self._index)
        current.wait_stream(self._stream)

    def _record(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        with torch.cuda.graph(graph, stream=self._stream):  # which runs nothing
            self._step(self._index)
        return graph
