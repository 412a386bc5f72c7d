"""Random sequences of what happens to a study: it is searched, interrupted, killed, looked at; nothing is ever lost."""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from bench import Bench, PowerFailure, Settings, Stop, interrupting, power_until, work
from desk import forms
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from study.command.status import study_status
from study.execution.executors import InProcessExecutor
from study.records.paths import StudyFiles
from study.records.settings import save_settings
from study.records.trial import TrialRecord
from study.records.trials_csv import write_trials_csv
from study.report.page import write_report
from study.search.driver import Search
from study.search.turns import Limits

MOST_TRIALS = 6


@pytest.mark.parametrize("sequences", forms(6, 200))
def test_whatever_happens_nothing_is_lost(make_settings: Settings, sequences: int) -> None:
    class Life(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.folder = tempfile.TemporaryDirectory()
            files = StudyFiles(Path(self.folder.name) / "tiny")
            files.root.mkdir()
            self.bench = Bench(files, make_settings())
            save_settings(self.bench.settings, files.settings)
            self.shown: list[TrialRecord] = []
            self.goal = 0

        def observe(self, _: Search, record: TrialRecord | None) -> None:
            if record is not None:
                self.shown.append(record)

        @rule(more=st.integers(0, 2), n_workers=st.integers(1, 3))
        def search(self, more: int, n_workers: int) -> None:
            self.goal = min(self.goal + more, MOST_TRIALS)
            self.bench.search(Limits(n_trials=self.goal), n_workers=n_workers, observe=self.observe)
            self.bench.check()
            counted = Counter(record.family for record in self.bench.counted)
            assert (counted["mlp"], counted["cnn"]) == (self.goal, self.goal)

        @rule(more=st.integers(1, 2), at=st.integers(1, 12), n_workers=st.integers(1, 3))
        def interrupt(self, more: int, at: int, n_workers: int) -> None:
            self.goal = min(self.goal + more, MOST_TRIALS)
            stop = interrupting(at)

            def observe(search: Search, record: TrialRecord | None) -> None:
                self.observe(search, record)
                stop(search, record)

            with contextlib.suppress(Stop):
                self.bench.search(Limits(n_trials=self.goal), n_workers=n_workers, observe=observe)
            self.bench.check()

        @rule(more=st.integers(1, 2), statement=st.integers(1, 120))
        def kill(self, more: int, statement: int) -> None:
            """From some SQL statement on nothing reaches the disk."""
            self.goal = min(self.goal + more, MOST_TRIALS)
            with contextlib.suppress(PowerFailure), power_until(statement), InProcessExecutor(1, work) as executor:
                self.bench.open().run(executor, Limits(n_trials=self.goal), self.observe)

        @precondition(lambda self: self.bench.records)
        @rule()
        def look(self) -> None:
            before = self.bench.records
            write_trials_csv(self.bench.files, before, self.bench.settings.format_version)
            write_report(self.bench.files)
            study_status(self.bench.files)
            assert self.bench.records == before

        def teardown(self) -> None:
            self.search(more=0, n_workers=1)
            assert [record for record in self.shown if record not in self.bench.records] == []
            draws = Counter((record.family, record.draw) for record in self.bench.counted)
            assert set(draws.values()) <= {1}
            self.bench.close()
            self.folder.cleanup()

    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=sequences,
            stateful_step_count=6,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
