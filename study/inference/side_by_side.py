"""Pictures read by several processes at once: to prepare one takes milliseconds of Python, which threads cannot
share."""

from __future__ import annotations

import contextlib
import itertools
import pickle
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from study.data.opening import Source
from study.execution.processes import start_process
from study.inference.answer import Prediction
from study.inference.predictor import Predictor

# One answer a picture of each group, as `Predictor.predict` gives them with these options.
PredictGroups = Callable[..., list[list[Prediction]]]
_END_SECONDS = 3.0


def in_turn(predictor: Predictor, groups: Sequence[Sequence[Source]], **options: Any) -> list[list[Prediction]]:
    return [predictor.predict(group, **options) for group in groups]


@contextlib.contextmanager
def side_by_side(n: int) -> Iterator[PredictGroups]:
    """Within the block what does the same as `in_turn` in `n` processes; with fewer than two, or once one of them has
    died, in this one. They end with this process, however it ends."""
    with contextlib.ExitStack() as readers:
        connections = [readers.enter_context(_reader(number)) for number in range(n if n > 1 else 0)]

        def predict(predictor: Predictor, groups: Sequence[Sequence[Source]], **options: Any) -> list[list[Prediction]]:
            if not connections:
                return in_turn(predictor, groups, **options)
            try:
                return _dealt(connections, predictor, groups, options)
            except (EOFError, OSError):
                connections.clear()
                return in_turn(predictor, groups, **options)

        yield predict


def _dealt(
    connections: Sequence[Connection], predictor: Predictor, groups: Sequence[Sequence[Source]], options: dict[str, Any]
) -> list[list[Prediction]]:
    known = pickle.dumps(predictor)
    for number, connection in enumerate(connections):
        connection.send((known, list(groups[number :: len(connections)]), options))
    hands = [connection.recv() for connection in connections]  # of all, so that none still writes when the next is sent
    if (error := next((hand for hand in hands if isinstance(hand, Exception)), None)) is not None:
        raise error
    rounds = itertools.zip_longest(*hands)
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
    process.close()


def _read(connection: Connection) -> None:
    """A process's work until nobody holds the other end."""
    import torch

    torch.set_num_threads(1)
    with contextlib.suppress(EOFError, OSError):
        while True:
            known, groups, options = connection.recv()
            try:
                answers: list[list[Prediction]] | Exception = in_turn(pickle.loads(known), groups, **options)
            except Exception as error:
                answers = error
            connection.send(answers)
