"""Studies that are worked on at the same time on the same machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from study.records.files import write_json
from study.records.paths import StudyFiles
from study.stages import neighbours
from study.stages.neighbours import crowding

HOLD = """
import pathlib, sys, study.records.locking as l, study.records.paths as r
with l.StudyLock(r.StudyFiles(pathlib.Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_study_at_work_on_the_same_cores_is_named_while_it_lives(
    files: StudyFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "available_cores", lambda: 4)
    other = StudyFiles(files.root.parent / "other")
    write_json(other.ledger, {"workers": 3})
    words = [sys.executable, "-c", HOLD, str(other.root)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        said = crowding(files, 2)
        assert said is not None
        assert "study 'other' is worked on now, too: 5 workers share 4 cores" in said
        assert crowding(files, 1) is None  # together no more workers than cores
        process.kill()
    assert (other.root / ".lock").read_text().startswith("process")  # as a killed command leaves it
    assert crowding(files, 2) is None


@pytest.mark.parametrize(
    "text",
    ["", "process 0x on here", f"process {os.getpid()} on {socket.gethostname()}\n"],
    ids=["empty", "damaged", "own"],  # the same in every process that runs tests
)
def test_own_locks_and_strange_ones_are_nobody(text: str, files: StudyFiles) -> None:
    (files.root / ".lock").write_text(text)
    assert crowding(files, 10_000) is None


def test_a_lock_that_cannot_be_read_is_nobody(files: StudyFiles) -> None:
    (files.root.parent / "folder" / ".lock").mkdir(parents=True)
    assert crowding(files, 10_000) is None


def test_a_process_of_another_machine_is_nobody_here(files: StudyFiles) -> None:
    (files.root / ".lock").write_text(f"process {os.getppid()} on elsewhere\n")
    assert crowding(files, 10_000) is None
