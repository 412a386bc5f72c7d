"""The trials of a study as `trials.jsonl` holds them, a line each, in either of its forms.

Form 2 calls a value by the name that it has here. Form 1, which a study that began with it keeps, says `seconds` for
the `held_seconds` of a trial and the `training_seconds` of a rung, and `nll` for `nll_scaled`; it has the last rung's
accuracy (as `value`), NLL and examples once more beside the rungs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias, overload

from study.errors import ResultsError
from study.records.collecting import uncollected
from study.records.files import append_jsonl, read_jsonl

Form = Literal[1, 2]
Scalar: TypeAlias = str | int | float | bool
State = Literal["COMPLETE", "PRUNED", "FAIL"]
# sampled: drawn by the search; all else is given: a warm start of the space, a configuration from a file of the
# user's, a trial of another study, a configuration proposed while the search ran.
Role = Literal["sampled", "warm_start", "given_file", "imported", "proposed"]
Origin = Literal["found", "given"]
SOURCES: Mapping[Role, str] = {
    "warm_start": "warm start",
    "given_file": "file",
    "imported": "imported",
    "proposed": "proposed",
}
# complete: reached the top rung; pruned: by the pruner; budget: stopped at a rung, because the search ended; failed: by
# its own cause; interrupted: its command or its worker ended; withdrawn: the search ended before it began.
Ending = Literal["complete", "pruned", "budget", "failed", "interrupted", "withdrawn"]


@dataclass(frozen=True, slots=True)
class Rung:
    """What a trial had reached after so many examples: accuracy and temperature-scaled NLL on validation, the
    temperature, and the seconds of training so far, 0 where an older study does not say."""

    examples: int
    accuracy: float
    nll_scaled: float
    temperature: float = 1.0
    training_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One trial that ended. `parameters` are what Optuna drew, by its names, and `distributions` their ranges as Optuna
    writes them; `config` is the network's. A draw of the family that was interrupted is repeated as another `attempt`.
    A worker held the trial for `held_seconds`, of which it trained for `training_seconds`; `node` is its machine's host
    name, None where that was not recorded. Rungs are named by the examples of the family's ladder; where they take
    equal seconds, the trial had seen `rung_scale` times as many."""

    number: int
    family: str
    parameters: Mapping[str, Scalar]
    config: Mapping[str, Any]
    distributions: Mapping[str, str]
    rungs: tuple[Rung, ...]
    state: State
    ending: Ending
    reason: str | None = None
    role: Role = "sampled"
    draw: int | None = None
    seed: int | None = None
    attempt: int = 1
    further_seed_of: int | None = None  # the first trial of the same configuration
    counted: bool = True
    start: datetime | None = None
    end: datetime | None = None
    held_seconds: float = 0.0
    training_seconds: float = 0.0
    worker: int | None = None
    node: str | None = None
    n_parameters: int | None = None
    flops: int | None = None
    rung_scale: float = 1.0

    @property
    def last(self) -> Rung:
        """The last rung that it reached; IndexError for a trial that reached none."""
        return self.rungs[-1]

    @property
    def value(self) -> float | None:
        """Accuracy at the last rung, None before the first; so with what follows."""
        return self.last.accuracy if self.rungs else None

    @property
    def nll_scaled(self) -> float | None:
        return self.last.nll_scaled if self.rungs else None

    @property
    def examples(self) -> int:
        """That it saw in all."""
        return self.seen[-1] if self.rungs else 0

    @property
    def seen(self) -> tuple[int, ...]:
        """Examples that it had seen at each of its rungs."""
        return scaled([rung.examples for rung in self.rungs], self.rung_scale)

    @property
    def origin(self) -> Origin:
        """Whether the search found this configuration, or it was given to the study."""
        return "found" if self.role == "sampled" else "given"

    @property
    def origin_in_words(self) -> str:
        return origin_in_words(self.role)

    @property
    def rank(self) -> tuple[float, float]:
        """Smaller is better: accuracy at the last rung, ties by temperature-scaled NLL. IndexError without a rung."""
        return -self.last.accuracy, self.last.nll_scaled

    @property
    def title(self) -> str:
        """`mlp #3`."""
        return f"{self.family} #{self.number}"


def scaled(rungs: Iterable[int], rung_scale: float) -> tuple[int, ...]:
    """Examples that a trial sees up to each rung of a ladder."""
    return tuple(round(rung_scale * examples) for examples in rungs)


def origin_in_words(role: Role) -> str:
    """`found`, or with where it comes from: `given (warm start)`."""
    return "found" if role == "sampled" else f"given ({SOURCES[role]})"


class Trials(Sequence[TrialRecord]):
    """Trials of a study, in the order in which they were recorded."""

    __slots__ = ("_records",)

    def __init__(self, records: Iterable[TrialRecord] = ()) -> None:
        self._records = tuple(records)

    @overload
    def __getitem__(self, index: int) -> TrialRecord: ...
    @overload
    def __getitem__(self, index: slice) -> Trials: ...
    def __getitem__(self, index: int | slice) -> TrialRecord | Trials:
        return Trials(self._records[index]) if isinstance(index, slice) else self._records[index]

    def __len__(self) -> int:
        return len(self._records)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Trials) and self._records == other._records

    def __repr__(self) -> str:
        return f"Trials({list(self._records)})"

    def of(self, family: str) -> Trials:
        return Trials(trial for trial in self._records if trial.family == family)

    @property
    def families(self) -> list[str]:
        """Those that have trials, in the order of their first ones."""
        return list(dict.fromkeys(trial.family for trial in self._records))

    @property
    def counted(self) -> Trials:
        """Without those that were nobody's fault: interrupted, and tried again."""
        return Trials(trial for trial in self._records if trial.counted)

    @property
    def found(self) -> Trials:
        """Those that the search drew."""
        return Trials(trial for trial in self._records if trial.origin == "found")

    @property
    def given(self) -> Trials:
        """Those whose configuration was given: `of(family).given.ranked` has a family's best one first."""
        return Trials(trial for trial in self._records if trial.origin == "given")

    @property
    def completed(self) -> Trials:
        """Those that reached the top rung, with a finite value."""
        return Trials(trial for trial in self._records if _is_complete(trial))

    @property
    def best(self) -> TrialRecord | None:
        """The completed trial of the highest accuracy, ties by temperature-scaled NLL; None if there is none."""
        return min(self.completed, key=lambda trial: trial.rank, default=None)

    @property
    def ranked(self) -> Trials:
        """Best first: completed ones by rank, then those that were pruned by how far they came."""
        pruned = (trial for trial in self._records if trial.state == "PRUNED" and trial.rungs)
        completed = sorted(self.completed, key=lambda trial: trial.rank)
        return Trials([*completed, *sorted(pruned, key=lambda trial: (-trial.last.examples, *trial.rank))])

    @property
    def held_seconds(self) -> float:
        """Worker-seconds."""
        return math.fsum(trial.held_seconds for trial in self._records)

    @property
    def states(self) -> Mapping[State, int]:
        counts = Counter(trial.state for trial in self._records)
        return {state: counts[state] for state in ("COMPLETE", "PRUNED", "FAIL")}


def _is_complete(trial: TrialRecord) -> bool:
    return trial.state == "COMPLETE" and trial.value is not None and math.isfinite(trial.value)


# --- reading ---------------------------------------------------------------------------------------------------------


@uncollected()
def read_trials(path: Path) -> Trials:
    """None if there is no file. ResultsError with the number of a line that is damaged, or is no trial."""
    return Trials(_of_line(path, number, line) for number, line in enumerate(read_jsonl(path), 1))


def _of_line(path: Path, number: int, line: Mapping[str, Any]) -> TrialRecord:
    try:
        return parse_trial(line)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ResultsError(
            f"{path} line {number} is no trial of a known form ({type(error).__name__}: {error}); "
            "restore the file, or start a new study with --from"
        ) from None


def parse_trial(values: Mapping[str, Any]) -> TrialRecord:
    """A trial from a line of trials.jsonl, or from what the database holds of it, of either form. KeyError or another
    one of Python's own if it is none."""
    get = values.get
    return TrialRecord(
        number=values["number"],
        family=values["family"],
        parameters=values["parameters"],
        config=values["config"],
        distributions=values["distributions"],
        rungs=tuple([_parse_rung(rung) for rung in get("rungs", ())]),
        state=values["state"],
        ending=_ending(values),
        reason=get("reason"),
        role=get("role", "sampled"),
        draw=get("draw"),
        seed=get("seed"),
        attempt=get("attempt", 1),
        further_seed_of=get("further_seed_of"),
        counted=get("counted", True),
        start=_moment(get("start")),
        end=_moment(get("end")),
        held_seconds=get("held_seconds" if "held_seconds" in values else "seconds", 0.0),
        training_seconds=get("training_seconds", 0.0),
        worker=get("worker"),
        node=get("node"),
        n_parameters=get("n_parameters"),
        flops=get("flops"),
        rung_scale=get("rung_scale", 1.0),
    )


def _parse_rung(values: Mapping[str, Any]) -> Rung:
    # Keys tell the form, and few calls: a study has thousands of rungs.
    nll, seconds = ("nll_scaled", "training_seconds") if "nll_scaled" in values else ("nll", "seconds")
    return Rung(
        values["examples"],
        values["accuracy"],
        values[nll],
        values.get("temperature", 1.0),
        values.get(seconds, 0.0),
    )


def _ending(values: Mapping[str, Any]) -> Ending:
    """Lines written before there was one tell it by how their reason begins."""
    ending: Ending | None = values.get("ending")
    if ending is not None:
        return ending
    reason = str(values.get("reason"))
    if values["state"] == "COMPLETE":
        return "complete"
    if values["state"] == "PRUNED":
        return "pruned" if reason.startswith("pruned") else "budget"
    if values.get("counted", True):
        return "failed"
    return "withdrawn" if reason.startswith("withdrawn") else "interrupted"


def _moment(value: str | datetime | None) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


# --- writing ---------------------------------------------------------------------------------------------------------


_FIELDS = tuple(field.name for field in fields(TrialRecord))
_TRIAL_IN_FORM_1 = {"held_seconds": "seconds", "nll_scaled": "nll"}
_RUNG_IN_FORM_1 = {"training_seconds": "seconds", "nll_scaled": "nll"}
_ALSO_IN_FORM_1 = ("value", "nll_scaled", "examples")


def append_trials(path: Path, records: Iterable[TrialRecord], form: Form) -> None:
    """Append their lines in the form of the study, on the disk before this returns."""
    append_jsonl(path, *(line_of(record, form) for record in records))


def line_of(record: TrialRecord, form: Form) -> dict[str, Any]:
    """The trial's line in trials.jsonl."""
    names = (*_FIELDS, *_ALSO_IN_FORM_1) if form == 1 else _FIELDS
    return written({name: getattr(record, name) for name in names}, form)


def written(values: Mapping[str, Any], form: Form) -> dict[str, Any]:
    """What a record has, by name, as a form writes it: under its names, as values of JSON."""
    names = _TRIAL_IN_FORM_1 if form == 1 else {}
    return {names.get(name, name): _plain(value, form) for name, value in values.items()}


def _plain(value: Any, form: Form) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(item, form) for item in value]
    if isinstance(value, Rung):
        names = _RUNG_IN_FORM_1 if form == 1 else {}
        return {names.get(field.name, field.name): getattr(value, field.name) for field in fields(Rung)}
    return value
