from __future__ import annotations

import os
import subprocess
import sys

import pytest

from study.errors import LockedError
from study.locking import StudyLock, lock_holder
from study.results import StudyFiles


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
        "import os, sys, signal, pathlib, study.locking as l, study.results as r\n"
        "l.StudyLock(r.StudyFiles(pathlib.Path(sys.argv[1]))).__enter__()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(files.root)], check=False)
    assert lock_holder(files) is None
    with StudyLock(files):
        assert f"process {os.getpid()}" in str(lock_holder(files))
