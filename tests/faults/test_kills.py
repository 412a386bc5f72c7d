"""Processes that are killed or stopped at random moments, while real training runs. Moments come from a seed, which is
printed with a failure."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import psutil
import pytest
from bench import Bench
from desk import Desk, forms, totals

from study.command.cli import main
from study.execution.executors import ProcessExecutor
from study.records.settings import load_settings
from study.records.trial import Origin, TrialRecord, read_trials
from study.search.agreement import compare_all
from study.search.driver import Search
from study.search.storage import open_storage, storage_url
from study.search.turns import Limits
from study.training.loop import TrainingData

SEED = 20260101
PATIENCE = 120.0  # seconds until something that must come is given up


def workers() -> list[int]:
    return [int(child.pid or 0) for child in multiprocessing.active_children() if child.name.startswith("worker-")]


def send(pid: int, signum: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)


@pytest.mark.parametrize("rounds", forms(3, 50))
def test_a_worker_that_is_killed_costs_its_trial_one_more_try(
    bench: Bench, training_data: TrainingData, rounds: int
) -> None:
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    shown: list[TrialRecord] = []

    def observe(_: Search, record: TrialRecord | None) -> None:
        if record is not None:
            shown.append(record)

    n_trials = 0
    with ProcessExecutor(2, training_data) as executor:
        for _ in range(rounds):
            killer = threading.Timer(rng.uniform(0.0, 0.5), lambda: send(rng.choice(workers()), signal.SIGKILL))
            killer.start()
            while killer.is_alive():
                n_trials += 3
                bench.open().run(executor, Limits(n_trials=n_trials), observe)
                bench.check()
                assert [record for record in shown if record not in bench.records] == []
                assert Counter(record.family for record in bench.counted) == {"mlp": n_trials, "cnn": n_trials}
    died = [record for record in bench.records if "its worker died" in (record.reason or "")]
    assert 0 < len(died) <= rounds
    deaths = Counter((record.family, record.draw) for record in died)  # two kills may hit one trial
    for before in died:
        after = next(r for r in bench.counted if (r.family, r.draw) == (before.family, before.draw))
        assert (after.seed, after.attempt) == (before.seed, 1 + deaths[before.family, before.draw])


def test_a_worker_that_stands_still_and_goes_on_is_told_once(bench: Bench, training_data: TrainingData) -> None:
    stopped: list[int] = []
    waited = 0

    def observe(_: Search, record: TrialRecord | None) -> None:
        nonlocal waited
        if not stopped:
            stopped.append(workers()[0])
            send(stopped[0], signal.SIGSTOP)
        elif record is None:
            waited += 1
            if waited == 3:  # nothing ends any more: the driver waits for it
                send(stopped[0], signal.SIGCONT)

    with ProcessExecutor(1, training_data) as executor:
        try:
            bench.open().run(executor, Limits(n_trials=3), observe)
        finally:
            for pid in stopped:
                send(pid, signal.SIGCONT)
    assert waited >= 3
    bench.check()
    assert len(bench.records) == 6
    assert {record.reason or "pruned" for record in bench.records if record.state == "FAIL"} == set()


@pytest.mark.parametrize("rounds", forms(2, 50))
def test_a_command_that_is_killed_loses_nothing_and_leaves_nobody(
    desk: Desk, rounds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(SEED)
    seen: list[tuple[str, Origin, int | None]] = []
    n_trials = 3 * rounds
    words = desk.words("search", "--n-trials", str(n_trials), "--quiet")
    for _ in range(rounds):
        children = _kill_after(desk, words, len(seen) + rng.randrange(3), rng.uniform(0.0, 0.3))
        _, alive = psutil.wait_procs(children, timeout=10)
        assert alive == [], f"seed {SEED}"
        assert [draw for draw in seen if draw not in desk.counted] == [], f"seed {SEED}"
        seen = desk.counted
    assert main(words) == 0, capsys.readouterr().err
    assert desk.n_counted == totals(n_trials)
    assert set(Counter(desk.counted).values()) == {1}
    _check(desk)


def _kill_after(desk: Desk, words: list[str], n_trials: int, seconds: float) -> list[psutil.Process]:
    """Kill the command a moment after it has recorded so many trials in all; returns what it had started."""
    process = subprocess.Popen([sys.executable, "-m", "study", *words], stderr=subprocess.PIPE)
    with process:
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and (not desk.files.trials_jsonl.exists() or len(desk.counted) < n_trials):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(seconds)
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.kill()
    return children


def _check(desk: Desk) -> None:
    """The database and trials.jsonl agree, and nothing is RUNNING."""
    settings, records = load_settings(desk.files.settings), read_trials(desk.files.trials_jsonl)
    storage = open_storage(storage_url(desk.files, None))
    assert compare_all(storage, settings, records, desk.files) == len(records)
    with storage.engine.connect() as connection:
        unfinished = "SELECT count(*) FROM trials WHERE state IN ('RUNNING', 'WAITING')"
        assert connection.exec_driver_sql(unfinished).scalar() == 0
