"""What is given to a study apart from its search: trained beside it, and seen by no sampler and no pruner."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from bench import Bench, Settings, Stop, interrupting, outcome, quality, work

from study.execution.jobs import Job, OnRung, Outcome
from study.records.paths import StudyFiles
from study.records.settings import PrunerName, SamplerName
from study.records.trial import TrialRecord, Trials
from study.search.driver import Search
from study.search.turns import Limits


@pytest.fixture
def apart(files: StudyFiles, make_settings: Settings) -> Iterator[Bench]:
    bench = Bench(files, make_settings(given="apart", sampler="tpe"))
    yield bench
    bench.close()


def of(trials: Trials, origin: str) -> list[dict[str, Any]]:
    chosen = sorted((t for t in trials.counted if t.origin == origin), key=lambda t: (t.family, t.draw or 0))
    return [outcome(trial) for trial in chosen]


def better_when_given(job: Job, on_rung: OnRung) -> Outcome:
    """Given trials, which come first, are better at every rung than whatever is drawn: they would prune it."""
    from bench import RUNGS, metrics

    given = int(job.id.rpartition("/")[2]) < 2
    for rung, examples in enumerate(RUNGS):
        if not on_rung(examples, metrics(0.99 if given else quality(job) * (rung + 1) / len(RUNGS))):
            break
    return Outcome(n_parameters=10, training_seconds=0.01)


def test_what_is_given_is_trained_beside_the_trials_asked_for(apart: Bench) -> None:
    apart.search(Limits(n_trials=3))
    apart.check()
    roles = Counter((record.family, record.role) for record in apart.records)
    assert roles == {(family, role): n for family in ("mlp", "cnn") for role, n in (("warm_start", 2), ("sampled", 3))}
    mlp = apart.records.of("mlp")
    assert [record.number for record in mlp.given] == [0, 1]
    assert {record.state for record in mlp.given} == {"COMPLETE"}
    assert [record.config["width"] for record in mlp.given] == [[24], [24, 16]]


@pytest.mark.parametrize("pruner", ["asha", "median", "hyperband"])
@pytest.mark.parametrize("sampler", ["tpe", "qmc", "random"])
def test_what_is_drawn_and_pruned_does_not_depend_on_what_is_given(
    files: StudyFiles, make_settings: Settings, sampler: SamplerName, pruner: PrunerName
) -> None:
    found = {}
    for n in (0, 2):
        bench = Bench(
            StudyFiles(files.root.parent / f"{n}"),
            make_settings(given="apart", warm_starts=n, sampler=sampler, pruner=pruner),
        )
        bench.files.root.mkdir()
        bench.search(Limits(n_trials=12), better_when_given if n else work)
        found[n] = of(bench.records, "found")
        assert len(of(bench.records, "given")) == 2 * n
        bench.close()
    assert found[0] == found[2]
    assert {trial["state"] for trial in found[0]} == {"COMPLETE", "PRUNED"}


def test_in_an_older_study_warm_starts_are_trials_of_the_search(files: StudyFiles, make_settings: Settings) -> None:
    bench = Bench(files, make_settings())
    for n_trials in (3, 5):
        search = bench.search(Limits(n_trials=n_trials))
        assert search.given == {}
    bench.close()
    roles = Counter((record.family, record.role) for record in bench.records)
    assert roles == {(family, role): n for family in ("mlp", "cnn") for role, n in (("warm_start", 2), ("sampled", 3))}
    assert bench.settings.given is None


def test_what_is_given_is_trained_once_however_often_the_search_goes_on(apart: Bench) -> None:
    for n_trials in (1, 2, 4):
        apart.search(Limits(n_trials=n_trials))
    apart.check()
    assert Counter(record.origin for record in apart.records) == {"given": 4, "found": 8}


def test_an_interrupted_study_finds_and_is_given_what_an_uninterrupted_one_is(
    files: StudyFiles, make_settings: Settings
) -> None:
    settings = make_settings(given="apart", sampler="tpe")
    whole, pieces = Bench(files, settings), Bench(StudyFiles(files.root.parent / "pieces"), settings)
    pieces.files.root.mkdir()
    whole.search(Limits(n_trials=10))
    for _ in range(100):
        try:
            pieces.search(Limits(n_trials=10), observe=interrupting(8))
            break
        except Stop:
            pieces.check()
    for origin in ("found", "given"):
        assert of(pieces.records, origin) == of(whole.records, origin)
    whole.close()
    pieces.close()


def test_what_is_given_spends_seconds_of_its_own(apart: Bench) -> None:
    """A family's search stops at its allowance whatever was given to it, and what is given at its own."""
    slow = 0.02

    def sleepy(job: Job, on_rung: OnRung) -> Outcome:
        time.sleep(slow)
        return work(job, on_rung)

    search = apart.search(Limits(allowance=4 * slow, given=10.0), sleepy)
    for family in ("mlp", "cnn"):
        given, found = search.given[family], search.families[family]
        assert [record.state for record in given.records] == ["COMPLETE"] * 2
        assert given.spent >= 2 * slow
        assert found.spent == pytest.approx(Trials(found.records).held_seconds)
        assert len(found.records) >= 2


def test_what_is_given_ends_with_its_own_seconds(apart: Bench) -> None:
    search = apart.search(Limits(n_trials=2, given=1e-9))
    assert all(len(given.records) == 1 and given.records[0].ending == "budget" for given in search.given.values())
    assert [len(family.records) for family in search.families.values()] == [2, 2]


def test_failures_of_what_is_given_stop_no_family(apart: Bench) -> None:
    def failing(job: Job, on_rung: OnRung) -> Outcome:
        if int(job.id.rpartition("/")[2]) < 2:
            raise ValueError("given and broken")
        return work(job, on_rung)

    search = apart.search(Limits(n_trials=2), failing)
    assert {record.state for given in search.given.values() for record in given.records} == {"FAIL"}
    assert {record.state for record in apart.records.found} <= {"COMPLETE", "PRUNED"}
    apart.check()


def test_a_further_search_of_the_study_is_given_nothing(apart: Bench) -> None:
    apart.settings = apart.settings.model_copy(update={"repeat_of": "first"})
    apart.search(Limits(n_trials=2))
    assert {record.origin for record in apart.records} == {"found"}


def test_a_small_space_is_searched_whole_whatever_was_given(files: StudyFiles, make_settings: Settings) -> None:
    space = make_settings().families["cnn"].space.replace("{ low = 4, high = 8 }", "{ choices = [4, 8] }")
    space = space.replace("{ low = 1e-3, high = 5e-2, log = true }", "{ choices = [1e-2, 2e-2] }")
    bench = Bench(files, make_settings({"cnn": space}, given="apart"))
    bench.search(Limits(n_trials=9))
    bench.close()
    drawn = bench.records.found
    assert len(drawn) == len({(t.config["width"], t.config["learning_rate"]) for t in drawn}) == 4
    assert len(bench.records.given) == 2


def test_the_best_of_a_family_s_search_was_found(apart: Bench) -> None:
    bests: list[TrialRecord | None] = []

    def observe(search: Search, record: TrialRecord | None) -> None:
        bests.extend(family.best for family in search.families.values())

    apart.search(Limits(n_trials=3), better_when_given, observe=observe)
    assert {best.origin for best in bests if best is not None} == {"found"}
    best = apart.records.of("mlp").given.ranked[0]
    assert replace(best, number=0).value == 0.99
