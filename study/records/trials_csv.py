"""`trials.csv`: the trials as a table, for other programs."""

from __future__ import annotations

from collections.abc import Iterable

from study.records.files import write_csv
from study.records.paths import StudyFiles
from study.records.trial import Form, TrialRecord, written

_COLUMNS: tuple[str, ...] = (
    "number",
    "family",
    "state",
    "ending",
    "role",
    "origin",
    "value",
    "nll_scaled",
    "examples",
    "held_seconds",
    "training_seconds",
    "worker",
    "node",
    "seed",
    "attempt",
    "further_seed_of",
    "counted",
    "reason",
    "n_parameters",
    "flops",
    "start",
    "end",
)
_NOT_IN_FORM_1 = frozenset({"origin", "node"})


def write_trials_csv(files: StudyFiles, trials: Iterable[TrialRecord], form: Form) -> None:
    """One column a parameter, families after each other, with the names that this form has."""
    ordered = sorted(trials, key=lambda trial: (trial.family, trial.number))
    names = sorted({name for trial in ordered for name in trial.parameters})
    rows = [[*_cells(trial, form).values(), *(trial.parameters.get(name, "") for name in names)] for trial in ordered]
    header = [*written(dict.fromkeys(_columns(form)), form), *(f"param_{name}" for name in names)]
    write_csv(files.trials_csv, header, rows)


def _cells(trial: TrialRecord, form: Form) -> dict[str, object]:
    return written({column: getattr(trial, column) for column in _columns(form)}, form)


def _columns(form: Form) -> Iterable[str]:
    """An older study's table keeps the columns that it began with."""
    return _COLUMNS if form == 2 else (column for column in _COLUMNS if column not in _NOT_IN_FORM_1)
