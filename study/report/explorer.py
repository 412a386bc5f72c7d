"""All trials of a search, and what it was given, as the page's explorer takes them: a table of columns per family,
packed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.records.trial import TrialRecord, Trials
from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.sections import mattered
from study.report.template import pack
from study.statistics.result import Result


@dataclass(frozen=True, slots=True)
class Explorer(Result):
    """`packed` is what the script unpacks; `trials` is how many are in it."""

    packed: str
    trials: int


def numbers(study: StudyRecords, before: Report) -> Explorer:
    ranked = {family: one.importances or {} for family, one in before[mattered].families.items()}
    shown = {family: study.records.of(family).counted for family in study.families}
    tables = {family: table(trials, list(ranked[family])) for family, trials in shown.items()}
    best = {family: None if (one := trials.best) is None else one.number for family, trials in shown.items()}
    held = {"families": tables, "best": best}
    return Explorer(pack(json.dumps(held, allow_nan=False)), sum(map(len, shown.values())))


def table(trials: Trials, important: Sequence[str] = ()) -> dict[str, Any]:
    """Of one family: what each trial came to, and its configuration by key, a list of values in the order of the
    trials each; None where a trial has no such key. `floats` are the keys whose values are written with a point,
    `first` those of the parameters that mattered, most important first."""
    keys = list(dict.fromkeys(key for trial in trials for key in trial.config))
    configs = {key: [trial.config.get(key) for trial in trials] for key in keys}
    # A parameter is called as its key, with what it depends on after it: learning_rate[sgd], width.0.
    first = list(dict.fromkeys(re.split(r"[.\[]", name)[0] for name in important))
    return {
        "came": _came(trials),
        "config": configs,
        "floats": [key for key in keys if _is_float(configs[key])],
        "first": first,
    }


def _came(trials: Sequence[TrialRecord]) -> Mapping[str, list[Any]]:
    return {
        "trial": [trial.number for trial in trials],
        "accuracy": [None if trial.value is None else round(100 * trial.value, 3) for trial in trials],
        "state": [trial.ending for trial in trials],
        "origin": [trial.role for trial in trials],
        "examples": [trial.examples for trial in trials],
        "seconds": [round(trial.held_seconds, 2) for trial in trials],
        "parameters": [trial.n_parameters for trial in trials],
    }


def _is_float(values: Sequence[Any]) -> bool:
    return any(isinstance(value, float) for value in values)
