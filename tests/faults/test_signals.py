"""A signal at every stage of `study run`, one after the other on one study: each command ends with the signal's status
and says how to go on, and the last one finishes."""

from __future__ import annotations

import os
import pkgutil
import signal
from collections.abc import Callable
from typing import Any

import pytest
from desk import Desk, totals

from study.command.cli import main
from study.records.files import read_json
from study.records.paths import done_runs
from study.records.trial import Origin

# Where the signal comes, at which call of that function within the command, and which signal it is.
MOMENTS = [
    ("study.search.draft.sample", 2, signal.SIGINT),  # in the middle of an ask
    ("study.search.driver.Search._report", 2, signal.SIGTERM),  # a rung was validated
    ("study.search.driver.append_trials", 1, signal.SIGXCPU),  # a tell, between the two writes
    ("study.records.trials_csv.write_csv", 1, signal.SIGINT),  # the end of the search
    ("study.dashboard.watch.RetrainWatch.begin", 1, signal.SIGUSR2),
    ("study.dashboard.watch.RetrainWatch.report", 2, signal.SIGHUP),
    ("study.retraining.finalists.Retraining.save", 1, signal.SIGINT),
    ("study.evaluation.test_set.write_npz", 1, signal.SIGTERM),  # the test split is open, nothing is written
    ("study.evaluation.ensemble.run", 1, signal.SIGHUP),
    ("study.report.page.make", 1, signal.SIGINT),
]


def signalling(original: Callable[..., Any], at: int, signum: signal.Signals) -> Callable[..., Any]:
    calls = 0

    def call(*words: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            os.kill(os.getpid(), signum)
        return original(*words, **named)

    return call


def test_a_signal_at_any_stage_ends_the_command_and_the_next_one_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = desk.words("run", "--n-trials", "2", "--quiet")
    before: list[tuple[str, Origin, int | None]] = []
    for place, at, signum in MOMENTS:
        owner_name, _, name = place.rpartition(".")
        owner = pkgutil.resolve_name(owner_name)
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, signalling(getattr(owner, name), at, signum))
            status = main(words)
        err = capsys.readouterr().err
        assert status == 128 + signum, f"{place}: {err}"
        assert f"interrupted by {signum.name}" in err, place
        assert "continue with: study run" in err, place
        assert "Traceback" not in err, place
        assert [trial for trial in before if trial not in desk.counted] == [], place
        before = desk.counted
    assert main(words) == 0, capsys.readouterr().err
    assert desk.n_counted == totals(2)
    assert len(done_runs(desk.files)) == 2 * (2 + 1 + 3)  # candidates found and given, then final runs
    assert len(read_json(desk.files.seal)["openings"]) == 1
    assert desk.files.report_html.exists()
    assert not list(desk.files.root.rglob("*.part"))
