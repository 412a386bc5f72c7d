"""Searches of one study side by side, with real processes that are interrupted, killed and continued."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_spaces import TINY_SPACES

from study.command.cli import main
from study.records.ledger import read_ledger
from study.records.paths import StudyFiles
from study.records.settings import RetrainSettings, load_settings
from study.records.trial import read_trials
from study.search.agreement import compare_all
from study.search.storage import open_storage, storage_url
from study.stages import plan

PATIENCE = 300.0  # seconds until something that must come is given up
BESIDE = """\
import sys
from study.stages import plan
plan.searches_at_once = lambda n, *_: n  # as on a machine of many cores
from study.command.cli import main
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("n_searches", "n_workers", "n_families", "expected"),
    [(3, 2, 2, 1), (1, 64, 2, 1), (3, 15, 2, 1), (3, 16, 2, 2), (3, 24, 2, 3), (5, 256, 2, 5), (3, 32, 4, 2)],
)
def test_each_of_those_at_once_has_the_workers_that_its_runs_keep_busy(
    n_searches: int, n_workers: int, n_families: int, expected: int
) -> None:
    retrain = RetrainSettings(candidates=4, candidate_seeds=1, final_seeds=3)
    assert plan.searches_at_once(n_searches, n_workers, retrain, n_families) == expected


def wait_for_trials(folders: list[StudyFiles], n: int, is_alive: Callable[[], bool]) -> None:
    """Until each search has recorded so many."""
    deadline = time.monotonic() + PATIENCE
    while is_alive() and any(len(read_trials(folder.trials_jsonl)) < n for folder in folders):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_searches_side_by_side_are_interrupted_killed_and_continued_and_lose_nothing(
    tmp_path: Path, write_idx: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlp.toml").write_text(TINY_SPACES["mlp"])
    (tmp_path / "beside.py").write_text(BESIDE)
    flags = ["--results", tmp_path, "--name", "pair", "--data-dir", write_idx(tmp_path / "digits"), "--workers", "2"]
    flags += ["--space", tmp_path / "mlp.toml", "--families", "mlp", "--quiet"]
    words = ["run", *map(str, flags), "--no-evaluate", "--repeats", "2", "--n-trials", "100000"]
    first = StudyFiles(tmp_path / "pair")
    folders = [first, first.repeat(2)]
    with subprocess.Popen([sys.executable, str(tmp_path / "beside.py"), *words]) as process:
        wait_for_trials(folders, 3, lambda: process.poll() is None)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    monkeypatch.setattr(plan, "searches_at_once", lambda n, *_: n)

    def interrupt() -> None:
        wait_for_trials(folders, 6, lambda: True)
        os.kill(os.getpid(), signal.SIGTERM)

    watching = threading.Thread(target=interrupt)
    watching.start()
    assert main(words) == 128 + signal.SIGTERM
    watching.join()
    seen = [read_trials(folder.trials_jsonl) for folder in folders]
    for trials in seen:
        assert {trial.reason for trial in trials if not trial.counted} >= {"interrupted: interrupted by SIGTERM"}
    n = 2 + max(sum(trial.origin == "found" for trial in trials.counted) for trials in seen)
    assert main(["search", *map(str, flags), "--n-trials", f"{n}"]) == 0
    for folder, before in zip(folders, seen, strict=True):
        trials = read_trials(folder.trials_jsonl)
        assert list(trials)[: len(before)] == list(before)
        draws = Counter((trial.origin, trial.draw) for trial in trials.counted)
        assert set(draws.values()) == {1}
        assert sum(origin == "found" for origin, _ in draws) == n
        storage = open_storage(storage_url(folder, None))
        assert compare_all(storage, load_settings(folder.settings), trials, folder) == len(trials)
        storage.engine.dispose()
    ledgers = [read_ledger(folder.ledger) for folder in folders]
    assert [len(ledger.commands) for ledger in ledgers] == [3, 3]
    assert all(ledger.has_reached("search", ledgers[0].goal) for ledger in ledgers)
