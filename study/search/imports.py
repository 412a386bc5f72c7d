"""`--from OLD`: a new study that begins with another's trials."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from study.config import StudySettings, load_settings
from study.errors import ResumeError
from study.results import StudyFiles, append_jsonl, check_study_name, read_jsonl
from study.search.records import record_of, trial_of
from study.search.storage import open_study, transaction
from study.search.tables import insert_trial, read_trials
from study.space import SearchSpace, parse_space, sample

_OF_THE_OLD_SEARCH = ("draw", "attempt", "counted")  # what a trial was there, and an imported one is not


class _Misfit(Exception):
    """A parameter of an old trial that the new space does not have, or not with this value."""


class _Replay:
    """A trial that answers every suggestion with an old trial's value, if the new range holds it."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        self._parameters = parameters
        self.distributions: dict[str, BaseDistribution] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._take(name, FloatDistribution(low, high, log=log, step=step)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._take(name, IntDistribution(low, high, log=log, step=step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._take(name, CategoricalDistribution(tuple(choices)))

    def _take(self, name: str, distribution: BaseDistribution) -> Any:
        if name not in self._parameters or not _could_be_drawn(self._parameters[name], distribution):
            raise _Misfit(name)
        self.distributions[name] = distribution
        return self._parameters[name]


def _could_be_drawn(value: Any, distribution: BaseDistribution) -> bool:
    """Whether the distribution holds the value as what it is. Optuna's own test takes "32" for 32, and true for 1."""
    if isinstance(distribution, CategoricalDistribution):
        return any(type(value) is type(choice) and value == choice for choice in distribution.choices)
    kinds = (int,) if isinstance(distribution, IntDistribution) else (int, float)
    return type(value) in kinds and distribution._contains(distribution.to_internal_repr(value))


def replay(space: SearchSpace, parameters: dict[str, Any]) -> tuple[dict[str, Any], dict[str, BaseDistribution]] | None:
    """(configuration, distributions) of an old trial in `space`, or None if it could not have been drawn there."""
    trial = _Replay(parameters)
    try:
        config = sample(space, trial)
    except _Misfit:
        return None
    return (config, trial.distributions) if trial.distributions.keys() == parameters.keys() else None


def load_source(results: Path, name: str, settings: StudySettings) -> StudySettings:
    """Settings of the study to import from. ResumeError if its trials were not measured on the same ground."""
    files = StudyFiles(results / check_study_name(name))
    old = load_settings(files.settings)
    for what, before, now in (
        ("dataset", old.dataset.sha256, settings.dataset.sha256),
        ("validation split", old.dataset.split_sha256, settings.dataset.split_sha256),
    ):
        if before != now:
            raise ResumeError(
                f"--from {name}: its {what} is not this study's; trials can be imported on the same one only"
            )
    return old


def import_trials(
    files: StudyFiles,
    settings: StudySettings,
    storage: RDBStorage,
    old: StudySettings,
    families: set[str],
) -> int:
    """Add the old study's finished trials that the new spaces could have drawn and that are not there yet; returns
    how many.

    They keep their values and are charged the seconds that they cost.
    """
    imported = 0
    records = read_jsonl(files.root.parent / old.name / "trials.jsonl")
    for family in sorted(families):
        space = parse_space(settings.families[family].space, settings.families[family].space_file)
        study_id = open_study(storage, f"{settings.name}/{family}", "accuracy", "maximize")._study_id
        there = {_identity(trial.user_attrs.get("seed"), trial.params) for trial in read_trials(storage, study_id)}
        ours = [record for record in records if record["family"] == family]
        trials = [trial for record in ours if (trial := _as_new(record, space, there)) is not None]
        with transaction(storage) as connection:
            for trial in trials:
                _, trial.number = insert_trial(connection, study_id, trial)
        for trial in trials:
            append_jsonl(files.trials_jsonl, record_of(trial, family))
        imported += len(trials)
    return imported


def _identity(seed: int | None, parameters: dict[str, Any]) -> tuple[int | None, str]:
    return seed, json.dumps(parameters, sort_keys=True)


def _as_new(record: dict[str, Any], space: SearchSpace, there: set[tuple[int | None, str]]) -> FrozenTrial | None:
    """The old trial as one of the new space; None if it counts for nothing, is there already, or does not fit."""
    usable = record["counted"] and record["state"] in ("COMPLETE", "PRUNED")
    if not usable or _identity(record["seed"], record["parameters"]) in there:
        return None
    found = replay(space, record["parameters"])
    return _trial(record, *found) if found is not None else None


def _trial(record: dict[str, Any], config: dict[str, Any], distributions: dict[str, BaseDistribution]) -> FrozenTrial:
    kept = {key: value for key, value in record.items() if key not in _OF_THE_OLD_SEARCH}
    texts = {name: distribution_to_json(distribution) for name, distribution in distributions.items()}
    return trial_of({**kept, "distributions": texts, "config": config, "role": "imported"})
