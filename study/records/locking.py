"""The lock on a study's folder: one command drives a study."""

from __future__ import annotations

import fcntl
import io
import os
import socket
from pathlib import Path

from study.errors import LockedError, ResultsError
from study.records.paths import StudyFiles


class StudyLock:
    """Exclusive lock on a study, held by the command that drives it and released by its death.

    The lock file lies in the study's folder and names its holder; it is not removed, because unlinking a locked
    file would let two commands each hold a lock on a different inode.
    """

    def __init__(self, files: StudyFiles) -> None:
        self._path = files.root / ".lock"
        self._stream: io.TextIOWrapper | None = None

    def __enter__(self) -> StudyLock:
        stream = _open(self._path)
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            holder = stream.read().strip() or "another command"
            stream.close()
            raise _in_use(self._path.parent, holder) from None
        except OSError as error:
            stream.close()
            raise ResultsError(
                f"{self._path.parent} is on a file system that cannot lock files (flock: {error.strerror}), so that "
                "two commands could drive one study, and SQLite would fail: choose a folder on a local disk with "
                "--results; a study that is here already continues there from a copy of its folder"
            ) from None
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        stream.flush()
        self._stream = stream
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.truncate(0)
            self._stream.close()
            self._stream = None


def _open(path: Path) -> io.TextIOWrapper:
    try:
        return path.open("a+", encoding="utf-8")
    except OSError as error:
        raise ResultsError(
            f"{path} cannot be written ({error.strerror}): ask for write permission on all files in {path.parent}, "
            "or begin a study of your own with --name or --results"
        ) from None


def lock_holder(files: StudyFiles) -> str | None:
    """The holder of a study's lock in words, or None if nobody drives it now."""
    path = files.root / ".lock"
    if not path.exists():
        return None
    with path.open(encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return stream.read().strip() or "another command"
        except OSError:  # where nothing can be locked nobody holds a lock
            return None
    return None


def require_free(files: StudyFiles) -> None:
    """LockedError if somebody drives the study now."""
    if (holder := lock_holder(files)) is not None:
        raise _in_use(files.root, holder)


def _in_use(folder: Path, holder: str) -> LockedError:
    return LockedError(f"{folder} is in use by {holder}; wait for it to end, or stop it, then run this again")


def is_driven_by(files: StudyFiles, holder: str) -> bool:
    """Whether `holder`, who is known to be at work, drives this search now. Its lock is read, never tried: a command
    that wants it at the same moment would find it taken."""
    path = files.root / ".lock"
    return path.exists() and path.read_text(encoding="utf-8").strip() == holder
