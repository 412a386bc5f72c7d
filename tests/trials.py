"""Trials of a study as tests need them: what is not said is as in a trial that went well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from study.records.trial import Form, Rung, TrialRecord, append_trials

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_ENDINGS: dict[str, Any] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}


def rungs(*reached: tuple[int, float], nll: float = 0.5, seconds: float = 0.1) -> tuple[Rung, ...]:
    """From (examples, accuracy) in rising order; `seconds` of training in all, in proportion to the examples."""
    return tuple(Rung(n, accuracy, nll, 1.1, seconds * n / reached[-1][0]) for n, accuracy in reached)


def trial(
    number: int,
    value: float | None = 0.9,
    *,
    nll: float = 0.5,
    examples: int = 900,
    state: Any = "COMPLETE",
    **more: Any,
) -> TrialRecord:
    """A trial that came to `examples` with this accuracy, or that reached no rung if `value` is None."""
    seconds = more.setdefault("training_seconds", 0.1)
    reached = () if value is None else rungs((examples, value), nll=nll, seconds=seconds)
    fields: dict[str, Any] = {
        "number": number,
        "family": "mlp",
        "parameters": {"x": 0.1 * number},
        "config": {"family": more.get("family", "mlp"), "width": number},
        "distributions": {},
        "rungs": reached,
        "state": state,
        "ending": _ENDINGS[state],
        "start": BEGAN + timedelta(seconds=number),
        "end": BEGAN + timedelta(seconds=number + 1),
        "held_seconds": 0.2,
    }
    return TrialRecord(**fields | more)


def write_trials(path: Path, records: Iterable[TrialRecord], form: Form = 2) -> Sequence[TrialRecord]:
    """Append trials to a file, and return them."""
    appended = list(records)
    append_trials(path, appended, form)
    return appended
