"""All trials of all searches, found or given, as the page's explorer takes them: a table per family, packed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
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
    """`packed` is what the script unpacks; `trials` is how many are in it, of how many `searches`."""

    packed: str
    trials: int
    searches: int


def numbers(study: StudyRecords, before: Report) -> Explorer:
    ranked = {family: one.importances or {} for family, one in before[mattered].families.items()}
    tables = {
        family: table(_of_searches(study, family), list(ranked[family]), _finalist(study, family))
        for family in study.families
    }
    n_trials = sum(len(one["names"]) for one in tables.values())
    return Explorer(pack(json.dumps({"families": tables}, allow_nan=False)), n_trials, len(study.searches))


def _of_searches(study: StudyRecords, family: str) -> Mapping[int, Trials]:
    """What was found and what was given, by search."""
    return {number: one.records.of(family).counted for number, one in study.searches.items()}


def _finalist(study: StudyRecords, family: str) -> tuple[int, int] | None:
    """Search and number of the family's finalist, of several searches the one that did best on validation."""
    found = {number: one.finalists.of(family) for number, one in study.searches.items()}
    known = [(one.chosen.rank, number, one.chosen.trial) for number, one in found.items() if one.chosen]
    return min(known)[1:] if known else None


def table(
    searches: Mapping[int, Trials], important: Sequence[str] = (), finalist: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Of one family: what each trial came to, and its configuration by key, a list of values in the order of the
    trials each; None where a trial has no such key. `names` tell the trials apart. `against` is the name of the one
    that each is held against: the `finalist` by its search and number or else the best trial, None without either.
    `floats` are the keys whose values are written with a point, `first` those of the parameters that mattered, most
    important first."""
    trials = Trials(trial for one in searches.values() for trial in one)
    named = {(number, trial.number): trial for number, one in searches.items() for trial in one}
    names, against = list(_names(searches)), named.get(finalist) if finalist else None
    whose, against = ("finalist", against) if against else ("best trial", trials.best)
    keys = list(dict.fromkeys(key for trial in trials for key in trial.config))
    configs = {key: [trial.config.get(key) for trial in trials] for key in keys}
    # A parameter is called as its key, with what it depends on after it: learning_rate[sgd], width.0.
    first = list(dict.fromkeys(re.split(r"[.\[]", name)[0] for name in important))
    return {
        "names": names,
        "against": next((name for name, trial in zip(names, trials, strict=True) if trial is against), None),
        "whose": whose,
        "came": _came(searches, trials),
        "config": configs,
        "floats": [key for key in keys if _is_float(configs[key])],
        "first": first,
    }


def _names(searches: Mapping[int, Trials]) -> Iterator[str]:
    """Each search counts its trials from 0."""
    for search, trials in searches.items():
        for trial in trials:
            yield f"{trial.number} of search {search}" if len(searches) > 1 else str(trial.number)


def _came(searches: Mapping[int, Trials], trials: Sequence[TrialRecord]) -> Mapping[str, list[Any]]:
    of_search = [number for number, one in searches.items() for _ in one]
    return {
        **({"search": of_search} if len(searches) > 1 else {}),
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
