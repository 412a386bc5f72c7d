from __future__ import annotations

import json
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution

from study.command.plots import MOST, with_few_panels

RANGES = {f"p{number:02}": FloatDistribution(0, 1) for number in range(24)}


@pytest.fixture
def study() -> optuna.Study:
    """Three trials of 24 parameters, of which the last ten are those that all trials have; p23 has one value."""
    study = optuna.create_study(direction="maximize")
    for number in range(3):
        names = list(RANGES)[14:] if number else list(RANGES)
        values = {name: 0.5 if name == "p23" else (1 + number) / 4 for name in names}
        ranges = {name: RANGES[name] for name in names}
        study.add_trial(optuna.trial.create_trial(params=values, distributions=ranges, value=0.9 + number / 100))
    return study


def asked(study: optuna.Study, path: str) -> str:
    """The answer; "passed on" where the dashboard itself is to give it."""
    app = with_few_panels(lambda _environ, _start: [b"passed on"], study._storage)
    environ: dict[str, Any] = {"PATH_INFO": path}
    return b"".join(app(environ, lambda *_: lambda _: None)).decode()


def test_a_plot_of_all_pairs_is_of_the_parameters_that_most_trials_have(study: optuna.Study) -> None:
    shown = json.loads(asked(study, "/api/studies/0/plot/contour"))["layout"]
    assert sum(key.startswith("xaxis") for key in shown) == MOST * MOST
    titles = {axis["title"]["text"] for key, axis in shown.items() if key.startswith("xaxis") and "title" in axis}
    assert titles == {f"p{number}" for number in range(14, 14 + MOST)}
    assert shown["title"]["text"].startswith("5 of 24 parameters")


@pytest.mark.parametrize("path", ["/api/studies/0/plot/slice", "/api/studies/7/plot/contour", "/api/studies"])
def test_all_else_is_the_dashboard_s_own(study: optuna.Study, path: str) -> None:
    assert asked(study, path) == "passed on"


def test_a_study_of_few_parameters_is_drawn_whole() -> None:
    study = optuna.create_study()
    study.add_trial(optuna.trial.create_trial(params={"p": 0.5}, distributions={"p": RANGES["p00"]}, value=1.0))
    assert asked(study, "/api/studies/0/plot/rank") == "passed on"
