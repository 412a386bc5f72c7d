"""Runs and finalists, whole, for tests that ask about one of their values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from study.records.finalists import Candidate, FamilyResult, Finalists
from study.records.run import HistoryRow, Layer, RunMetrics, RunRecord

RECORD = RunRecord(
    family="mlp",
    trial=3,
    role="candidate",
    seed=5,
    seed_index=0,
    data_part="train",
    examples=400,
    steps=8,
    n_classes=10,
    mean=0.2,
    std=0.3,
    device="cpu",
    precision="fp32",
    threads=1,
)
METRICS = RunMetrics(
    accuracy=0.5,
    nll=1.5,
    nll_scaled=1.25,
    temperature=1.5,
    train_loss=2.0,
    n_parameters=10,
    flops=20,
    training_seconds=0.25,
    seconds=0.5,
    layers=(Layer("linear", (10,), 10),),
)
ROW = HistoryRow(
    examples=100,
    epoch=0.5,
    learning_rate=0.1,
    train_loss=2.0,
    validation_loss=None,
    validation_accuracy=None,
    seconds=0.1,
)


def run_record(**changes: Any) -> RunRecord:
    return replace(RECORD, **changes)


def run_metrics(**changes: Any) -> RunMetrics:
    return replace(METRICS, **changes)


def history_row(**changes: Any) -> HistoryRow:
    return replace(ROW, **changes)


def candidate(trial: int = 3, *, family: str = "mlp", **changes: Any) -> Candidate:
    """A trial that was trained again once."""
    whole = Candidate(
        trial=trial,
        examples=600,
        search_accuracy=0.9,
        search_nll=0.5,
        runs=(f"{family}-t{trial}-seed0",),
        accuracies=(changes.get("mean_accuracy", 0.9),),
        mean_accuracy=0.9,
        mean_nll=0.1,
    )
    return replace(whole, **changes)


def family_result(*candidates: Candidate, final_runs: tuple[str, ...] = ()) -> FamilyResult:
    """The first of its candidates became its finalist."""
    first = candidates[0]
    return FamilyResult(candidates, first.trial, final_runs, first.examples)


def finalists(**families: FamilyResult) -> Finalists:
    return Finalists(families)
