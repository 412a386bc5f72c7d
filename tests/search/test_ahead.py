"""Proposals that a process beside the driver draws: the same ones, and a search that needs none of them to go on."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import pytest
from bench import Bench, Settings

from study.records.paths import StudyFiles
from study.records.trial import TrialRecord
from study.search import ahead, driver
from study.search.ahead import Ahead, Pace
from study.search.drawing import Drawing, Terms, answer
from study.search.driver import Search
from study.search.family import Proposal
from study.search.turns import Limits


class Inline:
    """The other side of a pipe, in this process."""

    def __init__(self, terms: Terms) -> None:
        self._drawing = Drawing(terms)
        self._answers: list[bytes] = []

    def send_bytes(self, orders: bytes) -> None:
        self._answers.append(answer(self._drawing, orders))

    def poll(self) -> bool:
        return bool(self._answers)

    def recv_bytes(self) -> bytes:
        return self._answers.pop()

    def close(self) -> None: ...


@pytest.fixture
def bench(files: StudyFiles, make_settings: Settings) -> Bench:
    return Bench(files, make_settings(sampler="tpe", neighbours=True))


def test_what_is_drawn_ahead_is_what_the_driver_would_draw(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_FEWEST", 1)
    bench.search(Limits(n_trials=14))
    search = bench.open()
    chooser = search._chooser
    beside = Ahead(Inline(Ahead.terms(search._settings, search.families)), chooser.neighbour)  # type: ignore[arg-type]
    kinds = set()
    for turn in range(8):
        for family in search.families.values():
            beside.look({family.name: family})
            beside.look({family.name: family})
            drawn = beside.take(family)
            assert drawn is not None
            family.history.plan_ahead(0)  # the driver, too, looks again at what there is
            by_itself = chooser.choose(family, Proposal({}, "sampled"), drawn.draw, in_haste=True)
            assert (drawn.parameters, drawn.config) == (by_itself.parameters, by_itself.config)
            assert drawn.distributions == by_itself.distributions
            kinds.add(bool(chooser.neighbour(family, drawn.draw)))
            trial = search._mirror.ask(family.study, drawn)  # it begins, and every other one ends
            if turn % 2:
                trial.report(0.1 * turn, 100)
                search._mirror.tell(trial, 0.1 * turn, driver.TrialState.COMPLETE)
    assert kinds == {False, True}
    bench.close()


class Busy(Pace):
    def is_busy(self, now: float, waited: float) -> bool:
        return True


def searched(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    observe: Callable[[Search, TrialRecord | None], None] = lambda *_: None,
) -> int:
    """A search by a driver that is busy from the beginning; returns how many of its proposals were drawn ahead."""
    taken, begun = Counter[str](), list[Connection]()
    take, start = Ahead.take, driver.start_drawing

    def counted(self: Ahead, family: driver.FamilySearch) -> driver.Drawn | None:
        drawn = take(self, family)
        taken[family.name] += drawn is not None
        return drawn

    def started(terms: Terms) -> Connection:
        begun.append(start(terms))
        return begun[-1]

    monkeypatch.setattr(Ahead, "take", counted)
    monkeypatch.setattr(driver, "start_drawing", started)
    monkeypatch.setattr(driver, "Pace", Busy)
    bench.search(Limits(n_trials=90), n_workers=20, observe=observe)
    assert len(begun) == 1
    assert Counter(record.family for record in bench.counted) == {"mlp": 90, "cnn": 90}
    draws = [(record.family, record.draw) for record in bench.counted]
    assert len(set(draws)) == len(draws)
    bench.check()
    return taken.total()


def drawing() -> list[BaseProcess]:
    return [child for child in multiprocessing.active_children() if child.name == "drawing"]


def test_a_busy_driver_has_its_proposals_drawn_beside_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def wait(search: Search, _: TrialRecord | None) -> None:
        beside = search._ahead
        if beside is not None and beside._ordered:
            beside._connection.poll(60)  # its process may still be starting when these short trials are over

    assert searched(bench, monkeypatch, wait) > 20
    for process in drawing():  # it ends with the search
        process.join(10)
        assert process.exitcode == 0
    assert "created in memory" not in capfd.readouterr().err


def test_where_that_process_is_killed_the_driver_draws_by_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []

    def kill(*_: object) -> None:
        time.sleep(0.002)
        for process in drawing():
            if len(bench.records) > 30 and not killed and process.pid is not None:
                process.kill()
                killed.append(process.pid)

    searched(bench, monkeypatch, kill)
    assert killed


def test_a_driver_that_waits_for_its_workers_is_not_busy() -> None:
    pace = Pace(0.0)
    assert not pace.is_busy(1.0, 0.0)  # too soon to tell
    assert pace.is_busy(4.0, 0.5)
    assert not pace.is_busy(5.0, 0.0)
    assert not pace.is_busy(8.0, 2.0)
