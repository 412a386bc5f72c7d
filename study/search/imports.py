"""`--from OLD`: a new study that begins with another's trials."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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

from study.errors import ResumeError
from study.records.paths import StudyFiles
from study.records.settings import StudySettings, load_settings
from study.records.trial import TrialRecord, Trials, append_trials, read_trials
from study.search.agreement import trial_of
from study.search.identity import owner_of
from study.search.storage import open_study, transaction
from study.search.tables import insert_trials, stored_trials
from study.space.grammar import parse_space
from study.space.parameters import SearchSpace
from study.space.points import identity
from study.space.sampling import sample


class _Misfit(Exception):
    """A parameter of an old trial that the new space does not have, or not with this value."""


class _Replay:
    """A trial that answers every suggestion with an old trial's value, if the new range holds it."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
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


def replay(
    space: SearchSpace, parameters: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, BaseDistribution]] | None:
    """(configuration, distributions) of an old trial in `space`, or None if it could not have been drawn there."""
    try:
        return _replayed(space, parameters)
    except _Misfit:
        return None


def _replayed(space: SearchSpace, parameters: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """As `replay`; _Misfit names the first parameter that does not fit."""
    trial = _Replay(parameters)
    config = sample(space, trial)
    for name in parameters:
        if name not in trial.distributions:
            raise _Misfit(name)
    return config, trial.distributions


# --- the study that is imported from -------------------------------------------------------------------------------


def load_source(source: StudyFiles, settings: StudySettings) -> StudySettings:
    """Settings of the study to import from. ResumeError if its trials were not measured on the same ground."""
    old = load_settings(source.settings)
    for what, before, now in (
        ("dataset", _training_files(old), _training_files(settings)),
        ("validation split", old.dataset.split_sha256, settings.dataset.split_sha256),
    ):
        if before != now:
            raise ResumeError(
                f"--from {source.root}: its {what} is not this study's; trials can be imported on the same one only"
            )
    return old


def _training_files(settings: StudySettings) -> tuple[object, ...]:
    """Of the data what a trial saw, and how."""
    dataset = settings.dataset
    digests = {role: digest for role, digest in dataset.sha256.items() if not role.startswith("test")}
    return digests, dataset.was_transposed, dataset.inverted, dataset.levels


def check_source(source: StudyFiles, settings: StudySettings, spaces: Sequence[SearchSpace]) -> None:
    """ResumeError, before any work, if a new study with these spaces could begin with no trial of the source."""
    load_source(source, settings)
    records = read_trials(source.trials_jsonl)
    fits = {space.family: fitting(records, space) for space in spaces}
    if not any(fit.trials for fit in fits.values()):
        raise ResumeError(
            f"--from {source.root}: none of its {len(records)} trials can begin this study: {left_out(fits)}; "
            "expected trials that these spaces could have drawn: search its own spaces, or begin without --from"
        )


@dataclass(frozen=True)
class Fit:
    """Of a family's old trials those that can be imported, and why others cannot, with how often."""

    trials: list[TrialRecord]
    reasons: Counter[str]


def fitting(
    records: Trials,
    space: SearchSpace,
    there: frozenset[tuple[int | None, str]] = frozenset(),
) -> Fit:
    """The old trials as those of the new space, but for those that are `there` already."""
    trials: list[TrialRecord] = []
    reasons: Counter[str] = Counter()
    for record in records.of(space.family):
        if _identity(record.seed, record.parameters) in there:
            continue
        if not record.counted or record.state == "FAIL":
            reasons["failed or interrupted"] += 1
            continue
        try:
            trials.append(_imported(record, *_replayed(space, record.parameters)))
        except _Misfit as misfit:
            reasons[f"outside its space by {misfit}"] += 1
    return Fit(trials, reasons)


def left_out(fits: Mapping[str, Fit]) -> str:
    """Which trials were not imported and why, in words; empty if all were."""
    said = []
    for family, fit in fits.items():
        parts = [f"{n} {reason}" for reason, n in fit.reasons.most_common()]
        if not fit.trials and not parts:
            parts = ["it has none"]
        said += [f"{family}: {', '.join(parts)}"] if parts else []
    return "; ".join(said)


def import_trials(
    files: StudyFiles, settings: StudySettings, storage: RDBStorage, source: StudyFiles, families: set[str]
) -> dict[str, Fit]:
    """Add the source's finished trials that the new spaces could have drawn and that are not there yet; returns them,
    with what was left out, by family.

    They keep their values and are charged the seconds that they cost.
    """
    records = read_trials(source.trials_jsonl)
    fits = {}
    for family in sorted(families):
        space = parse_space(settings.families[family].space, settings.families[family].space_file)
        name = f"{settings.name}/{family}"
        study_id = open_study(storage, name, "accuracy", "maximize", owner_of(settings))._study_id
        known = stored_trials(storage, study_id)
        there = frozenset(_identity(trial.user_attrs.get("seed"), trial.params) for trial in known)
        fits[family] = fitting(records, space, there)
        numbered = _numbered(known, fits[family].trials)
        with transaction(storage) as connection:
            insert_trials(connection, study_id, [trial_of(record, settings.format_version) for record in numbered])
        append_trials(files.trials_jsonl, numbered, settings.format_version)
    return fits


def _numbered(known: Sequence[FrozenTrial], new: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The old study's numbers are not this one's: trials are numbered on from those that are there."""
    configs = [trial.user_attrs.get("config", {}) for trial in known] + [record.config for record in new]
    firsts: dict[str, int] = {}
    first_of = [firsts.setdefault(identity(config), number) for number, config in enumerate(configs)]
    return [
        replace(record, number=number, further_seed_of=None if first_of[number] == number else first_of[number])
        for number, record in enumerate(new, len(known))
    ]


def _identity(seed: int | None, parameters: Mapping[str, Any]) -> tuple[int | None, str]:
    return seed, json.dumps(dict(parameters), sort_keys=True)


def _imported(record: TrialRecord, config: dict[str, Any], distributions: dict[str, BaseDistribution]) -> TrialRecord:
    """An old trial as one that the new search begins with, without its place in the old one."""
    texts = {name: distribution_to_json(distribution) for name, distribution in distributions.items()}
    place: dict[str, Any] = {"draw": None, "attempt": 1, "further_seed_of": None}
    return replace(record, distributions=texts, config=config, role="imported", **place)
