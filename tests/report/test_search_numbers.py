from __future__ import annotations

from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution, distribution_to_json

from study.records.ledger import Goal, Ledger
from study.report import search_numbers as search


def trial(number: int, value: float | None = None, **more: Any) -> dict[str, Any]:
    record = {
        "number": number,
        "family": "cnn",
        "state": "COMPLETE" if value is not None else "PRUNED",
        "value": value,
        "nll": 0.1,
        "role": "sampled",
        "seconds": 10.0,
        "end": f"2026-01-01T00:00:{number:02d}+00:00",
        "parameters": {},
        "rungs": [{"examples": 100, "accuracy": 0.5 + number / 100}],
        "examples": 100,
    }
    return {**record, **more}


def test_the_tuning_curve_steps_where_a_sampled_trial_beats_all_before() -> None:
    curve = search.tuning_curve([trial(0, 0.90), trial(1), trial(2, 0.89), trial(3, 0.95)])
    assert [(step["seconds"], step["trials"], step["value"]) for step in curve["steps"]] == [
        (10.0, 1, 0.90),
        (40.0, 4, 0.95),
    ]
    assert (curve["seconds"], curve["trials"], curve["best"]) == (40.0, 4, 0.95)


def test_a_warm_start_costs_its_seconds_but_sets_no_value() -> None:
    curve = search.tuning_curve([trial(0, 0.99, role="warm_start"), trial(1, 0.9)])
    assert curve["steps"] == [{"seconds": 20.0, "trials": 1, "value": 0.9, "number": 1}]


def test_the_curve_follows_the_order_in_which_trials_ended() -> None:
    early = trial(5, 0.9, end="2026-01-01T00:00:00+00:00")
    assert search.tuning_curve([trial(1, 0.8), early])["best"] == 0.9
    assert len(search.tuning_curve([trial(1, 0.8), early])["steps"]) == 1


def test_late_gain_is_what_the_last_third_of_the_seconds_brought() -> None:
    values = [0.9, 0.91, 0.92, 0.92, 0.92, 0.92, 0.92, 0.95, 0.95]
    assert search.late_gain(search.tuning_curve([trial(k, v) for k, v in enumerate(values)])) == pytest.approx(0.03)


def test_late_gain_is_unknown_for_a_handful_of_trials() -> None:
    assert search.late_gain(search.tuning_curve([trial(0, 0.9), trial(1, 0.95)])) is None


def test_ties_of_accuracy_go_to_the_lower_nll() -> None:
    found = search.best([trial(0, 0.9, nll=0.2), trial(1, 0.9, nll=0.1), trial(2, 0.9, nll=None)])
    assert found is not None
    assert found["number"] == 1


@pytest.mark.parametrize("bad", [float("nan"), None])
def test_a_trial_without_a_finite_value_is_not_completed(bad: float | None) -> None:
    assert search.best([trial(0, 0.9) | {"value": bad}]) is None


def test_budgets_one_trial_apart_are_equal() -> None:
    families = {"a": [trial(0, 0.9), trial(1, 0.9)], "b": [trial(0, 0.9)]}
    assert not search.budget(families, Ledger(goal=Goal(budget=60)))["unequal"]
    assert search.budget({**families, "a": [trial(k, 0.9) for k in range(4)]}, Ledger(goal=Goal(budget=60)))["unequal"]


def test_with_a_number_of_trials_alone_trials_are_what_is_equal() -> None:
    numbers = search.budget({"a": [trial(0, 0.9)], "b": [trial(0, 0.9, seconds=99.0)]}, Ledger(goal=Goal(n_trials=1)))
    assert (numbers["equalised"], numbers["gap"], numbers["unequal"]) == ("trials", 0, False)


KNOWN = search.distributions(
    [
        {
            "distributions": {
                "rate": distribution_to_json(FloatDistribution(1e-4, 1e-1, log=True)),
                "depth": distribution_to_json(IntDistribution(1, 5)),
                "act": distribution_to_json(CategoricalDistribution(("relu", True, None))),
                "fixed": distribution_to_json(FloatDistribution(0.5, 0.5)),
            }
        }
    ]
)


@pytest.mark.parametrize(
    ("parameters", "ends"),
    [
        ({"rate": 0.09}, ["high"]),
        ({"rate": 1.1e-4}, ["low"]),
        ({"rate": 3e-3}, []),
        ({"depth": 5}, ["high"]),
        ({"depth": 4}, []),
        ({"act": "relu"}, []),
        ({"fixed": 0.5}, []),
        ({"unknown": 3.0}, []),
    ],
)
def test_edges_are_judged_on_the_scale_of_sampling(parameters: dict[str, Any], ends: list[str]) -> None:
    assert [edge["end"] for edge in search.edges(parameters, KNOWN)] == ends


def test_choices_count_by_value_and_take_the_median_of_the_random_draws() -> None:
    trials = [
        trial(0, 0.9, parameters={"act": "relu"}),
        trial(1, parameters={"act": "relu"}),
        trial(2, 0.95, parameters={"act": "relu"}),
        trial(3, 0.99, parameters={"act": "relu"}, role="warm_start"),
        trial(4, 0.8, parameters={"act": True}),
    ]
    rows = {row["value"]: row for row in search.choices(trials, KNOWN, random_draws=2)}
    assert rows["relu"] == {
        "parameter": "act",
        "value": "relu",
        "trials": 3,
        "completed": 2,
        "best": 0.95,
        "random_draws": 2,
        "random_median": pytest.approx(0.505),
    }
    assert (rows["true"]["trials"], rows["true"]["random_median"]) == (1, None)
    assert rows["null"]["best"] is None


def test_at_most_the_limit_is_drawn_and_no_record_is_lost() -> None:
    trials = [trial(k, 0.5 + (0.4 if k == 777 else k / 1e5), end=f"{k:06d}") for k in range(5000)]
    trials = [t | {"value": 0.5 if 100 < t["number"] < 5000 and t["number"] != 777 else t["value"]} for t in trials]
    drawn = search.drawn_trials(trials, limit=200)
    assert len(drawn) <= 200
    assert search.best(drawn) == search.best(trials)


def test_pruning_saves_the_examples_up_to_the_top_rung() -> None:
    numbers = search.health([trial(0, examples=250), trial(1, 0.9, examples=1000)], {"cnn": 1000}, 500, Ledger())
    assert (numbers["epochs_saved"], numbers["epochs_used"]) == (1.5, 2.5)


def test_the_timeline_is_capped_and_starts_at_zero() -> None:
    trials = [trial(k, 0.9, end=f"2026-01-01T00:{k // 60:02d}:{k % 60:02d}Z", worker=k % 2) for k in range(90)]
    rows = search.timeline(trials, limit=50)
    assert rows[0]["start"] == 0.0
    assert len(rows) <= 50
