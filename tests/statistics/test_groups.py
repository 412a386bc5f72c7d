"""Variances by groups of images against statsmodels, by hand, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from study.statistics import intervals, over_seeds
from study.statistics.groups import Groups, design_effect, variance_of_mean


def _writers(n_groups: int, most: int, seed: int) -> np.ndarray:
    """Groups of 2 to `most` images, in random order."""
    rng = np.random.default_rng(seed)
    return rng.permutation(np.repeat(np.arange(n_groups) * 7 + 3, rng.integers(2, most + 1, n_groups)))


def _outcomes(names: np.ndarray, errors: float, seeds: int, rng: np.random.Generator) -> np.ndarray:
    """bool [S, N]: each group has an error rate of its own, `errors` in the mean."""
    groups = Groups.named(names)
    assert groups is not None
    rate = rng.beta(0.5, 0.5 / errors - 0.5, len(groups))[groups.of]
    return rng.random((seeds, len(names))) >= rate


def test_the_variance_is_the_sandwich_of_statsmodels() -> None:
    names = _writers(40, 30, 1)
    right = _outcomes(names, 0.1, 1, np.random.default_rng(1))[0]
    fitted = sm.OLS(right.astype(float), np.ones(len(right))).fit(cov_type="cluster", cov_kwds={"groups": names})
    groups = Groups.named(names)
    assert groups is not None
    assert variance_of_mean(right, groups) == pytest.approx(float(fitted.bse[0]) ** 2)


def test_a_difference_of_single_networks_is_that_of_statsmodels() -> None:
    names = _writers(40, 30, 2)
    rng = np.random.default_rng(2)
    a, b = _outcomes(names, 0.1, 1, rng), _outcomes(names, 0.2, 1, rng)
    found = over_seeds.compare_finalists(a, b, Groups.named(names))
    fitted = sm.OLS((a[0].astype(float) - b[0]), np.ones(len(names))).fit(
        cov_type="cluster", cov_kwds={"groups": names}, use_t=True
    )
    assert (found.groups, found.df) == (40, pytest.approx(39))
    assert (found.t, found.p_value) == pytest.approx((float(fitted.tvalues[0]), float(fitted.pvalues[0])))
    assert found.interval95 == pytest.approx(tuple(fitted.conf_int()[0]))


def test_by_hand_with_seed_spread() -> None:
    """Two seeds, three groups of two images. Sums of A's seeds by group: (2, 2, 2) and (2, 1, 0); B is always right.

    Flips: variances between seeds of the groups' sums 0, 0.5, 2: 2.5/36. Spread of the accuracies 1 and 0.5: 0.125. So
    g = 0.125/2 − 2.5/72. d by image: 0 0 0 −.5 −.5 −.5 in the mean of the seeds, D = −1/4 with deviations by group
    0.5, 0, −0.5 of the sums: images 3/2·0.5/36.
    """
    a = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]], dtype=bool)
    groups = Groups.named(np.array([5, 5, 8, 8, 9, 9]))
    found = over_seeds.compare_finalists(a, np.ones((2, 6), bool), groups)
    g, images = 0.125 / 2 - 2.5 / 72, 1.5 * 0.5 / 36
    assert found.difference == -0.25
    assert (found.g_a, found.g_b) == (pytest.approx(g), 0.0)
    assert found.se**2 == pytest.approx(g + images)
    assert found.df == pytest.approx(min(2.0, (g + images) ** 2 / (g**2 + images**2 / 2)))


def test_groups_of_one_image_change_nothing_but_the_degrees_of_freedom() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random((3, 400)) > 0.1, rng.random((3, 400)) > 0.2
    groups = Groups.named(rng.permutation(400))
    one, other = over_seeds.compare_finalists(a, b), over_seeds.compare_finalists(a, b, groups)
    assert (one.difference, one.se, one.g_a) == pytest.approx((other.difference, other.se, other.g_a))
    assert one.df >= other.df > 50
    assert over_seeds.family_accuracy(a, groups).se == pytest.approx(over_seeds.family_accuracy(a).se)
    assert intervals.share(a[0], groups) == pytest.approx(intervals.wilson(int(a[0].sum()), 400), rel=1e-3)


def test_the_images_of_a_copied_group_add_nothing() -> None:
    """Every image four times, as one group: the interval is that of the originals, not half as wide."""
    rng = np.random.default_rng(4)
    once = rng.random((1, 300)) > 0.1
    groups = Groups.named(np.tile(np.arange(300), 4))
    assert groups is not None
    four = np.tile(once, 4)
    assert variance_of_mean(four[0], groups) == pytest.approx(variance_of_mean(once[0], Groups.single(300)))
    assert design_effect(four[0], groups) == pytest.approx(4, rel=0.02)
    low, high = intervals.share(four[0], groups)
    expected = intervals.wilson(int(once.sum()), 300)
    assert (low, high) == pytest.approx(expected, abs=5e-4)


def test_few_groups_that_differ_are_tested_exactly() -> None:
    """All of a's 30 wins are of three writers: as three coin flips, not as thirty."""
    names = np.repeat(np.arange(100), 10)
    a, b = np.ones((1, 1000), bool), np.ones((1, 1000), bool)
    b[0, :30] = False
    groups = Groups.named(names)
    assert over_seeds.compare_finalists(a, b).p_value < 1e-6
    found = over_seeds.compare_finalists(a, b, groups)
    assert found.p_value == pytest.approx(2 / 2**3)
    assert found.interval95[0] < 0
    assert over_seeds.compare_networks(a[0], b[0], groups).p_value == pytest.approx(2 / 2**3)
    assert over_seeds.compare_networks(a[0], b[0]) == intervals.mcnemar_exact(a[0], b[0])


def test_by_groups_intervals_hold_the_truth_and_without_they_do_not() -> None:
    rng = np.random.default_rng(5)
    inside = {"images": 0, "groups": 0, "share": 0}
    names = np.repeat(np.arange(60), 40)
    groups = Groups.named(names)
    for _ in range(200):
        correct = _outcomes(names, 0.1, 3, rng)
        held = {
            "images": over_seeds.family_accuracy(correct).interval95,
            "groups": over_seeds.family_accuracy(correct, groups).interval95,
            "share": intervals.share(correct[0], groups),
        }
        for name, (low, high) in held.items():
            inside[name] += low < 0.9 < high
    assert inside["images"] < 130
    assert min(inside["groups"], inside["share"]) > 180


def test_equal_finalists_are_rarely_called_different_by_groups() -> None:
    """Two finalists that each find other writers hard."""
    rng = np.random.default_rng(6)
    names = np.repeat(np.arange(60), 40)
    groups = Groups.named(names)
    alarms = np.zeros(2)
    for _ in range(200):
        a, b = _outcomes(names, 0.1, 3, rng), _outcomes(names, 0.1, 3, rng)
        alarms += [over_seeds.compare_finalists(a, b, g).p_value < 0.05 for g in (None, groups)]
    assert alarms[0] > 60
    assert alarms[1] < 20


def test_a_share_among_some_images_is_of_those_alone() -> None:
    right, among = np.array([True, False, True, True, False, False]), np.array([True] * 4 + [False] * 2)
    assert intervals.share(right, None, among) == intervals.wilson(3, 4)
    assert intervals.share(right, Groups.single(6), ~among) == intervals.wilson(0, 2)
    assert intervals.share(right, Groups.single(6), np.zeros(6, bool)) == (0.0, 1.0)


def test_halves_keep_the_groups_of_their_images() -> None:
    names = np.repeat(np.arange(20), 10)
    correct = _outcomes(names, 0.2, 2, np.random.default_rng(7))
    first, _ = over_seeds.family_halves(correct, Groups.named(names))
    assert first == over_seeds.family_accuracy(correct[:, :100], Groups.named(names[:100]))


def test_one_group_or_those_of_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="two groups"):
        Groups.named(np.zeros(5, dtype=int))
    with pytest.raises(ValueError, match="groups of 6 images; expected those of 5"):
        over_seeds.family_accuracy(np.ones((2, 5), bool), Groups.single(6))
