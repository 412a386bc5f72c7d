"""Standard streams whose reader leaves, whose disk is full, whose encoding is old, or which are closed."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from study.records.paths import StudyFiles
from study.records.trial import read_trials

FULL = Path("/dev/full")  # where every write finds the disk full
# All that writes to standard error in a command.
SPEAK = """
import logging, os, sys, threading, warnings
from study.streams import steady_streams

def speak():
    print("a line", file=sys.stderr)
    warnings.warn("a warning")
    logging.getLogger("somebody").error("an error")
    optuna.logging.get_logger("optuna").error("an error")

with steady_streams():
    import optuna  # here, as the command does: its log keeps the stream that it finds
    from study.command.progress import Reporter

    reporter = Reporter(quiet=False)
    reporter.stage("search")
    for _ in range(3):
        reporter.say("a trial")
        speak()
        thread = threading.Thread(target=speak)
        thread.start()
        thread.join()
    reporter.stage("retrain")
    reporter.end()
    print("result")
"""


def run_script(script: str, *words: str, **streams: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-c", script, *words], check=False, timeout=60, **streams)


def study(*words: object, **streams: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "study", *map(str, words)],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 120} | streams,
    )


def abandoned_pipe() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def lost_terminal() -> int:
    """A terminal that was closed, as it is seen by a program that no hang-up reaches (nohup, setsid, tmux)."""
    master, slave = pty.openpty()
    os.close(master)
    return slave


def full_disk() -> int:
    return os.open(FULL, os.O_WRONLY)


@pytest.mark.parametrize("audience", [abandoned_pipe, lost_terminal, full_disk])
def test_progress_that_nobody_sees_is_no_reason_to_stop(audience: Callable[[], int]) -> None:
    descriptor = audience()
    ended = run_script(SPEAK, stdout=subprocess.PIPE, stderr=descriptor)
    os.close(descriptor)
    assert (ended.returncode, ended.stdout) == (0, b"result\n")


def test_a_terminal_that_closes_in_the_middle_is_none_either() -> None:
    """What was a terminal when the bar was started is none when it ends."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", SPEAK],
        stdout=subprocess.PIPE,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    assert os.read(master, 1)
    os.close(master)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, b"result\n")


@pytest.fixture
def words(tmp_path: Path, tiny_spaces: dict[str, Path], write_idx: Callable[[Path], Path]) -> list[object]:
    flags = ["--results", tmp_path / "results", "--data-dir", write_idx(tmp_path / "digits"), "--workers", 1]
    return ["search", "--name", "tiny", *flags, *(word for path in tiny_spaces.values() for word in ("--space", path))]


def test_a_search_goes_on_without_an_audience_and_its_result_is_missed(tmp_path: Path, words: list[object]) -> None:
    """As in `study search 2>&1 | head -1`, and in `study search > FILE` on a full disk."""
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "study", *map(str, words), "--n-trials", "1"], stdout=writing, stderr=writing
    )
    os.close(writing)
    assert os.read(reading, 1)
    os.close(reading)
    assert process.wait(60) == 1  # the result that was asked for went into the closed pipe, too
    records = read_trials(StudyFiles(tmp_path / "results" / "tiny").trials_jsonl)
    assert Counter((record.origin, record.counted) for record in records) == {("found", True): 2, ("given", True): 4}
    with FULL.open("wb") as full:
        ended = study(*words, "--n-trials", 1, stdout=full)
    assert ended.returncode == 1
    assert b"study: standard output cannot be written (No space left on device)" in ended.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["spaces", "show", "--format", "json"],
        ["spaces", "list"],
        ["--help"],
        ["run", "--help"],
        ["--version"],
    ],
)
def test_results_that_cannot_be_written_are_an_error(words: list[str]) -> None:
    with FULL.open("wb") as full:
        ended = study(*words, stdout=full)
    assert ended.returncode == 1
    error = json.loads(ended.stderr)["error"] if "json" in words else ended.stderr.decode().removeprefix("study: ")
    assert error.startswith("standard output cannot be written (No space left on device)")
    assert ended.stderr.count(b"\n") == 1


def test_a_reader_that_left_is_told_nothing() -> None:
    pipe = abandoned_pipe()
    ended = study("spaces", "show", stdout=pipe)
    os.close(pipe)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_json_loses_nothing_to_an_old_encoding(tmp_path: Path, tiny_spaces: dict[str, Path]) -> None:
    path = tiny_spaces["mlp"].rename(tmp_path / "a – b 𝟘.toml")
    ended = study("spaces", "list", path, "--format", "json", env=os.environ | {"PYTHONIOENCODING": "latin-1"})
    assert json.loads(ended.stdout)[0]["file"] == str(path)


def test_a_closed_stream_is_not_the_next_file_that_is_opened(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "from study.streams import steady_streams\n"
        "with steady_streams():\n"
        "    with open(sys.argv[1], 'w') as file:\n"
        "        os.system('echo a warning of a library >&2')\n"
        "        print('dropped', file=sys.stderr, flush=True)\n"
        "        file.write(f'{file.fileno() > 2} {sys.stdin.read()!r}')\n"
    )
    ended = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", script, tmp_path / "file"], timeout=60
    )
    assert ended.returncode == 0
    assert (tmp_path / "file").read_text() == "True ''"


HANG_UP = """
import sys, time
from study.command import cli, verbs as commands

def wait(*_):
    print("ready", file=sys.stderr)
    time.sleep(60)

commands.VERBS["status"] = wait
sys.exit(cli.main(["status"]))
"""


@pytest.mark.skipif(shutil.which("setsid") is None, reason="only setsid makes a terminal a process's own")
def test_a_terminal_that_hangs_up_ends_the_command_with_the_signal_s_status() -> None:
    """Its own terminal, which takes the last words no more."""
    master, slave = pty.openpty()
    words = ["setsid", "--ctty", "--wait", sys.executable, "-c", HANG_UP]
    process = subprocess.Popen(words, stdin=slave, stdout=subprocess.DEVNULL, stderr=slave)
    os.close(slave)
    assert os.read(master, 5) == b"ready"
    os.close(master)
    assert process.wait(30) == 128 + signal.SIGHUP


def test_an_old_encoding_gets_signs_that_it_has() -> None:
    script = (
        "import sys\n"
        "from study.streams import steady_streams\n"
        "with steady_streams():\n"
        "    print('99.1 ± 0.2 % – 3 × 4 … −1 Ω \\udce9')\n"
        "    print('–', file=sys.stderr)\n"
    )
    for encoding, plus_minus in (("ascii", b"+/-"), ("latin-1", b"\xb1")):
        ended = run_script(script, capture_output=True, env=os.environ | {"PYTHONIOENCODING": encoding})
        times = b"x" if encoding == "ascii" else b"\xd7"
        assert ended.stdout == b"99.1 " + plus_minus + b" 0.2 % - 3 " + times + b" 4 ... -1 \\u03a9 \\udce9\n"
        assert (ended.returncode, ended.stderr) == (0, b"-\n")
