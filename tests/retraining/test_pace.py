"""How long runs side by side will still take, on a clock that the test turns."""

from __future__ import annotations

import pytest

from study.retraining.pace import Pace


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    """Two families of three candidates and three final runs, ten seconds each."""
    pace = Pace(clock)
    for family in ("mlp", "cnn"):
        candidates = [f"{family}-{i}" for i in range(3)]
        for name in candidates:
            pace.expect(name, 10.0)
        for i in range(3):
            pace.expect(f"{family}-final-{i}", 10.0, candidates)
    return pace


def test_before_the_first_run_the_estimate_is_of_all_runs_side_by_side(pace: Pace) -> None:
    assert pace.left(1) == pytest.approx(120)
    assert pace.left(2) == pytest.approx(60)
    assert pace.left(100) == pytest.approx(20)  # final runs wait for their candidates


def test_it_counts_down_as_runs_go_on_and_end(pace: Pace, clock: Clock) -> None:
    pace.begin("mlp-0")
    pace.begin("cnn-0")
    clock.now = 4.0
    assert pace.left(2) == pytest.approx(56)
    pace.reached("mlp-0", 0.5)
    clock.now = 10.0
    pace.end("mlp-0")
    pace.end("cnn-0")
    assert pace.left(2) == pytest.approx(50, abs=3)
    for name in ("mlp-1", "mlp-2", "cnn-1", "cnn-2", *(f"{f}-final-{i}" for f in ("mlp", "cnn") for i in range(3))):
        pace.end(name)
    assert pace.left(2) == 0


def test_what_runs_take_corrects_what_was_expected(pace: Pace, clock: Clock) -> None:
    pace.begin("mlp-0")
    clock.now = 10.0
    pace.reached("mlp-0", 0.5)  # twice as long as expected
    assert pace.left(1) == pytest.approx(10 + 11 * 20, rel=0.4)
    assert pace.left(1) > 150
    clock.now = 20.0
    pace.end("mlp-0")
    pace.begin("cnn-0")
    clock.now = 40.0
    pace.end("cnn-0")
    assert pace.left(1) == pytest.approx(10 * 20, rel=0.15)


def test_a_run_that_is_longer_than_its_estimate_has_nothing_left_and_no_less(pace: Pace, clock: Clock) -> None:
    pace.expect("cnn-0", 10.0)
    pace.begin("cnn-0")
    clock.now = 1000.0
    assert pace.left(100) == pytest.approx(20)


def test_a_run_that_was_there_before_takes_nothing(clock: Clock) -> None:
    pace = Pace(clock)
    pace.expect("a", 10.0)
    pace.expect("b", 10.0, ["a"])
    pace.end("a")
    assert pace.left(1) == pytest.approx(10)
    assert Pace(clock).left(1) == 0
