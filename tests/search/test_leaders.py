"""Proposals beside the best trials of a search."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
from trials import trial

from study.records.trial import Rung, TrialRecord
from study.search.leaders import Leaders

RANGES = {
    "depth": '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 5}}',
    "batch_size": '{"name": "CategoricalDistribution", "attributes": {"choices": [64, 128, 256]}}',
    "stem": '{"name": "CategoricalDistribution", "attributes": {"choices": ["plain"]}}',
}


def record(number: int, *accuracies: float, batch_size: int = 64) -> TrialRecord:
    rungs = tuple(Rung(100 * 3**i, accuracy, 0.1) for i, accuracy in enumerate(accuracies))
    parameters = {"depth": number, "batch_size": batch_size, "stem": "plain"}
    return dataclasses.replace(trial(number), parameters=parameters, distributions=RANGES, rungs=rungs)


@pytest.fixture
def leaders() -> Leaders:
    """Of trials 1 to 6, of which 4, 2 and 5 lead, before 3 and 1."""
    found = Leaders()
    for one in (record(1, 0.99), record(2, 0.8, 0.9), record(3, 0.7, 0.8), record(4, 0.6, 0.95), record(5, 0.5, 0.85)):
        found.add(one)
    found.add(dataclasses.replace(record(6, 0.9, 0.99), further_seed_of=4))
    return found


def test_one_choice_of_one_of_those_that_came_furthest_is_changed(leaders: Leaders) -> None:
    proposals = [leaders.neighbour(seed) for seed in range(200)]
    assert proposals == [leaders.neighbour(seed) for seed in range(200)]
    changed = Counter("depth" if "depth" not in one else "batch_size" for one in proposals)
    assert changed.keys() == {"depth", "batch_size"}
    assert min(changed.values()) > 60
    assert {one.get("depth") for one in proposals} == {None, 2, 4, 5}
    assert all(one["batch_size"] == 64 for one in proposals if "depth" not in one)
    assert {one["batch_size"] for one in proposals if "depth" in one} == {128, 256}
    assert all(one["stem"] == "plain" for one in proposals)


def test_with_many_trials_in_flight_more_of_them_have_neighbours(leaders: Leaders) -> None:
    parents = [{leaders.neighbour(seed, n).get("depth") for seed in range(200)} for n in (31, 32, 1000)]
    assert parents == [{None, 2, 4, 5}, {None, 2, 3, 4, 5}, {None, 1, 2, 3, 4, 5}]


def test_without_a_trial_that_says_anything_there_is_none() -> None:
    leaders = Leaders()
    for one in (record(1), dataclasses.replace(record(2, 0.9), state="FAIL")):
        leaders.add(one)
    assert leaders.neighbour(0) == {}
    leaders.add(dataclasses.replace(record(3, 0.9), distributions={"stem": RANGES["stem"]}))
    assert leaders.neighbour(0) == {}
