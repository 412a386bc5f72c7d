import pytest

from study.report import wording
from study.report.wording import p_value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0.00004, "< 0.0001"),
        (0.00312, "= 0.0031"),
        (0.0523, "= 0.052"),
        (0.0477, "= 0.048"),
        (0.312, "= 0.31"),
    ],
)
def test_a_p_value_near_the_threshold_shows_its_side(value: float | None, shown: str) -> None:
    assert p_value(value) == shown


def test_numbers_are_set_for_the_page() -> None:
    said = "-0.12 to +0.52 points, 95 % of 2026-11-26, study run --budget 5m, x-1"
    shown = "\u22120.12 to +0.52 points, 95\u00a0% of 2026-11-26, study run --budget 5m, x-1"
    assert wording.typeset(said) == shown
    assert wording.typeset("(95 % interval -0.3)") == "(95\u00a0% interval \u22120.3)"


def test_what_rounds_to_zero_has_no_sign() -> None:
    assert wording.point_interval((-0.000004, 0.0032)) == "0.00 to +0.32 points"
    assert [wording.points(value, signed=True) for value in (0.0, -0.001)] == ["0.00 points", "-0.10 points"]


def test_a_p_in_a_column_has_no_equals_sign() -> None:
    assert [wording.p_cell(p) for p in (0.0008, 0.00001, None)] == ["0.0008", "< 0.0001", "–"]
