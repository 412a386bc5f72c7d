"""The record of a trial that both the database and `trials.jsonl` hold: made from either, and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from study.errors import ResultsError
from study.records.files import append_jsonl
from study.records.paths import StudyFiles
from study.records.settings import StudySettings
from study.search.identity import ours, stored_studies
from study.search.tables import read_trials

TextOf = Callable[[BaseDistribution], str]
# What of a record is kept as an attribute of the stored trial.
_ATTRIBUTES = (
    "config",
    "rungs",
    "ending",
    "reason",
    "role",
    "draw",
    "seed",
    "attempt",
    "further_seed_of",
    "counted",
    "seconds",
    "training_seconds",
    "worker",
    "n_parameters",
    "flops",
)


def record_of(trial: FrozenTrial, family: str) -> dict[str, Any]:
    """The trial's line in trials.jsonl. Made from the stored trial alone, so that either can rebuild the other."""
    return _record(trial, family, distribution_to_json)


def _record(trial: FrozenTrial, family: str, text_of: TextOf) -> dict[str, Any]:
    attrs = trial.user_attrs
    start, end = (
        moment and moment.astimezone(UTC).isoformat() for moment in (trial.datetime_start, trial.datetime_complete)
    )
    rungs = attrs.get("rungs", [])
    return {
        "number": trial.number,
        "family": family,
        "parameters": trial.params,
        "config": attrs.get("config", {}),
        "distributions": {name: text_of(distribution) for name, distribution in trial.distributions.items()},
        "rungs": rungs,
        "state": trial.state.name,
        "ending": attrs.get("ending"),
        "reason": attrs.get("reason"),
        "role": attrs.get("role", "sampled"),
        "value": rungs[-1]["accuracy"] if rungs else None,
        "nll": rungs[-1]["nll"] if rungs else None,
        "draw": attrs.get("draw"),
        "seed": attrs.get("seed"),
        "attempt": attrs.get("attempt", 1),
        "further_seed_of": attrs.get("further_seed_of"),
        "counted": attrs.get("counted", True),
        "start": start,
        "end": end,
        "seconds": attrs.get("seconds", 0.0),
        "training_seconds": attrs.get("training_seconds", 0.0),
        "worker": attrs.get("worker"),
        "n_parameters": attrs.get("n_parameters"),
        "flops": attrs.get("flops"),
        "examples": rungs[-1]["examples"] if rungs else 0,
    }


def trial_of(record: dict[str, Any]) -> FrozenTrial:
    """The trial that a line of trials.jsonl tells of: what `record_of` would make that line from."""
    trial = create_trial(
        state=TrialState[record["state"]],
        value=_told_value(record),
        params=record["parameters"],
        distributions={name: json_to_distribution(text) for name, text in record["distributions"].items()},
        user_attrs={key: record[key] for key in _ATTRIBUTES if record.get(key) is not None},
        intermediate_values=_values_at_rungs(record),
    )
    trial.number = record["number"]
    for attribute, key in (("datetime_start", "start"), ("datetime_complete", "end")):
        moment = record[key] and datetime.fromisoformat(record[key]).astimezone().replace(tzinfo=None)
        setattr(trial, attribute, moment)
    return trial


def _told_value(record: dict[str, Any]) -> float | None:
    """The value of a stored trial: Optuna gives a pruned one its last report."""
    return record["value"] if record["state"] in ("COMPLETE", "PRUNED") else None


def _values_at_rungs(record: dict[str, Any]) -> dict[int, float]:
    return {rung["examples"]: rung["accuracy"] for rung in record["rungs"]}


def reconcile(
    trials: Sequence[FrozenTrial], family: str, records: list[dict[str, Any]], files: StudyFiles
) -> list[dict[str, Any]]:
    """Compare the database's trials with trials.jsonl; return the records of this family.

    A trial that the database has and the file does not (a crash between the two writes) is appended; anything else
    that differs raises ResultsError with its number: the file has checksums, so that the database is damaged.
    """
    ours, missing = compare(trials, family, records, files)
    for record in missing:
        append_jsonl(files.trials_jsonl, record)
    return sorted([*ours, *missing], key=lambda record: record["number"])


def compare(
    trials: Sequence[FrozenTrial], family: str, records: list[dict[str, Any]], files: StudyFiles
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(records of this family, records of the finished trials in the database that are not among them)."""
    ours = {record["number"]: record for record in records if record["family"] == family}
    stored = {trial.number: trial for trial in trials if trial.state.is_finished()}
    text_of = _each_once()
    found = {number: _difference(stored.get(number), family, ours[number], text_of) for number in sorted(ours)}
    differing = {number: difference for number, difference in found.items() if difference}
    if differing:
        first, difference = next(iter(differing.items()))
        all_of_them = f" (differing: {', '.join(map(str, differing))})" if len(differing) > 1 else ""
        raise ResultsError(
            f"{files.root}: trial {first} of {family}{difference}{all_of_them}; the database is damaged: "
            f"rebuild it with `study doctor {files.named} --repair`, or restore it"
        )
    return list(ours.values()), [record_of(stored[number], family) for number in sorted(stored.keys() - ours.keys())]


def _each_once() -> TextOf:
    """distribution_to_json, for distributions that outlive it: thousands of trials share a few dozen objects, and their
    texts took half of the time of a comparison."""
    texts: dict[int, str] = {}

    def text_of(distribution: BaseDistribution) -> str:
        if id(distribution) not in texts:
            texts[id(distribution)] = distribution_to_json(distribution)
        return texts[id(distribution)]

    return text_of


def _difference(trial: FrozenTrial | None, family: str, record: dict[str, Any], text_of: TextOf) -> str | None:
    """In which way a stored trial is not what its record says. Times are left out: an hour of the clock that comes
    twice in autumn is told apart by the record alone."""
    if trial is None:
        return " is in trials.jsonl but not in the database"
    stored = _record(trial, family, text_of)
    for key in stored.keys() & record.keys() - {"start", "end"}:
        if stored[key] != record[key]:
            return f": {key} is {stored[key]!r:.100} in the database and {record[key]!r:.100} in trials.jsonl"
    told = _told_value(record)
    # What ranks a pruned trial are its reports; it may have been stored without a value.
    unranked = record["state"] == "PRUNED" and trial.value is None
    other_reports = trial.intermediate_values != _values_at_rungs(record)
    # Reports of a trial that was cut short are used by nobody, and not recorded.
    if (trial.value != told and not unranked) or (record["counted"] and other_reports):
        return f": its values are {trial.intermediate_values!r:.100} in the database, others in trials.jsonl"
    return None


def compare_all(storage: RDBStorage, settings: StudySettings, records: list[dict[str, Any]], files: StudyFiles) -> int:
    """Compare every family without changing anything; returns how many finished trials agree."""
    return sum(len(agreed) for agreed, _ in _compared(storage, settings, records, files))


def only_stored(
    storage: RDBStorage, settings: StudySettings, records: list[dict[str, Any]], files: StudyFiles
) -> list[dict[str, Any]]:
    """Records of the finished trials that the database has and trials.jsonl has not."""
    return [record for _, missing in _compared(storage, settings, records, files) for record in missing]


def _compared(
    storage: RDBStorage, settings: StudySettings, records: list[dict[str, Any]], files: StudyFiles
) -> Iterator[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    stored = ours(stored_studies(storage), files, settings)
    for family in settings.families:
        if family not in stored:
            raise ResultsError(
                f"{files.root}: the database does not know family {family}: "
                f"rebuild it with `study doctor {files.named} --repair`, or restore it"
            )
        yield compare(read_trials(storage, stored[family].study_id), family, records, files)
