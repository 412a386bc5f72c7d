from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from study.errors import LockedError, ResultsError
from study.records.locking import StudyLock, lock_holder
from study.records.paths import StudyFiles


def test_the_lock_refuses_a_second_command_and_names_the_first(files: StudyFiles) -> None:
    with StudyLock(files):
        assert f"process {os.getpid()}" in str(lock_holder(files))
        with pytest.raises(LockedError, match=f"in use by process {os.getpid()} on "), StudyLock(files):
            pass
    assert lock_holder(files) is None
    with StudyLock(files):
        pass


def test_nobody_holds_a_study_that_was_never_driven(files: StudyFiles) -> None:
    assert lock_holder(files) is None


def test_the_lock_dies_with_its_holder(files: StudyFiles) -> None:
    script = (
        "import os, sys, signal, pathlib, study.records.locking as l, study.records.files as r\n"
        "l.StudyLock(r.StudyFiles(pathlib.Path(sys.argv[1]))).__enter__()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(files.root)], check=False)
    assert lock_holder(files) is None
    with StudyLock(files):
        assert f"process {os.getpid()}" in str(lock_holder(files))


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said_as_it_is(
    files: StudyFiles, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with StudyLock(files):
        pass
    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(ResultsError) as caught, StudyLock(files):
        pass
    assert not isinstance(caught.value, LockedError)
    assert f"cannot lock files (flock: {os.strerror(number)})" in str(caught.value)
    assert "--results" in str(caught.value)
    assert lock_holder(files) is None  # so that status, report and dashboard show what is there


def test_a_lock_file_that_may_not_be_written_is_named(files: StudyFiles) -> None:
    (files.root / ".lock").mkdir()  # stands for another's file, which a test under root could write
    with pytest.raises(ResultsError, match=r"\.lock cannot be written \(Is a directory\): ask for"), StudyLock(files):
        pass
