"""A dashboard in a process of its own beside `study run`, and after it for somebody who sits at the terminal."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

from study.errors import Interrupted
from study.execution.processes import own_modules

_PATIENCE = 2.0  # seconds for a process that is about to be started


class Along:
    """Starts the process as soon as `ready()`, and ends it with the block that it is used in."""

    def __init__(self, words: Sequence[str], ready: Callable[[], bool]) -> None:
        self._words = words
        self._ready = ready
        self._ended = threading.Event()
        self._starter = threading.Thread(target=self._start, daemon=True)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Along:
        self._starter.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._starter.join()
        if self._process is not None:
            self._process.terminate()
            self._process.communicate()

    def _start(self) -> None:
        while not self._ready():
            if self._ended.wait(0.2):
                return
        # It ends when its standard input does: with this command, however that ends.
        self._process = subprocess.Popen(self._words, stdin=subprocess.PIPE, env=os.environ | own_modules())

    @property
    def is_there(self) -> bool:
        """Whether it was started, or is about to be, and has not ended by itself."""
        self._starter.join(_PATIENCE)
        return self._process is not None and self._process.poll() is None

    def stay(self) -> None:
        """Wait until a signal comes, or the process ends by itself."""
        with contextlib.suppress(Interrupted):
            if self._process is not None:
                self._process.wait()


@contextlib.contextmanager
def dashboard_along(words: Sequence[str], address: str, again: str, ready: Callable[[], bool]) -> Iterator[None]:
    """Serve the dashboard of `words` at `address` during the block; after it until Ctrl-C if a person is there, else
    `again` is the command that shows it."""
    with Along(words, ready) as along:
        yield
        if not along.is_there:
            return
        if sys.stdin.isatty() and sys.stdout.isatty():
            print(f"the dashboard stays at {address} until Ctrl-C", file=sys.stderr, flush=True)
            along.stay()
        else:
            print(f"the dashboard ends with the run; again: {again}", file=sys.stderr, flush=True)
