from __future__ import annotations

from typing import Any

import pytest
from trials import rungs, trial

from study.records.trial import TrialRecord, Trials
from study.retraining.candidates import best_trial, choose_candidates, choose_of_both, error_slope


def numbers(records: list[TrialRecord], n: int, *, speed_share: float = 0.0) -> dict[str, list[int]]:
    chosen = choose_candidates(Trials(records), n, speed_share=speed_share)
    return {family: [one.number for one in trials] for family, trials in chosen.items()}


def test_candidates_are_the_best_completed_trials_ties_by_nll() -> None:
    records = [trial(0, 0.8), trial(1, 0.9, nll=0.4), trial(2, 0.9, nll=0.3), trial(3, 0.95)]
    assert numbers(records, 3) == {"mlp": [3, 2, 1]}


def test_candidates_are_distinct_configurations() -> None:
    """Of two points under several seeds each, two are handed over, each as its best trial."""
    a, b = {"family": "mlp", "dropout": 0.1}, {"dropout": 0.2, "family": "mlp"}
    again = {"family": "mlp", "dropout": 0.1 + 1e-17}
    records = [
        trial(0, 0.8, config=a),
        trial(1, 0.9, config=again),
        trial(2, 0.7, config=b),
        trial(3, 0.6, config=b),
    ]
    assert numbers(records, 3) == {"mlp": [1, 2]}
    slow = [climbing(0, 0.95, 9.0, config=a), climbing(1, 0.9, 0.1, config=a), climbing(2, 0.8, 1.0, config=b)]
    assert numbers(slow, 1, speed_share=1.0) == {"mlp": [0]}


def climbing(number: int, value: float, seconds: float, **more: Any) -> TrialRecord:
    """A completed trial whose error fell as the root of the examples between its last two rungs."""
    reached = rungs((100, 1 - 3 * (1 - value + 1e-4) + 1e-4), (900, value))
    return trial(number, value, rungs=reached, training_seconds=seconds, **more)


def test_the_slope_is_that_of_completed_trials_between_their_last_two_rungs() -> None:
    fallen = Trials([climbing(0, 0.9, 1.0), climbing(1, 0.95, 1.0), trial(2, 0.99)])
    assert error_slope(fallen) == pytest.approx(0.5)
    rising = trial(0, 0.8, rungs=rungs((100, 0.9), (900, 0.8)))
    for one in (trial(0, 0.9), climbing(0, 0.9, 1.0, state="PRUNED"), rising):
        assert error_slope(Trials([one])) == 0.0


def test_under_equal_seconds_a_faster_network_may_have_made_more_errors() -> None:
    """Nine times as fast: the same error after nine times the examples, a third of that after the same."""
    fast, slow = climbing(0, 0.90, 1.0), climbing(1, 0.95, 9.0)
    leader = trial(9, 0.99, family="cnn")
    assert numbers([fast, slow, leader], 1, speed_share=1.0) == {"mlp": [0], "cnn": [9]}
    assert numbers([fast, slow, leader], 1) == {"mlp": [1], "cnn": [9]}
    assert numbers([climbing(0, 0.84, 1.0), slow, leader], 1, speed_share=1.0)["mlp"] == [1]


def test_under_equal_seconds_one_whose_errors_still_fall_may_have_made_more() -> None:
    """From 10 to 5 % and from 6.5 to 4.9 % over three times the examples, as a default study's second choice did."""
    falling = trial(0, 0.95, rungs=rungs((100, 0.90), (300, 0.95)), training_seconds=1.0)
    flat = trial(1, 0.951, rungs=rungs((100, 0.935), (300, 0.951)), training_seconds=1.0)
    assert numbers([falling, flat], 1, speed_share=0.5) == {"mlp": [0]}
    assert numbers([falling, flat], 1) == {"mlp": [1]}


def test_of_two_candidates_the_best_trial_is_one_however_slow() -> None:
    records = [climbing(number, 0.90 + 0.01 * number, 1.0 + 20 * (number == 3)) for number in range(4)]
    assert numbers(records, 2, speed_share=1.0) == {"mlp": [2, 3]}
    assert numbers(records, 1, speed_share=1.0) == {"mlp": [2]}  # what it reached after equal examples is no measure


def test_of_found_and_given_the_best_of_each_is_trained_again_and_the_best_of_all() -> None:
    given = [climbing(9, 0.91, 1.0, role="warm_start"), climbing(8, 0.90, 1.0, role="warm_start")]
    found = [climbing(0, 0.89, 1.0), climbing(1, 0.88, 1.0), climbing(3, 0.93, 30.0)]

    def chosen(n: int, records: list[TrialRecord]) -> list[int]:
        return [one.number for one in choose_of_both(Trials(records), n, speed_share=1.0, given_share=1.0)["mlp"]]

    assert chosen(2, [*given, *found[:2]]) == [0, 9]
    assert sorted(chosen(3, [*given, *found[:2]])) == [0, 8, 9]
    assert chosen(2, [*given, *found]) == [0, 9, 3]  # it led the search, though it is slow
    leader = climbing(5, 0.99, 30.0, family="cnn")
    assert chosen(2, [*given, *found, leader]) == [0, 9]


def test_without_a_trial_that_reached_a_rung_a_family_has_no_candidate() -> None:
    assert numbers([trial(0, 0.9), trial(1, 0.0, family="cnn", state="FAIL")], 2) == {"mlp": [0]}
    assert numbers([], 2) == {}


def test_pruned_trials_fill_up_by_how_far_they_came() -> None:
    records = [
        trial(0, 0.99, examples=100, state="PRUNED"),
        trial(1, 0.7, examples=300, state="PRUNED"),
        trial(2, 0.8, examples=300, state="PRUNED"),
        trial(3, 0.5),
        trial(4, 0.9, state="FAIL"),
        trial(5, None, state="PRUNED"),
    ]
    assert [one.number for one in Trials(records).ranked] == [3, 2, 1, 0]
    slow = [trial(6, 0.9, examples=300, state="PRUNED", rung_scale=0.2), trial(7, 0.95, rung_scale=0.5)]
    assert [one.number for one in Trials(records + slow).ranked] == [7, 3, 6, 2, 1, 0]  # by rungs, whatever it saw
    assert numbers(records, 3, speed_share=1.0) == {"mlp": [3, 2, 1]}


@pytest.mark.parametrize("speed_share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_best_trial_is_always_a_candidate(n: int, speed_share: float) -> None:
    records = Trials(trial(i, 0.5 + 0.01 * (i * 7 % 10), family=("mlp", "cnn")[i % 2], nll=0.1 * i) for i in range(20))
    best = best_trial(records)
    assert best is not None
    chosen = choose_candidates(records, n, speed_share=speed_share)
    assert best in chosen[best.family]
    assert best.value == max(one.last.accuracy for one in records)
    assert best_trial(Trials(one for trials in chosen.values() for one in trials)) == best


def test_a_completed_trial_beats_a_pruned_one_of_another_family() -> None:
    pruned = trial(1, 0.99, family="cnn", state="PRUNED")
    assert best_trial(Trials([pruned, trial(0, 0.6)])) == trial(0, 0.6)
    assert best_trial(Trials([pruned])) == pruned
    assert best_trial(Trials()) is None
