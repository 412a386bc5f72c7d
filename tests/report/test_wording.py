import pytest

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
