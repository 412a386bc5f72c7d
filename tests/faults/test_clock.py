"""A clock that is stepped back, and another time zone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo

import pytest
from bench import Bench, Stop, interrupting
from optuna.storages import _in_memory

from study.search.turns import Limits


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


class SteppedBack(datetime):
    """Every look at it is an hour before the last."""

    looks = 0

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        cls.looks += 1
        return datetime.now(tz) - timedelta(hours=cls.looks)


def test_a_clock_stepped_back_changes_no_duration(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_in_memory, "datetime", SteppedBack)
    bench.search(Limits(n_trials=3))
    bench.search(Limits(n_trials=5))
    bench.check()
    assert any(record.end < record.start for record in bench.records)
    assert all(0 <= record.held_seconds < 60 for record in bench.records)
    assert Counter(record.family for record in bench.counted) == {"mlp": 5, "cnn": 5}


def test_another_time_zone_resumes_the_study_as_it_was(bench: Bench, zone: pytest.MonkeyPatch) -> None:
    for n_trials, name in ((2, "UTC"), (4, "Pacific/Kiritimati"), (6, "America/St_Johns")):
        zone.setenv("TZ", name)
        time.tzset()
        before = bench.records
        with pytest.raises(Stop):
            bench.search(Limits(n_trials=n_trials), observe=interrupting(2))
        bench.search(Limits(n_trials=n_trials))
        assert bench.records[: len(before)] == before
        bench.check()
    ends = [record.end for record in bench.records]
    assert all(end.utcoffset() == timedelta(0) for end in ends)
    assert ends == sorted(ends)
