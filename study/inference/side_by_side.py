"""Pictures read by several processes at once: to prepare one takes milliseconds of Python, which threads cannot
share."""

from __future__ import annotations

import contextlib
import gc
import itertools
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from study.data.opening import Source
from study.errors import StudyError
from study.execution.processes import let_go, start_process
from study.inference.answer import Prediction
from study.inference.predictor import Predictor
from study.interrupts import FOR_THE_DRIVER

# One answer a picture of each group, as `Predictor.predict` gives them with these options.
PredictGroups = Callable[..., list[list[Prediction]]]
_END_SECONDS = 3.0


def in_turn(predictor: Predictor, groups: Sequence[Sequence[Source]], **options: Any) -> list[list[Prediction]]:
    return [predictor.predict(group, **options) for group in groups]


@contextlib.contextmanager
def side_by_side(n: int) -> Iterator[PredictGroups]:
    """Within the block what does the same as `in_turn` in `n` processes; with fewer than two, or once anything has gone
    wrong with them, in this one: one may be killed, and a network of a user's own need not bear being sent. They end
    with this process, however it ends."""
    with contextlib.ExitStack() as readers:
        connections: list[Connection] = []
        with contextlib.suppress(EOFError, OSError, StudyError):  # fewer do where no more can be started
            for number in range(n if n > 1 else 0):
                connections.append(readers.enter_context(_reader(number)))

        def predict(predictor: Predictor, groups: Sequence[Sequence[Source]], **options: Any) -> list[list[Prediction]]:
            if not connections:
                return in_turn(predictor, groups, **options)
            try:
                return _dealt(connections, predictor, groups, options)
            except Exception:
                connections.clear()  # there may be answers in them that nobody has read
                return in_turn(predictor, groups, **options)  # which raises what is wrong with the pictures

        yield predict


def _dealt(
    connections: Sequence[Connection], predictor: Predictor, groups: Sequence[Sequence[Source]], options: dict[str, Any]
) -> list[list[Prediction]]:
    known = pickle.dumps(predictor)
    for number, connection in enumerate(connections):
        connection.send((known, list(groups[number :: len(connections)]), options))
    rounds = itertools.zip_longest(*(connection.recv() for connection in connections))
    return [answers for dealt in rounds for answers in dealt if answers is not None]


@contextlib.contextmanager
def _reader(number: int) -> Iterator[Connection]:
    ours, theirs = Pipe()
    process = start_process(_read, (theirs,), f"reader-{number}")
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()  # which ends it
        _end(process)


def _end(process: BaseProcess) -> None:
    process.join(_END_SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
    let_go(process)


def _read(connection: Connection) -> None:
    """A process's work until nobody holds the other end."""
    import torch

    for ignored in FOR_THE_DRIVER:
        signal.signal(ignored, signal.SIG_IGN)
    gc.enable()  # the fork server has it off
    torch.set_num_threads(1)
    with contextlib.suppress(Exception):  # where it ends early, the other process does its work
        while True:
            known, groups, options = connection.recv()
            connection.send(in_turn(pickle.loads(known), groups, **options))
