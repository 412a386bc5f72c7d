from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from study.errors import Interrupted
from study.interrupts import catching_signals, requested, shielded

NOTICES = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU]  # of batch systems


@pytest.mark.parametrize("signum", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM, *NOTICES])
def test_a_signal_becomes_an_exception_with_its_exit_status(signum: signal.Signals) -> None:
    with pytest.raises(Interrupted) as caught, catching_signals():
        os.kill(os.getpid(), signum)
    assert caught.value.signum == signum
    assert caught.value.exit_status == 128 + signum
    assert signum.name in str(caught.value)


def test_no_library_that_suppresses_its_own_errors_swallows_a_signal() -> None:
    with pytest.raises(Interrupted), catching_signals(), contextlib.suppress(Exception):
        os.kill(os.getpid(), signal.SIGTERM)


def test_handlers_are_put_back() -> None:
    signals = [signal.SIGHUP, signal.SIGINT, signal.SIGTERM, *NOTICES]
    before = [signal.getsignal(s) for s in signals]
    with catching_signals():
        assert signal.getsignal(signal.SIGTERM) != before[2]
    assert [signal.getsignal(s) for s in signals] == before


def test_a_shield_holds_the_signal_back_until_the_outermost_ends() -> None:
    done = []
    with pytest.raises(Interrupted) as caught, catching_signals():  # noqa: PT012
        with shielded():
            with shielded():
                os.kill(os.getpid(), signal.SIGTERM)
                done.append("inner")
            done.append("outer")
        done.append("never")
    assert done == ["inner", "outer"]
    assert caught.value.signum == signal.SIGTERM


def test_a_signal_is_told_once() -> None:
    with catching_signals():
        with pytest.raises(Interrupted), shielded():
            os.kill(os.getpid(), signal.SIGTERM)
        with shielded():
            pass


def test_a_shield_without_a_signal_does_nothing() -> None:
    with catching_signals(), shielded():
        pass


def test_other_threads_leave_the_handlers_alone() -> None:
    seen = []

    def block() -> None:
        with catching_signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=block)
    thread.start()
    thread.join()
    assert seen == [before]


def _run(script: str) -> int:
    return subprocess.run([sys.executable, "-c", script], check=False, timeout=30).returncode


def test_the_second_signal_ends_the_process_at_once() -> None:
    script = """
import os, signal
from study.interrupts import catching_signals
with catching_signals():
    try:
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(1)
"""
    assert _run(script) == 128 + signal.SIGTERM


def test_the_second_signal_ends_the_process_at_once_within_a_shield_too() -> None:
    script = """
import os, signal
from study.interrupts import catching_signals, requested, shielded
with catching_signals(), shielded():
    os.kill(os.getpid(), signal.SIGINT)
    assert requested()
    os.kill(os.getpid(), signal.SIGHUP)
"""
    assert _run(script) == 128 + signal.SIGHUP


def test_a_signal_is_forgotten_with_the_command_that_it_ended() -> None:
    with pytest.raises(Interrupted), catching_signals():
        os.kill(os.getpid(), signal.SIGTERM)
    assert not requested()


def test_what_is_ignored_from_the_start_stays_so() -> None:
    """Under nohup, or by a job script's trap."""
    script = """
import os, signal
from study.interrupts import catching_signals
ignored = (signal.SIGHUP, signal.SIGUSR1, signal.SIGXCPU)
for signum in ignored:
    signal.signal(signum, signal.SIG_IGN)
with catching_signals():
    for signum in ignored:
        os.kill(os.getpid(), signum)
raise SystemExit(7)
"""
    assert _run(script) == 7


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGUSR1])
def test_a_notice_that_is_repeated_cuts_nothing_short(first: signal.Signals) -> None:
    """SIGXCPU comes every second, and while the first signal is held back as well."""
    done = []
    with pytest.raises(Interrupted) as caught, catching_signals():  # noqa: PT012
        try:
            with shielded():
                for signum in (first, *NOTICES):
                    os.kill(os.getpid(), signum)
                done.append("written")
        finally:
            os.kill(os.getpid(), signal.SIGXCPU)
            done.append("ended")
    assert (caught.value.signum, done) == (first, ["written", "ended"])


def test_a_notice_while_the_process_ends_does_not_change_its_status() -> None:
    """SIGXCPU comes every second once the CPU time is used up."""
    script = (
        "import atexit, os, signal, sys\n"
        "from study.command import cli\n"
        "atexit.register(os.kill, os.getpid(), signal.SIGXCPU)\n"
        "sys.argv[1:] = ['--version']\n"
        "sys.exit(cli.main())\n"
    )
    assert subprocess.run([sys.executable, "-c", script], stdout=subprocess.DEVNULL, timeout=60).returncode == 0
