from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from study.records.paths import StudyFiles

Comparisons = Callable[[str], dict[str, Any]]
Compared = Callable[[str], list[StudyFiles]]


@pytest.mark.parametrize("cost", ["n_parameters", "flops", "latency_p50_ms"])
def test_the_front_is_over_the_finalists_of_all_studies(cost: str, comparison: Comparisons) -> None:
    points = comparison("no latency")["cost"]["points"]
    known = [point for point in points if point[cost] is not None]
    for point in points:
        beaten = point[cost] is None or any(
            other["accuracy"] >= point["accuracy"]
            and other[cost] <= point[cost]
            and (other["accuracy"], other[cost]) != (point["accuracy"], point[cost])
            for other in known
        )
        assert (cost in point["front"]) == (not beaten)


def test_a_study_without_latency_keeps_its_other_costs(comparison: Comparisons) -> None:
    points = comparison("no latency")["cost"]["points"]
    assert {point["study"] for point in points if point["latency_p50_ms"] is None} == {"without"}
    assert all(point["flops"] is not None for point in points)


def test_latencies_of_different_processors_are_no_front(comparison: Comparisons) -> None:
    found = comparison("other processor")
    assert not found["cost"]["latency_comparable"]
    assert all(point["latency_p50_ms"] is None for point in found["cost"]["points"])
    assert all(row["latency_p50_ms"] is not None for row in found["leaderboard"]["rows"])
    assert not any("latency_p50_ms" in row["front"] for row in found["leaderboard"]["rows"])
