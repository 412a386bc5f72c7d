"""The record of a trial that both the database and `trials.jsonl` hold: made from either, and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from datetime import UTC

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from study.errors import ResultsError
from study.records.paths import StudyFiles
from study.records.settings import StudySettings
from study.records.trial import Form, TrialRecord, Trials, append_trials, parse_trial, written
from study.search.identity import ours, stored_studies
from study.search.tables import stored_trials

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
    "held_seconds",
    "training_seconds",
    "worker",
    "node",
    "n_parameters",
    "flops",
    "rung_scale",
)
# An hour of the clock that comes twice in autumn is told apart by the record alone.
_COMPARED = tuple(field.name for field in fields(TrialRecord) if field.name not in ("start", "end"))


def is_given(trial: FrozenTrial) -> bool:
    """Whether a stored trial's configuration was given to the study, and not drawn by its search."""
    return bool(trial.user_attrs.get("role", "sampled") != "sampled")


def record_of(trial: FrozenTrial, family: str) -> TrialRecord:
    """The trial as trials.jsonl has it. Made from the stored trial alone, so that either can rebuild the other."""
    return _record(trial, family, distribution_to_json)


def _record(trial: FrozenTrial, family: str, text_of: TextOf) -> TrialRecord:
    start, end = (moment and moment.astimezone(UTC) for moment in (trial.datetime_start, trial.datetime_complete))
    return parse_trial(
        {
            "config": {},
            **trial.user_attrs,
            "number": trial.number,
            "family": family,
            "parameters": trial.params,
            "distributions": {name: text_of(distribution) for name, distribution in trial.distributions.items()},
            "state": trial.state.name,
            "start": start,
            "end": end,
        }
    )


def trial_of(record: TrialRecord, form: Form) -> FrozenTrial:
    """The stored trial that a record tells of: what `record_of` would make that record from."""
    attributes = {name: value for name in _ATTRIBUTES if (value := getattr(record, name)) is not None}
    trial = create_trial(
        state=TrialState[record.state],
        value=_told_value(record),
        params=dict(record.parameters),
        distributions={name: json_to_distribution(text) for name, text in record.distributions.items()},
        user_attrs=written(attributes, form),
        intermediate_values=_values_at_rungs(record),
    )
    trial.number = record.number
    for attribute, moment in (("datetime_start", record.start), ("datetime_complete", record.end)):
        setattr(trial, attribute, moment and moment.astimezone().replace(tzinfo=None))
    return trial


def _told_value(record: TrialRecord) -> float | None:
    """The value of a stored trial: Optuna gives a pruned one its last report."""
    return None if record.state == "FAIL" else record.value


def _values_at_rungs(record: TrialRecord) -> dict[int, float]:
    return {rung.examples: rung.accuracy for rung in record.rungs}


def reconcile(trials: Sequence[FrozenTrial], family: str, records: Trials, files: StudyFiles, form: Form) -> Trials:
    """Compare the database's trials with trials.jsonl; return the records of this family by number.

    A trial that the database has and the file does not (a crash between the two writes) is appended; anything else
    that differs raises ResultsError with its number: the file has checksums, so that the database is damaged.
    """
    ours, missing = compare(trials, family, records, files)
    if missing:
        append_trials(files.trials_jsonl, missing, form)
    return Trials(sorted([*ours, *missing], key=lambda record: record.number))


def compare(trials: Sequence[FrozenTrial], family: str, records: Trials, files: StudyFiles) -> tuple[Trials, Trials]:
    """(records of this family, records of the finished trials in the database that are not among them)."""
    ours = {record.number: record for record in records.of(family)}
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
    missing = Trials(record_of(stored[number], family) for number in sorted(stored.keys() - ours.keys()))
    return Trials(ours.values()), missing


def _each_once() -> TextOf:
    """distribution_to_json, for distributions that outlive it: thousands of trials share a few dozen objects, and their
    texts took half of the time of a comparison."""
    texts: dict[int, str] = {}

    def text_of(distribution: BaseDistribution) -> str:
        if id(distribution) not in texts:
            texts[id(distribution)] = distribution_to_json(distribution)
        return texts[id(distribution)]

    return text_of


def _difference(trial: FrozenTrial | None, family: str, record: TrialRecord, text_of: TextOf) -> str | None:
    """In which way a stored trial is not what its record says, but for the times of the clock."""
    if trial is None:
        return " is in trials.jsonl but not in the database"
    stored = _record(trial, family, text_of)
    for name in _COMPARED:
        seen, told = getattr(stored, name), getattr(record, name)
        if seen != told:
            return f": {name} is {seen!r:.100} in the database and {told!r:.100} in trials.jsonl"
    # What ranks a pruned trial are its reports; it may have been stored without a value.
    unranked = record.state == "PRUNED" and trial.value is None
    other_reports = trial.intermediate_values != _values_at_rungs(record)
    # Reports of a trial that was cut short are used by nobody, and not recorded.
    if (trial.value != _told_value(record) and not unranked) or (record.counted and other_reports):
        return f": its values are {trial.intermediate_values!r:.100} in the database, others in trials.jsonl"
    return None


def compare_all(storage: RDBStorage, settings: StudySettings, records: Trials, files: StudyFiles) -> int:
    """Compare every family without changing anything; returns how many finished trials agree."""
    return sum(len(agreed) for agreed, _ in _compared(storage, settings, records, files))


def only_stored(storage: RDBStorage, settings: StudySettings, records: Trials, files: StudyFiles) -> Trials:
    """Records of the finished trials that the database has and trials.jsonl has not."""
    return Trials(record for _, missing in _compared(storage, settings, records, files) for record in missing)


def _compared(
    storage: RDBStorage, settings: StudySettings, records: Trials, files: StudyFiles
) -> Iterator[tuple[Trials, Trials]]:
    stored = ours(stored_studies(storage), files, settings)
    for family in settings.families:
        if family not in stored:
            raise ResultsError(
                f"{files.root}: the database does not know family {family}: "
                f"rebuild it with `study doctor {files.named} --repair`, or restore it"
            )
        yield compare(stored_trials(storage, stored[family].study_id), family, records, files)
