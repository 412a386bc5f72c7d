"""An in-memory Optuna study rebuilt from the report's own trial rows, for Optuna's figures, and the importance of its
parameters."""

from __future__ import annotations

import contextlib
import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    json_to_distribution,
)
from optuna.trial import FrozenTrial, TrialState

from study.records.trial import Scalar, State
from study.report.charts import Figure
from study.report.distributions import Distribution
from study.statistics.importance import Column, Importance, cells_of, importance

IMPORTANCE_FROM = 50  # completed trials; with fewer PED-ANOVA's top tenth is under five trials
SLICES = 6
TARGET = "validation accuracy, %"
TRIAL = "trial number"
NAMES = {"Best Value": "best so far", TARGET: "completed trial"}
PALE = (144, 144, 144)  # of the worst value; the best has the family's colour


@dataclass(frozen=True, slots=True)
class Point:
    """A trial as figures and importance take it."""

    state: State
    value: float | None
    parameters: Mapping[str, Scalar]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Optuna announces every in-memory study on stderr; the report's are no news."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)


def rebuild(trials: Sequence[Point], distributions: Mapping[str, Distribution]) -> optuna.Study:
    """A study to be maximised that holds the finished trials."""
    known = {name: json_to_distribution(json.dumps(found.to_dict())) for name, found in distributions.items()}
    with quiet():
        study = optuna.create_study(direction="maximize")
        study.add_trials(_frozen(trial, known) for trial in trials)
    return study


def _frozen(trial: Point, known: dict[str, BaseDistribution]) -> FrozenTrial:
    # A warm start may lie outside the range; Optuna's figures cannot place it.
    inside = {k: v for k, v in trial.parameters.items() if k in known and _contains(known[k], v)}
    value = trial.value if trial.state == "COMPLETE" else None
    state = TrialState[trial.state] if value is not None or trial.state != "COMPLETE" else TrialState.FAIL
    return optuna.trial.create_trial(
        state=state, value=value, params=inside, distributions={name: known[name] for name in inside}
    )


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (ValueError, TypeError):
        return False


def importances(trials: Sequence[Point], distributions: Mapping[str, Distribution]) -> Importance:
    """Of the parameters for the values of trials that all have one."""
    known = {name: json_to_distribution(json.dumps(found.to_dict())) for name, found in distributions.items()}
    columns = {
        name: _column(one, [trial.parameters.get(name) for trial in trials])
        for name, one in known.items()
        if not one.single()
    }
    return importance(columns, np.array([trial.value for trial in trials]))


def _column(distribution: BaseDistribution, values: Sequence[Any]) -> Column:
    """A value outside the range counts as none."""
    inside = [None if value is None or not _contains(distribution, value) else value for value in values]
    internal = np.array([math.nan if v is None else distribution.to_internal_repr(v) for v in inside])
    if isinstance(distribution, CategoricalDistribution):
        return Column(np.nan_to_num(internal, nan=-1).astype(int), len(distribution.choices), False)
    assert isinstance(distribution, IntDistribution | FloatDistribution)  # Optuna has no other kinds
    low, high, whole = distribution.low, distribution.high, isinstance(distribution, IntDistribution)
    return cells_of(internal, low, high, distribution.step, log=distribution.log, whole=whole)


def figures(
    trials: Sequence[Point],
    reached: Sequence[Point],
    distributions: Mapping[str, Distribution],
    important: Sequence[str],
    colour: str,
) -> dict[str, Figure]:
    """Optuna's figures as plotly's, of accuracies in percent: the history of the trials, and slices of those in
    `reached`, whose values are of one rung. Those without a completed trial are left out."""
    study = rebuild(_in_percent(trials), distributions)
    drawn: dict[str, Any] = {}
    if any(trial.state is TrialState.COMPLETE for trial in study.trials):
        with quiet():
            drawn["history"] = optuna.visualization.plot_optimization_history(study, target_name=TARGET)
    drawn |= _against_parameters(rebuild(_in_percent(reached), distributions), distributions, important)
    return {name: fitted(themed(json.loads(figure.to_json()), colour)) for name, figure in drawn.items()}


def _in_percent(points: Sequence[Point]) -> list[Point]:
    return [point if point.value is None else replace(point, value=100 * point.value) for point in points]


def _against_parameters(
    study: optuna.Study, distributions: Mapping[str, Distribution], important: Sequence[str]
) -> dict[str, Any]:
    done = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
    if not done:
        return {}
    ordered = [name for name in important if name in distributions] or list(distributions)
    sliced = [name for name in ordered if sum(name in trial.params for trial in done) >= 2][:SLICES]
    if not sliced:
        return {}
    with quiet():
        return {"slice": optuna.visualization.plot_slice(study, params=sliced, target_name=TARGET)}


def themed(figure: Figure, colour: str) -> Figure:
    """The same figure without Optuna's fixed ground, width and pale ends of scale, legible on white and on black."""
    layout = figure["layout"]
    for key in ("template", "title", "width", "plot_bgcolor"):
        layout.pop(key, None)
    for name, axis in layout.items():
        if name.startswith("xaxis"):
            axis |= _narrow(axis)
    for trace in figure["data"]:
        trace["name"] = NAMES.get(trace.get("name"), trace.get("name"))
        trace["x"] = [value.strip("'") if isinstance(value, str) else value for value in trace["x"]]
        if "colorscale" in trace.get("marker", {}):
            bar = {**trace["marker"].get("colorbar", {}), "title": {"text": TRIAL}}
            trace["marker"] |= {"colorscale": [[0, f"rgb{PALE}"], [1, colour]], "line": {"width": 0}, "colorbar": bar}
        else:
            line = trace.get("line", {})
            trace["marker"], trace["line"] = {**trace.get("marker", {}), "color": colour}, {**line, "color": colour}
    return figure


def _narrow(axis: Figure) -> Figure:
    """An axis of a slice has room for few words, and none for quotes; a logarithmic one for its decades."""
    if axis["title"]["text"] == "Trial":
        return {"title": {"text": TRIAL}}
    small: Figure = {"title": {"text": axis["title"]["text"], "font": {"size": 11}}, "tickfont": {"size": 11}}
    if axis.get("type") == "log":
        return {**small, "dtick": 1}
    if "categoryarray" in axis:
        words = [str(value).strip("'") for value in axis["categoryarray"]]
        return {**small, "categoryarray": words, "tickangle": -40}
    return {**small, "nticks": 4}


def fitted(figure: Figure) -> Figure:
    """The same figure with its vertical axis about the better nine tenths of the values: a few networks that learned
    nothing would else press all others into one line."""
    values = [y for trace in figure["data"] for y in trace.get("y", []) if isinstance(y, int | float)]
    if not values:
        return figure
    low, high = float(np.quantile(values, 0.1)), max(values)
    room = max(0.08 * (high - low), 0.1)
    for axis in [name for name in figure["layout"] if name.startswith("yaxis")] or ["yaxis"]:
        figure["layout"].setdefault(axis, {})["range"] = [low - room, high + room]
    return figure
