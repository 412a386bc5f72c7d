from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from study.records.paths import StudyFiles
from study.report.comparison.facts import Fact, Kind
from study.report.comparison.sections.protocol import points

Comparisons = Callable[[str], dict[str, Any]]
Compared = Callable[[str], list[StudyFiles]]


def protocol_row(found: dict[str, Any], key: str) -> dict[str, Any]:
    return next(row for row in found["protocol"]["rows"] if row["key"] == key)


def test_what_differs_is_what_was_made_to_differ(comparison: Comparisons) -> None:
    found = comparison("clear win")
    differing = {row["key"]: row["values"] for row in found["protocol"]["rows"] if row["differs"]}
    spaces = {key: differing.pop(key) for key in ("space.cnn", "space.mlp")}
    assert differing == {"budget_s": [300.0, 600.0], "allowance_s": [48.0, 108.0]}
    assert all(one["digest"] != other["digest"] for one, other in spaces.values())
    assert found["protocol"]["spaces"][0] == {
        "family": "cnn",
        "rows": [{"name": "activation", "when": "", "rules": ["one of relu, gelu, silu", "one of relu, tanh"]}],
    }


def test_a_family_that_a_study_lacks_is_told_once(comparison: Comparisons) -> None:
    found = comparison("three")
    assert protocol_row(found, "families")["differs"]
    mixer = protocol_row(found, "space.mixer")
    assert (mixer["values"][0], mixer["differs"]) == (None, False)


@pytest.mark.parametrize(
    ("kind", "values", "differs"),
    [
        ("count", [3, 3], False),
        ("count", [3, 4], True),
        ("count", [None, 4], True),
        ("count", [None, None], False),
        ("about count", [100_000, 105_000], False),
        ("about count", [100_000, 105_001], True),
        ("about seconds", [None, 60.0], True),
        ("about seconds", [None, None], False),
        ("list", [["a"], ["a"], ["b"]], True),
    ],
)
def test_planned_lengths_differ_from_five_per_cent_on_and_all_else_at_once(
    kind: Kind, values: list[Any], differs: bool
) -> None:
    known = [{"key": Fact("search", "label", kind, value)} for value in values]
    assert [point.differs for point in points(known)] == [differs]
