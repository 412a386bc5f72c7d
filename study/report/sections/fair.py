"""How the best validation score of each search grew with the worker-seconds and trials that it got."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from study.records.trial import TrialRecord, Trials
from study.report import budget
from study.report.budget import Budget
from study.report.charts import Chart, Figure, Style, family_style, layout, line, percents
from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.wording import duration, listing, percent
from study.statistics.estimators import expected_max
from study.statistics.result import Result

MIN_TRIALS = 9  # sampled trials, for the last third to hold three
MAX_DRAWS = 200


@dataclass(frozen=True, slots=True)
class Step(Result):
    """A new best value: after so many worker-seconds and sampled trials, by this trial."""

    seconds: float
    trials: int
    value: float
    number: int


@dataclass(frozen=True, slots=True)
class TuningCurve(Result):
    """Best completed value so far as steps over worker-seconds and over trials; `seconds` and `trials` are all there
    were. `late_gain` is what of the best came in the last third of the seconds, None for too few trials;
    `expected_max` E[best of m], where the draws are independent and complete."""

    steps: tuple[Step, ...]
    seconds: float
    trials: int
    best: float | None
    late_gain: float | None
    expected_max: tuple[float | None, ...] | None


@dataclass(frozen=True, slots=True)
class Fair(Result):
    curves: Mapping[str, TuningCurve]
    budget: Budget


def numbers(study: StudyRecords, before: Report) -> Fair:
    independent = study.settings.sampler == "random" and study.settings.pruner == "none"
    curves = {name: tuning_curve(study.family_trials(name), independent=independent) for name in study.families}
    return Fair(curves, before[budget])


def tuning_curve(trials: Trials, *, independent: bool = False) -> TuningCurve:
    """Warm starts and imports cost their seconds, but set no value and count no trial."""
    seconds, sampled, steps = 0.0, 0, list[Step]()
    done = {trial.number for trial in trials.found.completed}
    for trial in sorted(trials, key=_ended):
        seconds += trial.held_seconds
        sampled += trial.origin == "found"
        if trial.number in done and (not steps or trial.last.accuracy > steps[-1].value):
            steps.append(Step(seconds, sampled, trial.last.accuracy, trial.number))
    best = steps[-1].value if steps else None
    expected = _expected_max(trials) if independent else None
    return TuningCurve(tuple(steps), seconds, sampled, best, _late_gain(steps, seconds, sampled), expected)


def _ended(trial: TrialRecord) -> tuple[float, int]:
    return (trial.end.timestamp() if trial.end else -math.inf), trial.number


def _late_gain(steps: list[Step], seconds: float, trials: int) -> float | None:
    if not steps or trials < MIN_TRIALS:
        return None
    early = [step.value for step in steps if step.seconds <= seconds * 2 / 3]
    return float(steps[-1].value - max(early)) if early else None


def _expected_max(trials: Trials) -> tuple[float | None, ...] | None:
    values = [trial.last.accuracy for trial in trials.found.completed]
    return tuple(expected_max(values, min(len(values) // 2, MAX_DRAWS))) if len(values) >= 4 else None


def finding(found: Fair, before: Report) -> str:
    bests = {name: (curve.best, curve.seconds) for name, curve in found.curves.items() if curve.best is not None}
    if not bests:
        return "No sampled trial has completed, so there is no curve."
    told = [
        f"{name} {percent(best)} after {duration(seconds)} of worker time" for name, (best, seconds) in bests.items()
    ]
    which = "in search 1" if before.study.n_searches > 1 else "of each search, one search each"
    text = f"Best sampled validation score {which}: {listing(told)}."
    without = [name for name in found.curves if name not in bests]
    return f"{text} No sampled trial of {listing(without)} completed." if without else text


def charts(found: Fair) -> list[Chart]:
    curves = {name: curve for name, curve in found.curves.items() if curve.steps}
    drawn = [_tuning(found, curves, "seconds"), _tuning(found, curves, "trials")] if curves else []
    return [*drawn, *_draws(found)]


def _tuning(found: Fair, curves: Mapping[str, TuningCurve], over: Literal["seconds", "trials"]) -> Chart:
    """One plain line per search."""
    data = [_tuning_line(name, curve, over, family_style(list(found.curves), name)) for name, curve in curves.items()]
    rows = [
        (name, f"#{step.number}", f"{step.seconds:.1f}", str(step.trials), percent(step.value))
        for name, curve in curves.items()
        for step in curve.steps
    ]
    x = {"seconds": "worker-seconds spent", "trials": "sampled trials finished"}[over]
    figure = {"data": data, "layout": layout(x, "best on validation, %")}
    label = f"Best validation score so far against {x}: a line that still rises at its end asks for more."
    columns = ("family", "trial", "worker-seconds", "sampled trials", "best")
    return Chart(f"tuning-{over}", label, figure, columns, rows, tells_finding=True)


def _tuning_line(name: str, curve: TuningCurve, over: Literal["seconds", "trials"], style: Style) -> Figure:
    """Drawn on to the end of the search."""
    xs = [step.seconds if over == "seconds" else step.trials for step in curve.steps]
    ys = [step.value for step in curve.steps]
    end = curve.seconds if over == "seconds" else curve.trials
    return line(name, [*xs, end], percents([*ys, ys[-1]]), style, size=7, shape="hv")


def _draws(found: Fair) -> list[Chart]:
    curves = {name: curve.expected_max for name, curve in found.curves.items() if curve.expected_max}
    if not curves:
        return []
    data = [
        line(
            name,
            list(range(1, len(values) + 1)),
            [None if value is None else 100 * value for value in values],
            family_style(list(found.curves), name),
        )
        for name, values in curves.items()
    ]
    rows = [(name, str(m), percent(value, 3)) for name, values in curves.items() for m, value in enumerate(values, 1)]
    figure = {"data": data, "layout": layout("random draws m", "expected best of m, %")}
    label = "Expected best validation score of m independent complete draws"
    return [Chart("expected-max", label, figure, ("family", "m", "expected best"), rows)]
