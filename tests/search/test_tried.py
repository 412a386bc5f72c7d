"""No configuration is paid for twice unawares: small spaces are searched whole, and further seeds are called so."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bench import Bench, Settings, Stop, interrupting, outcomes, work

from study.errors import FamilyStoppedError
from study.execution.jobs import Job, OnRung, Outcome
from study.execution.worker import DriverLeftError
from study.records.paths import StudyFiles
from study.records.trial import read_trials
from study.records.trials_csv import write_trials_csv
from study.search.imports import import_trials
from study.search.turns import Limits
from study.space.points import identity

FIXED = """\
family = "mlp"
normalisation = "none"
dropout = 0.0
optimizer = "sgd"
augmentation = "none"
"""
TWO_POINTS = (
    FIXED + 'depth = 1\nwidth = [8]\nbatch_size = 32\nlearning_rate = 0.1\nactivation.choices = ["relu", "tanh"]\n'
)
BRANCHED = (
    FIXED
    + """\
activation = "relu"
depth = { low = 1, high = 2 }
width = { repeat = "depth", choices = [8, 16] }
batch_size = 32
warmup = { choices = [0.1, 0.2], when = { depth = 1 } }
learning_rate = { low = 0.1, high = 0.2, step = 0.1 }
"""
)  # 2 * (2 * 2 + 4) = 16 configurations
HALF_ENDLESS = (
    FIXED.replace('optimizer = "sgd"', 'optimizer = { choices = ["sgd", "adam", "nadam"] }')
    + """\
depth = 1
width = [8]
batch_size = 32
activation = "relu"
[[parameter]]
name = "learning_rate"
when = { optimizer = "sgd" }
low = 0.01
high = 0.1
[[parameter]]
name = "learning_rate"
when = { optimizer = ["adam", "nadam"] }
choices = [0.01]
"""
)
SAMPLERS = ["tpe", "random", "qmc", "grid"]


@pytest.fixture
def bench_of(files: StudyFiles, make_settings: Settings) -> Iterator[Callable[..., Bench]]:
    """A study of one family with this space, in a folder of its own at each call."""
    made: list[Bench] = []

    def make(space: str, **fields: Any) -> Bench:
        own = StudyFiles(files.root.parent / f"bench-{len(made)}" / "tiny")
        own.root.mkdir(parents=True)
        made.append(Bench(own, make_settings({"mlp": space}, warm_starts=0, **fields)))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


def identities(bench: Bench) -> list[str]:
    return [identity(record.config) for record in bench.counted]


@pytest.mark.parametrize("n_workers", [1, 3])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_space_of_two_points_is_searched_whole(bench_of: Callable[..., Bench], sampler: str, n_workers: int) -> None:
    bench = bench_of(TWO_POINTS, sampler=sampler)
    search = bench.search(Limits(n_trials=10), n_workers=n_workers)
    assert sorted(record.config["activation"] for record in bench.records) == ["relu", "tanh"]
    assert search.families["mlp"].is_whole
    bench.search(Limits(n_trials=10), n_workers=n_workers)
    assert len(bench.records) == 2
    bench.check()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_small_space_with_branches_is_tried_point_by_point(bench_of: Callable[..., Bench], sampler: str) -> None:
    bench = bench_of(BRANCHED, sampler=sampler)
    bench.search(Limits(n_trials=12), n_workers=2)
    assert len(set(identities(bench))) == 12
    bench.search(Limits(allowance=1e6), n_workers=2)
    assert len(set(identities(bench))) == len(bench.counted) == 16
    assert all(record.further_seed_of is None for record in bench.records)
    bench.check()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_interrupted_search_of_a_small_space_finds_what_an_uninterrupted_one_finds(
    bench_of: Callable[..., Bench], sampler: str
) -> None:
    whole, pieces = bench_of(BRANCHED, sampler=sampler), bench_of(BRANCHED, sampler=sampler)
    whole.search(Limits(n_trials=20))
    for _ in range(20):
        try:
            pieces.search(Limits(n_trials=20), observe=interrupting(5))
        except Stop:
            continue
        break
    assert outcomes(pieces) == outcomes(whole)
    pieces.check()


def test_a_grid_is_walked_in_an_order_of_the_study_s_seed(bench_of: Callable[..., Bench]) -> None:
    orders = []
    for seed in (1, 1, 2):
        bench = bench_of(BRANCHED, sampler="grid", seed=seed)
        bench.search(Limits(n_trials=16))
        orders.append(identities(bench))
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2])


def test_a_configuration_that_fails_is_tried(bench_of: Callable[..., Bench]) -> None:
    def failing(job: Job, on_rung: OnRung) -> Outcome:
        if job.config["activation"] == "tanh":
            raise ValueError("no")
        return work(job, on_rung)

    for sampler in ("random", "grid"):
        bench = bench_of(TWO_POINTS, sampler=sampler)
        bench.search(Limits(n_trials=10), failing)
        assert Counter(record.state for record in bench.records) == {"COMPLETE": 1, "FAIL": 1}
    only = bench_of(TWO_POINTS.replace('"relu", ', ""))
    with pytest.raises(FamilyStoppedError, match="has no trial that did not fail, of 1"):
        only.search(Limits(n_trials=10), failing)


def test_a_dead_worker_s_configuration_is_tried_again(bench_of: Callable[..., Bench]) -> None:
    deaths = iter([True, False, True])

    def fragile(job: Job, on_rung: OnRung) -> Outcome:
        if next(deaths, False):
            raise DriverLeftError
        return work(job, on_rung)

    bench = bench_of(BRANCHED, sampler="grid")
    bench.search(Limits(n_trials=50), fragile)
    assert len(set(identities(bench))) == len(bench.counted) == 16
    assert len(bench.records) == 18
    bench.check()


def test_a_configuration_that_is_drawn_again_is_a_further_seed(bench_of: Callable[..., Bench]) -> None:
    """Two of the three optimizers have one configuration each: of 12 random draws most are of them."""
    bench = bench_of(HALF_ENDLESS, sampler="random", pruner="none")
    bench.search(Limits(n_trials=12), n_workers=2)
    firsts: dict[str, int] = {}
    for record in sorted(bench.records, key=lambda record: record.number):
        first = firsts.setdefault(identity(record.config), record.number)
        assert record.further_seed_of == (None if first == record.number else first)
    further = [record for record in bench.records if record.further_seed_of is not None]
    assert further
    assert len({record.seed for record in bench.records}) == 12
    write_trials_csv(bench.files, bench.records, 2)
    with bench.files.trials_csv.open(newline="") as stream:
        column = [row["further_seed_of"] for row in csv.DictReader(stream)]
    assert sorted(filter(None, column)) == sorted(str(record.further_seed_of) for record in further)
    bench.check()


def test_a_grid_goes_on_from_imported_trials(bench_of: Callable[..., Bench]) -> None:
    old, new = bench_of(BRANCHED, sampler="random"), bench_of(BRANCHED, sampler="grid")
    old.search(Limits(n_trials=6))
    import_trials(new.files, new.settings, new.storage(), old.files, {"mlp"})
    assert len(read_trials(new.files.trials_jsonl)) == 6
    new.search(Limits(n_trials=100))
    assert len(set(identities(new))) == len(new.counted) == 16


def test_further_seeds_are_imported_as_that_under_their_new_numbers(bench_of: Callable[..., Bench]) -> None:
    old, new = (bench_of(HALF_ENDLESS, sampler="random", pruner="none") for _ in range(2))
    old.search(Limits(n_trials=8))
    import_trials(new.files, new.settings, new.storage(), old.files, {"mlp"})
    firsts: dict[str, int] = {}
    for record in new.records:
        first = firsts.setdefault(identity(record.config), record.number)
        assert record.further_seed_of == (None if first == record.number else first)
    assert len(firsts) < len(new.records) == 8
    new.check()
