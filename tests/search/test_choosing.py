"""Who proposes what: the surrogate, the best trials' neighbours and the sampler in turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from bench import Bench, Settings

from study.records.paths import StudyFiles
from study.records.settings import N_STARTUP_TRIALS
from study.search.choosing import Chooser
from study.search.driver import Search
from study.search.family import Proposal
from study.search.leaders import Leaders
from study.search.surrogate import Surrogate
from study.search.tpe import KeptTPE
from study.search.turns import FEW_WORKERS, MANY_WORKERS, Limits


def who_proposes(search: Search, monkeypatch: pytest.MonkeyPatch, *, in_haste: bool) -> list[str]:
    """For the draws 8 to 15 of a family that has seen its random start."""
    asked: list[str] = []

    def noted(name: str, of: Any, method: str) -> None:
        whole = getattr(of, method)

        def call(*arguments: Any, **more: Any) -> Any:
            asked.append(name)
            return whole(*arguments, **more)

        monkeypatch.setattr(of, method, call)

    noted("surrogate", Surrogate, "proposal")
    noted("neighbour", Leaders, "neighbour")
    noted("tpe", KeptTPE, "sample_relative")
    family = search.families["mlp"]
    for draw in range(8, 16):
        search._chooser.choose(family, Proposal({}, "sampled"), draw, in_haste=in_haste)
    return asked


@pytest.fixture
def bench(files: StudyFiles, make_settings: Settings) -> Bench:
    bench = Bench(files, make_settings(sampler="tpe", neighbours=True, surrogate=True, warm_starts=0))
    bench.search(Limits(n_trials=N_STARTUP_TRIALS))
    return bench


def test_half_of_the_proposals_are_the_surrogates_and_half_of_the_rest_near_the_best(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = ["tpe", "surrogate", "neighbour", "surrogate"]
    assert who_proposes(bench.open(), monkeypatch, in_haste=False) == 2 * turns


def test_in_haste_the_surrogate_is_not_asked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert who_proposes(bench.open(), monkeypatch, in_haste=True) == 4 * ["tpe", "neighbour"]


def test_with_many_workers_there_is_haste(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    hurried = set()
    choose = Chooser.choose

    def noted(*arguments: Any, in_haste: bool) -> Any:
        hurried.add(in_haste)
        return choose(*arguments, in_haste=in_haste)

    monkeypatch.setattr(Chooser, "choose", noted)
    bench.search(Limits(n_trials=N_STARTUP_TRIALS + 2), n_workers=MANY_WORKERS)
    assert hurried == {False}
    hurried.clear()
    bench.search(Limits(n_trials=N_STARTUP_TRIALS + 4), n_workers=MANY_WORKERS + 1)
    assert hurried == {True}


def test_with_some_workers_there_is_haste_while_the_driver_is_busy(bench: Bench) -> None:
    search = bench.open()
    for n_workers, was_busy, in_haste in ((FEW_WORKERS, True, False), (3, False, False), (3, True, True)):
        search._n_workers = lambda n=n_workers: n  # type: ignore[misc]
        search._pace.was_busy = was_busy
        assert search._in_haste is in_haste


def test_the_first_trials_are_drawn_at_random(files: StudyFiles, make_settings: Settings) -> None:
    found: list[Mapping[str, Any]] = []
    for number, beside in enumerate((True, False)):
        bench = Bench(StudyFiles(files.root.parent / f"{number}"), make_settings(surrogate=beside, warm_starts=0))
        bench.files.root.mkdir()
        found += [
            record.parameters for record in bench.search(Limits(n_trials=N_STARTUP_TRIALS)).families["mlp"].records
        ]
    assert found[:N_STARTUP_TRIALS] == found[N_STARTUP_TRIALS:]
