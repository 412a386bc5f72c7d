from __future__ import annotations

import itertools
from typing import Any

import pytest

from study.records.settings import Ladder
from study.stages.ladder import choose_ladder, images_of_trials, made_alike

N_TRAIN = 50_000


def test_a_ladder_triples_up_to_what_a_24th_of_the_allowance_buys() -> None:
    ladder = choose_ladder(N_TRAIN, 10_000.0, 360.0)  # 150,000 examples in 15 s: three epochs
    assert ladder.examples[-1] == 3 * N_TRAIN
    assert len(ladder.examples) == 3  # a fourth rung would lie at a ninth of an epoch
    for low, high in zip(ladder.examples, ladder.examples[1:], strict=False):
        assert high / low == pytest.approx(3, rel=1e-3)


@pytest.mark.parametrize(("speed", "allowance"), [(1.0, 10.0), (1e3, 60.0), (1e5, 60.0), (1e6, 1e5)])
def test_every_ladder_is_usable(speed: float, allowance: float) -> None:
    examples = choose_ladder(N_TRAIN, speed, allowance).examples
    assert list(examples) == sorted(set(examples))
    assert examples[0] >= 0.05 * N_TRAIN or len(examples) == 1


@pytest.mark.parametrize(("epochs", "n_rungs"), [(0.25, 1), (0.5, 2), (0.75, 2), (1, 2), (1.5, 2), (2, 3), (4, 3)])
def test_a_first_rung_is_no_shorter_than_a_fifth_of_an_epoch_unless_it_is_one_of_two(
    epochs: float, n_rungs: int
) -> None:
    examples = choose_ladder(N_TRAIN, 10_000.0, epochs * N_TRAIN / 10_000 * (24 if epochs > 0.5 else 12)).examples
    assert len(examples) == n_rungs


def test_up_to_half_an_epoch_the_top_rung_may_cost_a_twelfth() -> None:
    assert choose_ladder(N_TRAIN, 10_000.0, 30.0).examples[-1] == N_TRAIN // 2
    assert choose_ladder(N_TRAIN, 10_000.0, 60.0).examples[-1] == N_TRAIN // 2
    assert choose_ladder(N_TRAIN, 10_000.0, 15.0).examples[-1] == N_TRAIN // 4


@pytest.mark.parametrize("speed", [1000.0, 200.0])
def test_a_machine_that_is_too_slow_for_an_eighth_of_an_epoch_keeps_the_time_of_the_search(speed: float) -> None:
    """As 16 workers on a quota of two cores, or on a processor of long ago."""
    allowed, wall = 20.0, 10.0
    assert choose_ladder(N_TRAIN, speed, allowed).examples == (N_TRAIN // 8,)
    (examples,) = choose_ladder(N_TRAIN, speed, allowed, wall).examples
    assert examples / speed <= wall / 4 + 1e-3
    assert choose_ladder(N_TRAIN, 10_000.0, allowed, wall) == choose_ladder(N_TRAIN, 10_000.0, allowed)


@pytest.mark.parametrize("n_workers", [4, 16, 64])
def test_no_stretch_between_rungs_takes_much_of_the_search(n_workers: int) -> None:
    wall, speed = 100.0, 5_000.0
    rungs = (0, *choose_ladder(N_TRAIN, speed, wall * n_workers / 2, wall).examples)
    longest = max(high - low for low, high in itertools.pairwise(rungs))
    assert longest / speed <= wall / 4 + 1e-3


def test_without_a_budget_the_ladder_depends_on_nothing_measured() -> None:
    assert choose_ladder(N_TRAIN, None, None) == choose_ladder(N_TRAIN, 5.0, None)
    assert choose_ladder(N_TRAIN, None, None).examples[-1] == 2 * N_TRAIN


@pytest.mark.parametrize(
    ("n_train", "times", "n_images"),
    [
        (50_000, 4.0, 10_000),
        (50_000, 3.0, 15_000),
        (50_000, 40.0, 10_000),
        (50_000, 1.6, 30_000),
        (50_000, 1.0, None),
        (50_000, 0.5, None),
        (12_000, 3.0, 5000),
        (5000, 3.0, None),
        (300, 3.0, None),
    ],
)
def test_a_trial_sees_its_images_about_as_often_as_the_long_run_sees_all(
    n_train: int, times: float, n_images: int | None
) -> None:
    assert images_of_trials(n_train, times) == n_images


def ladder(images: int | None, **more: Any) -> Ladder:
    return Ladder(examples=(100, 300), reduction_factor=3, images=images, **more)


@pytest.mark.parametrize(
    ("new", "others", "images"),
    [
        ([5000], [], 5000),
        ([8000, 5000], [], 5000),
        ([8000, None], [], 8000),
        ([None], [], None),
        ([5000], [8000], 8000),
        ([None], [8000], 8000),
        ([5000], [8000, None], None),
    ],
)
def test_all_families_learn_from_as_many_images(
    new: list[int | None], others: list[int | None], images: int | None
) -> None:
    made = made_alike({str(n): ladder(n) for n in new}, [ladder(n) for n in others], in_seconds=False)
    assert made == {str(n): ladder(images) for n in new}


def test_rungs_take_equal_seconds_where_those_of_all_families_do() -> None:
    examples, seconds = ladder(5000), ladder(5000, equal="seconds")
    for others, in_seconds, made in (
        ([], True, seconds),
        ([], False, examples),
        ([seconds], True, seconds),
        ([seconds], False, examples),
        ([seconds, examples], True, examples),
    ):
        assert made_alike({"new": examples}, others, in_seconds=in_seconds) == {"new": made}
