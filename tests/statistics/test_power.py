"""What a comparison can see, against other ways to compute it and against what was simulated."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from study.statistics.over_seeds import compare_searches
from study.statistics.power import enough_searches, foresee, foresee_finalists, power_at, power_of


def test_power_is_that_of_the_noncentral_t_distribution() -> None:
    reach = scipy.stats.t.ppf(0.975, 4)
    for gap, se in ((0.0, 0.001), (0.003, 0.001), (-0.003, 0.001)):
        beyond = scipy.stats.nct(4, gap / se)
        assert power_at(gap, se, 4) == pytest.approx(beyond.cdf(-reach) + beyond.sf(reach))
    assert power_at(0.0, 0.001, 4) == pytest.approx(0.05)
    assert power_at(0.003, 0.0, 4) == 1.0
    assert power_at(0.003, 0.0003, 4) == pytest.approx(1.0)  # for which scipy has no number
    assert power_at(0.003, 0.0003, 2) == pytest.approx(0.99275, abs=1e-5)


def test_a_comparison_of_few_images_that_none_reads_differently_sees_little() -> None:
    alike = np.ones((3, 20), bool)
    found = compare_searches(alike, alike)
    assert found.se == 0
    assert power_of(0.003, found) < 0.06
    half = np.tile([True, False], (3, 500))
    known = compare_searches(half, np.roll(half, 1, axis=1))
    assert power_of(0.003, known) == pytest.approx(power_at(0.003, known.se, known.df))


@pytest.mark.parametrize(
    ("searches", "sd", "half_width", "df", "power"),
    [(3, 0.0005, 0.25, 4, 64.4), (5, 0.0005, 0.17, 8, 95.0)],  # benchmarks/aa_power.py, 500 studies a line
)
def test_what_is_foreseen_is_what_was_simulated(
    searches: int, sd: float, half_width: float, df: float, power: float
) -> None:
    found = foresee(searches, 10_000, (sd, sd))
    assert (100 * found.half_width, found.df) == pytest.approx((half_width, df), abs=0.02)
    assert 100 * found.power == pytest.approx(power, abs=6)


def test_a_verdict_sees_less_with_fewer_searches_fewer_images_and_a_wider_spread() -> None:
    def powers(*planned: tuple[int, int, float]) -> list[float]:
        return [foresee(searches, images, (sd, sd)).power for searches, images, sd in planned]

    assert powers((3, 10_000, 0.001), (5, 10_000, 0.001), (9, 10_000, 0.001)) == sorted(
        powers((9, 10_000, 0.001), (3, 10_000, 0.001), (5, 10_000, 0.001))
    )
    assert np.all(np.diff(powers((3, 1_000, 0.001), (3, 10_000, 0.001), (3, 10_000, 0.0001))) > 0)
    few, many = foresee_finalists(3, 1_000), foresee_finalists(3, 10_000)
    assert (few.power < 0.5, many.power > 0.9, few.half_width > many.half_width) == (True, True, True)


def test_the_fewest_searches_that_see_enough_are_the_first_that_do() -> None:
    needed = enough_searches(10_000)
    assert needed is not None
    assert foresee(needed - 1, 10_000).power < 0.8 <= foresee(needed, 10_000).power
    assert enough_searches(10_000, (0.02, 0.02)) is None
