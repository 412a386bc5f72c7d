"""Other studies of a results folder that are worked on now, on this machine: they share its cores."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator

from study.errors import ResultsError
from study.records.ledger import read_ledger
from study.records.paths import StudyFiles
from study.stages.cores import available_cores


def crowding(files: StudyFiles, n_workers: int) -> str | None:
    """In words that this command and others want more workers than there are cores; None if they do not."""
    others, cores = list(_at_work_beside(files)), available_cores()
    wanted = n_workers + sum(n for _, n in others)
    if not others or wanted <= cores:
        return None
    names = ", ".join(f"'{name}'" for name, _ in others)
    return (
        f"study {names} is worked on now, too: {wanted} workers share {cores} cores, and each budget buys less; "
        "wait for it, or give each command its part with --workers"
    )


def _at_work_beside(files: StudyFiles) -> Iterator[tuple[str, int]]:
    """(name, workers) of other studies whose commands live. Their locks are read, never tried: whoever wants one at the
    same moment would find it taken."""
    for lock in sorted(files.root.parent.glob("*/.lock")):
        try:
            holder = re.fullmatch(r"process ([0-9]+) on (.*)\n?", lock.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):  # somebody else's folder, perhaps
            continue
        if holder and holder[2] == socket.gethostname() and _lives(int(holder[1])):
            other = StudyFiles(lock.parent)
            yield other.name, _workers(other)


def _lives(process: int) -> bool:
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except PermissionError:  # somebody else's
        return True
    except (OSError, OverflowError):
        return False
    return True


def _workers(files: StudyFiles) -> int:
    """As its ledger has them, or one where it does not say."""
    try:
        return read_ledger(files.ledger).workers or 1
    except ResultsError:
        return 1
