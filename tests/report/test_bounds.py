"""The bounds that advice keeps to are those that the configurations hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Literal

import cases
import pytest
from pydantic import Field
from synthetic import write_study

from study import models
from study.models.mlp import MLP
from study.records.settings import Configuration, FamilySettings, Ladder, Limit, change_settings, load_settings
from study.report import bounds
from study.report.advice_on_search import at_edges
from study.report.distributions import Edge
from study.training.config import limits_of

FAMILIES = tuple(models.FAMILIES)
DEFAULT = Limit().instead


def settings(**limits: Limit) -> FamilySettings:
    return FamilySettings(
        space_file="f.toml", space="", ladder=Ladder(examples=(1,), reduction_factor=2), limits=limits
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_an_older_study_has_the_limits_that_a_new_one_records(family: str) -> None:
    recorded = limits_of(family)
    assert {"dropout", "momentum", "batch_size"} <= recorded.keys()
    assert bounds.limits_of(family, settings()) == recorded == bounds.limits_of(family, settings(**recorded))


def test_a_family_that_is_not_here_has_the_limits_that_its_study_recorded_or_none() -> None:
    known = {"depth": Limit(low=1, high=3, instead="give height more room")}
    assert bounds.limits_of("tower", settings(**known)) == known
    assert bounds.limits_of("tower", settings()) == {}


REPORT = """
import pathlib, sys
from study.report.page import write_report
from study.records.paths import StudyFiles
write_report(StudyFiles(pathlib.Path(sys.argv[1])))
assert "torch" not in sys.modules
"""


def test_the_report_of_recorded_limits_loads_no_network(tmp_path: Path) -> None:
    files = write_study(tmp_path / "study", cases.CASES["clear win"])
    known = load_settings(files.settings).families
    limited = {name: family.model_copy(update={"limits": limits_of(name)}) for name, family in known.items()}
    change_settings(files.settings, families=limited)
    subprocess.run([sys.executable, "-c", REPORT, str(files.root)], check=True, timeout=120)


@pytest.mark.parametrize("family", FAMILIES)
def test_whatever_has_an_end_says_what_to_do_instead(family: str) -> None:
    lacking = {key for key, limit in limits_of(family).items() if limit.high is not None and limit.instead == DEFAULT}
    assert not lacking


def test_a_bound_of_a_field_is_all_that_advice_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    class Config(Configuration):
        height: int = Field(ge=2, lt=9, json_schema_extra={"instead": "give breadth more room"})
        breadth: float | None = Field(default=None, gt=0)
        name: str

    class Tower(MLP):
        pass

    monkeypatch.setattr(Tower, "Config", Config)
    monkeypatch.setitem(models.FAMILIES, "tower", Tower)
    found = limits_of("tower")
    assert found["height"] == Limit(low=2, high=9, instead="give breadth more room")
    assert found["breadth"] == Limit(low=0)
    assert "name" not in found
    assert advice("tower", "height", 2, 9, 9, "high") == [
        "Best height of tower is at the most that the family can have (section 14, at most 9): give breadth more room."
    ]


def advice(
    family: str, parameter: str, low: float, high: float, value: float, end: Literal["low", "high"]
) -> list[str]:
    """The advice on one edge."""
    limit = bounds.limit_of(parameter, bounds.limits_of(family, settings()))
    return at_edges(family, [Edge(parameter, value, low, high, end, limit)], "section 14")


@pytest.mark.parametrize(
    ("family", "parameter", "high", "said"),
    [
        ("mlp", "depth", 5, "give width more room"),
        ("cnn", "stages", 4, "cannot be halved more often"),
        ("cnn", "dropout", 0.7, "more weight_decay"),
        ("mixer", "depth", 12, "give width more room"),
        ("mlp", "warmup[one_cycle]", 0.5, "learning_rate"),
        ("mlp", "width.0", 8192, "give depth"),
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
