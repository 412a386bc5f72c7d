"""What is computed over several independent searches; Welch's t and the data sets stand in test_stats.py."""

from __future__ import annotations

import pytest

from study.statistics.comparison import verdict
from study.statistics.searches import compare_searches, spread


def test_the_spread_of_five_searches_by_hand() -> None:
    """Deviations -2, -1, 0, 1, 2 (thousandths): variance 10/4, standard error sqrt(2.5/5), t(4, 97.5 %) = 2.7764."""
    found = spread([0.988, 0.989, 0.990, 0.991, 0.992])
    assert (found.n, found.mean, found.low, found.high) == (5, pytest.approx(0.990), 0.988, 0.992)
    assert found.sd == pytest.approx(2.5**0.5 / 1000)
    half = 2.7764451 * 0.5**0.5 / 1000
    assert found.interval95 == pytest.approx((0.990 - half, 0.990 + half))


def test_one_search_has_no_spread() -> None:
    found = spread([0.99])
    assert (found.mean, found.sd, found.interval95) == (0.99, None, None)


def test_too_few_searches_are_counted_by_family() -> None:
    found = verdict(compare_searches([0.9, 0.91], [0.8, 0.81], 1000), 0.001)
    assert found.reason == "2 independent searches per family, fewer than the 5 that a verdict needs"
