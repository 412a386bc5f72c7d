from __future__ import annotations

from collections.abc import Callable

from study.report.section import Report
from study.report.sections import cost


def test_the_pareto_front_holds_no_dominated_point(case_made: Callable[[str], Report]) -> None:
    points = case_made("clear win")[cost].points
    for point in points:
        better = [p for p in points if p.accuracy > point.accuracy and (p.flops or 0) < (point.flops or 0)]
        assert not ("flops" in point.front and better)
    assert any("flops" in point.front for point in points)
    assert {point.kind for point in points} == {"finalist", "candidate"}
