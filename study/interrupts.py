"""The signals that ask a command to end as one exception, held back while something is being written."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from study.errors import Interrupted

# What a batch system sends some time before it kills: Slurm SIGUSR1 where it is asked to, Grid Engine (-notify) and LSF
# SIGUSR2; and SIGXCPU, every second, where the CPU time is used up.
_NOTICES = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, *_NOTICES)
# Of these the workers hear nothing: they reach all processes of a command, and only the driver reacts to them.
FOR_THE_DRIVER = (signal.SIGHUP, signal.SIGINT, *_NOTICES)
_shields = 0
_pending: int | None = None
_raised = False
_is_patient = False


def _handle(signum: int, _frame: FrameType | None) -> None:
    global _pending, _raised
    if requested():
        if signum in _NOTICES or _is_patient:  # nobody is impatient, and the time is for what is being written
            return
        # The second signal: the user does not want to wait. Workers end by themselves when their driver is gone.
        os._exit(128 + signum)
    if _shields:
        _pending = signum
        return
    _raised = True
    raise Interrupted(signum)


def requested() -> bool:
    """Whether a signal has come, held back or not: then nobody should begin to wait."""
    return _raised or _pending is not None


def ignore_notices() -> None:
    """For a process that is about to end: SIGXCPU comes again every second, and would end it in place of its status."""
    for signum in _NOTICES:
        signal.signal(signum, signal.SIG_IGN)


@contextlib.contextmanager
def catching_signals(*, is_patient: bool = False) -> Iterator[None]:
    """Within this block a signal raises Interrupted in the main thread; the second one ends the process at once, or
    does nothing where `is_patient`, as the process is the user's own."""
    global _pending, _raised, _is_patient
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _pending, _raised, _is_patient = None, False, is_patient
    # Under nohup a hang-up is ignored from the start, and stays so; likewise a notice that a job script ignores.
    stay = {s for s in (signal.SIGHUP, *_NOTICES) if signal.getsignal(s) == signal.SIG_IGN}
    taken = [s for s in _SIGNALS if s not in stay]
    previous = {signum: signal.signal(signum, _handle) for signum in taken}
    try:
        yield
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
        _pending, _raised = None, False


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Hold the first signal back until the end of the block, so that a record is written whole. Keep it short."""
    global _shields, _pending, _raised
    _shields += 1
    try:
        yield
    finally:
        _shields -= 1
        if _shields == 0 and _pending is not None:
            signum, _pending = _pending, None
            if not _raised:
                _raised = True
                raise Interrupted(signum)
