from __future__ import annotations

import pytest

from study.report.pareto import Cost, decade_ticks, fronts, panels
from study.report.sections.cost import CostPoint


def costs(n_parameters: float | None, flops: float | None = None) -> dict[Cost, float | None]:
    return {"n_parameters": n_parameters, "flops": flops, "latency_p50_ms": None}


def test_a_point_is_on_a_front_unless_another_is_as_good_in_both_and_better_in_one() -> None:
    points = [(0.99, costs(100, 5)), (0.98, costs(50, 9)), (0.97, costs(60, 4)), (0.98, costs(70, 9))]
    assert fronts(points) == [("n_parameters", "flops"), ("n_parameters",), ("flops",), ()]


def test_equal_points_are_both_on_the_front() -> None:
    assert fronts([(0.99, costs(100)), (0.99, costs(100))]) == [("n_parameters",)] * 2


def test_an_unknown_cost_is_on_no_front_and_beats_nobody() -> None:
    assert fronts([(0.99, costs(None)), (0.98, costs(7))]) == [(), ("n_parameters",)]


@pytest.mark.parametrize(
    ("values", "ticks"), [([30.0, 700.0], [20, 50, 100, 200, 500, 1000]), ([10.0], [10]), ([0.3], [0.2, 0.5])]
)
def test_ticks_span_the_values(values: list[float], ticks: list[float]) -> None:
    assert decade_ticks(values) == ticks


def test_a_cost_that_no_point_has_above_zero_has_no_panel() -> None:
    def axes(*prices: float) -> list[str]:
        points = [CostPoint("cnn", "cnn #1", "finalist", 0.99, 100, price) for price in prices]
        figure = panels(points, lambda *_: [], 360)
        assert figure is not None
        return [axis["title"]["text"] for name, axis in figure["layout"].items() if name.startswith("xaxis")]

    assert axes(0, 0) == ["parameters"]
    assert axes(0, 7) == ["parameters", "FLOPs per image"]
