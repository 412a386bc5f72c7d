"""Trials of one family that ended, made by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from study.records.trial import Rung, TrialRecord

START = datetime(2026, 1, 1, tzinfo=UTC)


def trial(number: int, value: float | None = None, *, first: float | None = None, **more: Any) -> TrialRecord:
    """Ended at second `number` after 10 s; complete with a value at its second rung, else pruned at its first one."""
    rungs = [Rung(100, 0.5 + number / 100 if first is None else first, 0.1)]
    rungs += [Rung(200, value, 0.1)] if value is not None else []
    known: dict[str, Any] = {"state": "COMPLETE", "ending": "complete"} if value is not None else {}
    ended = {"end": START + timedelta(seconds=number), "held_seconds": 10.0, "rungs": tuple(rungs)}
    blank: dict[str, Any] = {"parameters": {}, "config": {}, "distributions": {}, "state": "PRUNED", "ending": "pruned"}
    return TrialRecord(**{"number": number, "family": "cnn", **blank, **known, **ended, **more})
