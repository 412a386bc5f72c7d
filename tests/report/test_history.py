from __future__ import annotations

from dataclasses import replace
from typing import Any

from ended import trial
from optuna.distributions import CategoricalDistribution, FloatDistribution, distribution_to_json

from study.report import history
from study.report.distributions import distributions
from study.report.history import Point

RANGES = {"rate": FloatDistribution(0.1, 1.0, log=True), "act": CategoricalDistribution(("relu", "gelu"))}
KNOWN = distributions([trial(0, distributions={name: distribution_to_json(one) for name, one in RANGES.items()})])


def rows(n: int, value: float | None = None) -> list[Point]:
    return [
        Point(
            "COMPLETE",
            value if value is not None else 0.9 + (k % 10) / 200,
            {"rate": 0.1 + (k % 10) / 12, "act": "relu" if k % 2 else "gelu"},
        )
        for k in range(n)
    ]


def test_the_rebuilt_study_holds_the_same_trials() -> None:
    study = history.rebuild(rows(5), KNOWN)
    assert [trial.value for trial in study.trials] == [0.9, 0.905, 0.91, 0.915, 0.92]
    assert study.trials[1].params == {"rate": 0.1 + 1 / 12, "act": "relu"}


def test_a_value_outside_its_range_is_left_out_and_the_trial_kept() -> None:
    outside = Point("COMPLETE", 0.9, {"rate": 7.0, "act": "swish", "unknown": 1})
    assert history.rebuild([outside], KNOWN).trials[0].params == {}


def test_a_pruned_trial_keeps_its_state_and_has_no_value() -> None:
    study = history.rebuild([replace(rows(1)[0], state="PRUNED")], KNOWN)
    assert (study.trials[0].state.name, study.trials[0].value) == ("PRUNED", None)


def test_importance_finds_the_parameter_that_the_value_follows() -> None:
    found = history.importances(rows(100), KNOWN)
    assert (next(iter(found.shares)), found.clear[:1]) == ("rate", ("rate",))


def test_without_a_completed_trial_there_is_no_figure() -> None:
    assert history.figures([replace(rows(1)[0], state="FAIL")], [], KNOWN, [], "#0072B2") == {}


def test_optunas_figures_keep_no_ground_of_their_own() -> None:
    for figure in history.figures(rows(20), rows(20), KNOWN, ["rate", "act"], "#0072B2").values():
        assert not {"template", "width", "plot_bgcolor", "title"} & set(figure["layout"])


def test_building_a_study_says_nothing_on_stderr(capfd: Any) -> None:
    history.figures(rows(20), rows(20), KNOWN, [], "#0072B2")
    assert capfd.readouterr().err == ""
