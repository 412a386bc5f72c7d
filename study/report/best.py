"""What the report quotes of one trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from study.records.trial import Role, TrialRecord
from study.statistics.result import Result


@dataclass(frozen=True, slots=True)
class TrialSummary(Result):
    """Its accuracy on validation (`value`), the NLL there at the best temperature, and what its network is."""

    number: int
    family: str
    value: float
    nll_scaled: float | None
    role: Role
    n_parameters: int | None
    flops: int | None
    training_seconds: float
    config: Mapping[str, Any]


def summary(trial: TrialRecord | None) -> TrialSummary | None:
    """Of a completed trial."""
    if trial is None:
        return None
    return TrialSummary(
        number=trial.number,
        family=trial.family,
        value=trial.last.accuracy,
        nll_scaled=trial.nll_scaled,
        role=trial.role,
        n_parameters=trial.n_parameters,
        flops=trial.flops,
        training_seconds=trial.training_seconds,
        config=trial.config,
    )
