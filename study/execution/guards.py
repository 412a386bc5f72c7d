"""Shells that end what a process leaves behind, however it ends."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Mapping

_END_SECONDS = 5.0


class Guard:
    """A script that `read -r _` keeps waiting until this process lets go of it, or is gone, killed or not. It has the
    words as $1 and on, and may write lines before it waits.

    It is in a session of its own, so that Ctrl-C leaves it alone, and nobody's child: Ray kills those of a process that
    it ends.
    """

    def __init__(self, script: str, *words: str, environment: Mapping[str, str] | None = None) -> None:
        self._outer = subprocess.Popen(
            ["sh", "-c", f"exec 3<&0\n(\n{script}\n) <&3 3<&- &", "guard", *words],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._outer.wait()

    def read_line(self) -> str:
        """What the script wrote; nothing if it has ended."""
        assert self._outer.stdout is not None
        return self._outer.stdout.readline().decode().strip()

    def end(self) -> None:
        """Let go, and wait some seconds until the script has ended."""
        assert self._outer.stdin is not None
        assert self._outer.stdout is not None
        self._outer.stdin.close()
        select.select([self._outer.stdout], [], [], _END_SECONDS)  # it has an end
        self._outer.stdout.close()
