from __future__ import annotations

from typing import Any

import pytest
import trials as invented
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution, distribution_to_json

from study.records.ledger import Goal, Ledger
from study.records.trial import TrialRecord, Trials
from study.report import search_numbers as search


def trial(number: int, value: float | None = None, *, examples: int | None = None, **more: Any) -> TrialRecord:
    """A trial of ten seconds that had 50 % and more after 100 examples; without a value it was pruned there."""
    reached = [(examples or 100, 0.5 + number / 100)] if value is None else []
    reached = reached or [(100, 0.5 + number / 100), (examples or 900, value or 0.0)]
    fields = {"family": "cnn", "parameters": {}, "held_seconds": 10.0, "rungs": invented.rungs(*reached)}
    return invented.trial(number, state="PRUNED" if value is None else "COMPLETE", **fields | more)


def curve_of(*trials: TrialRecord) -> dict[str, Any]:
    return search.tuning_curve(Trials(trials))


def test_the_tuning_curve_steps_where_a_sampled_trial_beats_all_before() -> None:
    curve = curve_of(trial(0, 0.90), trial(1), trial(2, 0.89), trial(3, 0.95))
    assert [(step["seconds"], step["trials"], step["value"]) for step in curve["steps"]] == [
        (10.0, 1, 0.90),
        (40.0, 4, 0.95),
    ]
    assert (curve["seconds"], curve["trials"], curve["best"]) == (40.0, 4, 0.95)


def test_a_warm_start_costs_its_seconds_but_sets_no_value() -> None:
    curve = curve_of(trial(0, 0.99, role="warm_start"), trial(1, 0.9))
    assert curve["steps"] == [{"seconds": 20.0, "trials": 1, "value": 0.9, "number": 1}]


def test_the_curve_follows_the_order_in_which_trials_ended() -> None:
    early = trial(5, 0.9, end=invented.BEGAN)
    assert curve_of(trial(1, 0.8), early)["best"] == 0.9
    assert len(curve_of(trial(1, 0.8), early)["steps"]) == 1


def test_late_gain_is_what_the_last_third_of_the_seconds_brought() -> None:
    values = [0.9, 0.91, 0.92, 0.92, 0.92, 0.92, 0.92, 0.95, 0.95]
    assert search.late_gain(curve_of(*(trial(k, v) for k, v in enumerate(values)))) == pytest.approx(0.03)


def test_late_gain_is_unknown_for_a_handful_of_trials() -> None:
    assert search.late_gain(curve_of(trial(0, 0.9), trial(1, 0.95))) is None


def test_budgets_one_trial_apart_are_equal() -> None:
    families = {"a": Trials([trial(0, 0.9), trial(1, 0.9)]), "b": Trials([trial(0, 0.9)])}
    assert not search.budget(families, Ledger(goal=Goal(budget=60)))["unequal"]
    families["a"] = Trials(trial(k, 0.9) for k in range(4))
    assert search.budget(families, Ledger(goal=Goal(budget=60)))["unequal"]


def test_with_a_number_of_trials_alone_trials_are_what_is_equal() -> None:
    families = {"a": Trials([trial(0, 0.9)]), "b": Trials([trial(0, 0.9, held_seconds=99.0)])}
    numbers = search.budget(families, Ledger(goal=Goal(n_trials=1)))
    assert (numbers["equalised"], numbers["gap"], numbers["unequal"]) == ("trials", 0, False)


DISTRIBUTIONS = {
    "rate": FloatDistribution(1e-4, 1e-1, log=True),
    "depth": IntDistribution(1, 5),
    "act": CategoricalDistribution(("relu", True, None)),
    "fixed": FloatDistribution(0.5, 0.5),
}
KNOWN = search.distributions(
    [trial(0, distributions={name: distribution_to_json(one) for name, one in DISTRIBUTIONS.items()})]
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
    trials = Trials(trial(k, 0.9 if k == 777 else 0.5 + k / 1e5 if k <= 100 else 0.5) for k in range(5000))
    drawn = search.drawn_trials(trials, limit=200)
    assert len(drawn) <= 200
    assert drawn.best() == trials.best()


def test_pruning_saves_the_examples_up_to_the_top_rung() -> None:
    numbers = search.health(
        Trials([trial(0, examples=250), trial(1, 0.9, examples=1000)]), {"cnn": 1000}, 500, Ledger()
    )
    assert (numbers["epochs_saved"], numbers["epochs_used"]) == (1.5, 2.5)


def test_at_a_rung_that_a_trial_passed_it_has_its_value_there() -> None:
    reached = invented.rungs((100, 0.7), (300, 0.6))
    trials = [trial(0, rungs=reached), trial(1, 0.9), trial(2, rungs=reached, role="warm_start")]
    assert [(one.number, one.state, one.value) for one in search.at_rung(trials, 100)] == [
        (0, "COMPLETE", 0.7),
        (1, "COMPLETE", 0.51),
    ]
    assert [(one.number, one.value) for one in search.at_rung(trials, 300)] == [(0, 0.6)]


def test_the_timeline_is_capped_and_starts_at_zero() -> None:
    trials = [trial(k, 0.9, worker=k % 2) for k in range(90)]
    rows = search.timeline(trials, limit=50)
    assert rows[0]["start"] == 0.0
    assert len(rows) <= 50
