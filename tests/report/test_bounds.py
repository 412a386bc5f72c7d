"""The bounds that advice keeps to are those that the configurations hold."""

from __future__ import annotations

import pytest
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel

from study.models import FAMILIES
from study.report import bounds
from study.report.advice import future_work
from study.training.config import TrainingConfig


def declared(config: type[BaseModel]) -> bounds.Bounds:
    found: bounds.Bounds = {}
    for name, field in config.model_fields.items():
        low = next((float(m.ge if isinstance(m, Ge) else m.gt) for m in field.metadata if isinstance(m, Ge | Gt)), None)
        high = next(
            (float(m.le if isinstance(m, Le) else m.lt) for m in field.metadata if isinstance(m, Le | Lt)), None
        )
        if (low, high) != (None, None):
            found[name] = (low, high)
    return found


def test_every_family_has_its_bounds() -> None:
    assert {name: declared(family.Config) for name, family in FAMILIES.items()} == bounds.FAMILIES


def test_training_has_its_bounds() -> None:
    assert declared(TrainingConfig) == bounds.TRAINING


def advice(family: str, parameter: str, low: float, high: float, value: float, end: str) -> list[str]:
    """The advice on one edge, everything else of a report left empty."""
    edge = {"parameter": parameter, "value": value, "low": low, "high": high, "end": end}
    entry = {"edges": [edge], "ablation": None, "completed_sampled": 9}
    report = {
        "answer": {"stage": "searching", "trials": 0},
        "header": {"openings": [], "name": "x"},
        "health": {"states": {}, "failures": []},
        "families": {"families": []},
        "mattered": {"families": {family: entry}},
        "fair": {"curves": {}},
        "protocol": {"budget": {"unequal": False}, "budget_s": 300.0, "n_trials": None},
        "leaderboard": {"rows": []},
        "pairwise": {"optimism": {}},
        "curves": {"families": {}},
        "robustness": {"measured": None},
        "searches": None,
    }
    return [item["text"] for item in future_work(report)]


@pytest.mark.parametrize(
    ("family", "parameter", "high", "said"),
    [
        ("mlp", "depth", 5, "give width more room"),
        ("cnn", "stages", 4, "cannot be halved more often"),
        ("cnn", "dropout", 0.7, "more weight_decay"),
        ("mixer", "depth", 12, "give width more room"),
        ("mlp", "warmup[one_cycle]", 0.5, "learning_rate"),
    ],
)
def test_a_limit_of_the_family_is_not_to_be_widened(family: str, parameter: str, high: float, said: str) -> None:
    (text,) = advice(family, parameter, 0.1, high, high, "high")
    assert said in text
    assert "widen" not in text


@pytest.mark.parametrize(("parameter", "high"), [("depth", 4), ("learning_rate[sgd]", 1.0), ("width.0", 1024)])
def test_below_the_limit_the_range_is_to_be_widened(parameter: str, high: float) -> None:
    (text,) = advice("mlp", parameter, 0.1, high, high, "high")
    assert "widen it (section 14" in text


def test_nothing_lies_below_the_least_that_a_family_can_have() -> None:
    assert advice("cnn", "stages", 2, 4, 2, "low") == []
    assert len(advice("cnn", "stages", 3, 4, 3, "low")) == 1
