"""What is computed over several independent searches."""

from __future__ import annotations

import numpy as np
import pytest

from study.statistics import comparison as stats
from study.statistics import over_seeds
from study.statistics.searches import accuracy_spread, spread


def test_the_spread_of_five_searches_by_hand() -> None:
    """Deviations -2, -1, 0, 1, 2 (thousandths): variance 10/4, standard error sqrt(2.5/5), t(4, 97.5 %) = 2.7764."""
    found = spread([0.988, 0.989, 0.990, 0.991, 0.992])
    assert (found.n, found.mean, found.low, found.high) == (5, pytest.approx(0.990), 0.988, 0.992)
    assert found.sd == pytest.approx(2.5**0.5 / 1000)
    half = 2.7764451 * 0.5**0.5 / 1000
    assert found.interval95 == pytest.approx((0.990 - half, 0.990 + half))


def test_no_accuracy_lies_above_one() -> None:
    wide, narrow = [0.953, 0.9638, 0.9811], [0.988, 0.989, 0.990]
    low, high = spread(wide).interval95 or (0.0, 0.0)
    assert high > 1
    assert accuracy_spread(wide).interval95 == (low, 1.0)
    assert accuracy_spread(narrow) == spread(narrow)


def test_one_search_has_no_spread() -> None:
    found = spread([0.99])
    assert (found.mean, found.sd, found.interval95) == (0.99, None, None)


def _family(errors: list[int], images: int = 1000) -> np.ndarray:
    """bool [R, images]: each search's finalist reads that many of the first images wrongly."""
    return np.arange(images) >= np.array(errors)[:, None]


def test_too_few_searches_are_counted_by_family() -> None:
    found = stats.verdict(over_seeds.compare_searches(_family([10, 12]), _family([100, 110])), 0.001)
    assert found.reason == "2 independent searches per family, fewer than the 3 that a verdict needs"
    found = stats.verdict(over_seeds.compare_searches(_family([10, 12, 11]), _family([100, 110, 105])), 0.001)
    assert (found.label, found.better) == ("better", "a")


def test_searches_stand_in_the_place_of_seeds_with_fewer_degrees_of_freedom() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((5, 900)) > 0.1, rng.random((5, 900)) > 0.12
    families, finalists = over_seeds.compare_searches(a, b), over_seeds.compare_finalists(a, b)
    assert (families.difference, families.se) == (finalists.difference, finalists.se)
    between = [float(one.mean(axis=1).var(ddof=1)) / 5 for one in (a, b)]
    assert families.df == pytest.approx(families.se**4 / (sum(v * v for v in between) / 4))
    assert families.df < finalists.df
    assert families.p_value > finalists.p_value


def test_a_search_may_be_the_mean_of_several_seeds() -> None:
    """The spread beyond what images explain is then that of the means: seeds that agree count once."""
    rng = np.random.default_rng(1)
    a, b = rng.random((4, 900)) > 0.1, rng.random((4, 900)) > 0.12
    twice = [np.stack([one, one]).mean(axis=0) for one in a]
    assert over_seeds.compare_searches(np.stack(twice), b) == over_seeds.compare_searches(a, b)
    halves = np.stack([a[:2].mean(axis=0), a[2:].mean(axis=0)])
    s2 = float(halves.mean(axis=1).var(ddof=1))
    flips = float(halves.var(axis=0, ddof=1).mean())
    assert over_seeds.compare_searches(halves, b).g_a == pytest.approx(max(0.0, s2 / 2 - flips / 1800))
