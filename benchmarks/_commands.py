"""Running the program's own commands: how long one took, and how much memory and processor time it had."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ran:
    wall_seconds: float
    cpu_seconds: float
    peak_mib: float
    output: str


def study_command() -> list[str]:
    """The console script of this environment."""
    script = Path(sys.executable).with_name("study")
    return [str(script)] if script.exists() else [sys.executable, "-m", "study"]


def measure(words: Sequence[str]) -> Ran:
    """Run a command to its end; SystemExit with what it said if it fails. Memory is the largest resident set of the
    process or of a child that it waited for."""
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        output = said.read().decode(errors="replace")
    if process.returncode != 0:
        raise SystemExit(f"{shlex.join(words)} ended with {process.returncode}: {output[-500:]}")
    return Ran(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output)


_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """From now on a process that a command leaves behind is a child of this one: the workers of a study come from a
    server that it does not wait for, and their processor time would be nobody's. Linux alone has this."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def wait_for_orphans() -> None:
    """Wait for all children; those that a `subprocess.Popen` stands for must have been waited for."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
