"""Standard input, output and error of a command: whose reader may leave, whose encoding may know no dash, or which are
not there at all."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from study.errors import OutputError, ReaderLeftError

FORM = 1  # of what `--format json` prints, results and errors
_PLAIN = {"–": "-", "−": "-", "…": "...", "±": "+/-", "×": "x", "·": "*", "≤": "<=", "≥": ">=", "→": "->", "’": "'"}
_READABLE = "digit-study-readable"  # what Python's codecs call the handler below


def _in_plain_characters(error: UnicodeError) -> tuple[str, int]:
    """What an encoding lacks, in signs that every one has; letters of a file's name as Python and JSON write them."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in lacking), error.end


class _Descriptor(io.FileIO):
    """What a standard stream writes to. `must_arrive`: results, whose loss is an error, and not progress."""

    def __init__(self, descriptor: int, *, must_arrive: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._must_arrive = must_arrive

    def write(self, data: Any, /) -> int:
        try:
            return os.write(self.fileno(), data)
        except OSError as error:
            if self._must_arrive:
                self._must_arrive = False  # said once; what a buffer still holds goes the same way in silence
                raise _lost(error) from None
            return len(data)


def _lost(error: OSError) -> OutputError:
    if isinstance(error, BrokenPipeError):
        return ReaderLeftError("nobody reads standard output any more")
    return OutputError(f"standard output cannot be written ({error.strerror}): send it to another file or pipe")


@contextlib.contextmanager
def steady_streams() -> Iterator[None]:
    """Within this block progress that cannot be written is dropped, and results that cannot be written are an error.

    A terminal, a pipe's reader or a log's disk may go away during a study of many hours, which goes on: all that
    writes to `sys.stderr` is covered, such as warnings, loggers and a progress bar's thread. OutputError comes from a
    write to `sys.stdout`, or from its flush: call it before the end of the block.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    if before != (sys.__stdin__, sys.__stdout__, sys.__stderr__):
        yield  # whoever replaced them looks after them
        return
    _open_missing()
    sys.stdin = before[0] or open(0, closefd=False)  # noqa: SIM115  # it lasts as long as the process
    sys.stdout = _text(1, before[1], must_arrive=True)
    sys.stderr = _text(2, before[2], must_arrive=False)
    try:
        yield
    finally:
        with contextlib.suppress(OutputError):  # another error is on its way
            sys.stdout.flush()
        sys.stdin, sys.stdout, sys.stderr = before


def knows_every_sign(stream: TextIO) -> bool:
    """Whether nothing that is written to `stream` is replaced by plainer signs."""
    return codecs.lookup(stream.encoding or "utf-8").name.startswith("utf")


def steady_errors() -> None:
    """Drop what this process cannot write to standard error, until it ends: for workers."""
    sys.stderr = _text(2, sys.stderr, must_arrive=False)


def _open_missing() -> None:
    """A standard stream that the shell closed would be the next file that is opened: a database, to which a library
    then writes its warnings. Writing to this one fails, as it did."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)  # it takes the lowest number that is free


def _text(descriptor: int, before: TextIO | None, *, must_arrive: bool) -> TextIO:
    codecs.register_error(_READABLE, _in_plain_characters)
    raw = _Descriptor(descriptor, must_arrive=must_arrive)
    by_line = not must_arrive or raw.isatty()
    encoding = before.encoding if before is not None else None
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, _READABLE, line_buffering=by_line)
