"""Tests and intervals against values computed by hand and against statsmodels and scipy."""

import json

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from study.statistics import comparison as stats
from study.statistics import intervals, over_seeds
from study.statistics import searches as between


def _outcomes(seeds: int, n: int, error: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((seeds, n)) >= error


def _comparison(difference: float, half90: float, seeds: int = 3, n: int = 10_000) -> over_seeds.Comparison:
    """A comparison with the fields that a verdict reads."""
    interval = (difference - half90, difference + half90)
    return over_seeds.Comparison(
        "seed",
        seeds,
        seeds,
        n,
        None,
        0.99,
        0.99 - difference,
        difference,
        0.001,
        10.0,
        1.0,
        0.5,
        interval,
        interval,
        0.0,
        0.0,
        40,
        40,
    )


class TestCompareFinalists:
    def test_by_hand_with_seed_spread(self) -> None:
        """Forty images, four groups of ten, two seeds. A: accuracies 1 and 0.5; B: always 0.5, and the seeds agree.

        p_A = (1, 1, .5, .5): f_A = 2·mean(0, 0, .25, .25) = .25, s²_A = .125, so g_A = .125/2 − .25/80 = .059375.
        d = (1, 1, .5, .5) − (1, 1, 0, 0) = (0, 0, .5, .5): D = .25, var = (40/39)/16, SE² = 1/624 + .059375.
        df = SE⁴ / .059375².
        """
        a = np.repeat(np.array([[1, 1, 1, 1], [1, 1, 0, 0]], dtype=bool), 10, axis=1)
        b = np.repeat(np.array([[1, 1, 0, 0], [1, 1, 0, 0]], dtype=bool), 10, axis=1)
        found = over_seeds.compare_finalists(a, b)
        variance = 1 / 624 + 0.059375
        assert found.difference == 0.25
        assert (found.g_a, found.g_b) == (pytest.approx(0.059375), 0.0)
        assert found.se == pytest.approx(np.sqrt(variance))
        assert found.df == pytest.approx(variance**2 / 0.059375**2)
        assert found.t == pytest.approx(0.25 / found.se)
        assert found.p_value == pytest.approx(2 * scipy.stats.t.sf(found.t, found.df))
        half = scipy.stats.t.ppf(0.975, found.df) * found.se
        assert found.interval95 == pytest.approx((0.25 - half, 0.25 + half))

    def test_without_seed_excess_it_is_the_paired_t_test_over_images(self) -> None:
        a, b = _outcomes(1, 500, 0.1, 1), _outcomes(1, 500, 0.2, 2)
        reference = scipy.stats.ttest_rel(a[0].astype(float), b[0].astype(float))
        found = over_seeds.compare_finalists(a, b)
        assert (found.t, found.p_value) == pytest.approx((reference.statistic, reference.pvalue))
        assert found.interval90 == pytest.approx(tuple(reference.confidence_interval(0.90)))

    def test_exchanging_the_sides_changes_only_the_sign(self) -> None:
        a, b = _outcomes(3, 400, 0.1, 1), _outcomes(3, 400, 0.2, 2)
        one, other = over_seeds.compare_finalists(a, b), over_seeds.compare_finalists(b, a)
        assert (one.difference, one.p_value, one.se) == pytest.approx((-other.difference, other.p_value, other.se))

    def test_identical_finalists_have_p_one(self) -> None:
        a = _outcomes(3, 400, 0.1, 1)
        found = over_seeds.compare_finalists(a, a)
        assert (found.difference, found.p_value) == (0.0, 1.0)

    @pytest.mark.parametrize("n", [3, 50])
    def test_a_difference_without_any_spread_is_as_certain_as_its_images_make_it(self, n: int) -> None:
        found = over_seeds.compare_finalists(np.ones((3, n), bool), np.zeros((3, n), bool))
        assert found.p_value == pytest.approx(2 * 0.5**n)
        assert found.interval95[0] < 0.93 < 1.0 == found.interval95[1]
        assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["t"] is None

    def test_no_discordant_image_leaves_the_share_that_none_of_so_many_leaves(self) -> None:
        """40 images: up to 1 − 0.025^(1/40) = 8.8 points at 95 %, 1 − 0.05^(1/40) = 7.2 at 90 %; of 1,500 images it is
        the rule of three's 0.2 points at 90 %."""
        perfect = np.ones((3, 40), bool)
        found = over_seeds.compare_finalists(perfect, perfect)
        assert found.interval95 == pytest.approx((-0.0881, 0.0881), abs=1e-4)
        assert found.interval90 == pytest.approx((-0.0722, 0.0722), abs=1e-4)
        wide = np.ones((3, 1500), bool)
        assert over_seeds.compare_finalists(wide, wide).interval90[1] == pytest.approx(3 / 1500, rel=0.01)

    def test_few_discordant_images_are_tested_exactly(self) -> None:
        """Five of 40, all one way: t says p = 0.023, the sign test 2/2⁵."""
        a, b = np.ones((1, 40), bool), np.ones((1, 40), bool)
        b[0, :5] = False
        found = over_seeds.compare_finalists(a, b)
        assert found.p_value == pytest.approx(2 / 2**5) == intervals.mcnemar_exact(a[0], b[0]).p_value
        assert found.interval95[1] > 0.25

    def test_ordinary_differences_are_as_before(self) -> None:
        """Ten images beside the ties: the t interval and its p alone."""
        a, b = np.ones((1, 400), bool), np.ones((1, 400), bool)
        b[0, :10] = False
        reference = scipy.stats.ttest_rel(a[0].astype(float), b[0].astype(float))
        found = over_seeds.compare_finalists(a, b)
        assert found.p_value == pytest.approx(reference.pvalue)
        assert found.interval95 == pytest.approx(tuple(reference.confidence_interval(0.95)))

    def test_other_images_are_refused(self) -> None:
        with pytest.raises(ValueError, match="400 and 300 images"):
            over_seeds.compare_finalists(_outcomes(3, 400, 0.1, 1), _outcomes(3, 300, 0.1, 1))


class TestVerdict:
    @pytest.mark.parametrize(
        ("difference", "half90", "holm_p", "label", "better"),
        [
            (0.003, 0.001, 0.049, "better", "a"),
            (-0.003, 0.001, 0.001, "better", "b"),
            (0.0009, 0.0005, 0.01, "better, too small to matter", "a"),
            (0.001, 0.0005, 0.01, "better", "a"),
            (0.0005, 0.0014, 0.30, "equal within 0.2 points", None),
            (0.0005, 0.0016, 0.30, "too close to call", None),
            (0.003, 0.004, 0.05, "too close to call", None),
        ],
    )
    def test_rules(self, difference: float, half90: float, holm_p: float, label: str, better: str | None) -> None:
        found = stats.verdict(_comparison(difference, half90), holm_p)
        assert (found.label, found.better) == (label, better)

    def test_two_seeds_get_none_and_it_says_why(self) -> None:
        found = stats.verdict(_comparison(0.01, 0.001, seeds=2), 0.001)
        assert found.label == "no verdict"
        assert found.reason == "2 seeds per finalist, fewer than the 3 that a verdict needs"

    @pytest.mark.parametrize(("n", "label"), [(200, "too close to call"), (1500, "equal within 0.2 points")])
    def test_few_images_cannot_show_equality(self, n: int, label: str) -> None:
        perfect = np.ones((3, n), bool)
        assert stats.verdict(over_seeds.compare_finalists(perfect, perfect), 1.0).label == label


class TestPairs:
    def test_three_finalists_share_one_holm_family(self) -> None:
        correct = {
            name: _outcomes(3, 2000, error, i) for i, (name, error) in enumerate([("a", 0.1), ("b", 0.1), ("c", 0.13)])
        }
        pairs = stats.compare_pairs(correct)
        expected = multipletests([pair.comparison.p_value for pair in pairs], method="holm")[1]
        assert [pair.holm_p for pair in pairs] == pytest.approx(list(expected))
        assert all(pair.planned for pair in pairs)

    def test_a_pair_added_later_leaves_the_planned_one_alone_and_is_marked(self) -> None:
        correct = {name: _outcomes(3, 2000, 0.1, i) for i, name in enumerate("abc")}
        pairs = {(pair.a, pair.b): pair for pair in stats.compare_pairs(correct, planned=[["b", "a"]])}
        assert pairs["a", "b"].planned
        assert pairs["a", "b"].holm_p == pairs["a", "b"].comparison.p_value
        assert not pairs["a", "c"].planned
        assert pairs["a", "c"].holm_p >= pairs["a", "c"].comparison.p_value


def test_holm_agrees_with_statsmodels() -> None:
    p_values = [0.01, 0.04, 0.03, 0.005, 0.9]
    assert between.holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))
    assert between.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert between.holm([]) == []


class TestFamilyAccuracy:
    def test_by_hand(self) -> None:
        """The finalist A of TestCompareFinalists: var(p) = (40/39)/16, SE² = 1/624 + .059375."""
        found = over_seeds.family_accuracy(np.repeat(np.array([[1, 1, 1, 1], [1, 1, 0, 0]], dtype=bool), 10, axis=1))
        assert (found.mean, found.se) == pytest.approx((0.75, np.sqrt(1 / 624 + 0.059375)))
        assert found.seed_sd == pytest.approx(np.sqrt(0.125))
        assert found.interval95[1] == 1.0

    def test_one_seed_has_no_spread_to_show(self) -> None:
        assert over_seeds.family_accuracy(_outcomes(1, 100, 0.1, 0)).seed_sd is None

    @pytest.mark.parametrize("seeds", [1, 3])
    def test_forty_of_forty_right_is_not_certain(self, seeds: int) -> None:
        right = np.ones((seeds, 40), bool)
        assert over_seeds.family_accuracy(right).interval95 == pytest.approx((0.025 ** (1 / 40), 1.0))
        assert over_seeds.family_accuracy(~right).interval95 == pytest.approx((0.0, 1 - 0.025 ** (1 / 40)))

    @pytest.mark.parametrize("wrong", [1, 9])
    def test_few_wrong_images_widen_it_to_the_exact_interval(self, wrong: int) -> None:
        right = np.ones((1, 1000), bool)
        right[0, :wrong] = False
        low, high = over_seeds.family_accuracy(right).interval95
        exact = intervals.clopper_pearson(1000 - wrong, 1000)
        assert (low <= exact[0], high >= exact[1]) == (True, True)

    def test_the_truth_is_held_as_often_as_stated_near_one(self) -> None:
        """Two wrong images of 1,000 expected: the t interval alone held the truth in 86 % of cases."""
        rng = np.random.default_rng(0)
        read = [over_seeds.family_accuracy(rng.random((1, 1000)) >= 0.002).interval95 for _ in range(400)]
        assert np.mean([low <= 0.998 <= high for low, high in read]) >= 0.95

    def test_halves_are_first_and_second(self) -> None:
        correct = np.array([[True] * 10 + [False] * 10] * 3)
        first, second = over_seeds.family_halves(correct)
        assert (first.mean, second.mean) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("difference", "half", "n", "label", "ahead"),
    [
        (0.004, 0.003, 10_000, "ahead", "a"),
        (-0.004, 0.003, 10_000, "ahead", "b"),
        (0.0005, 0.001, 10_000, "equal within 0.2 points", None),
        (0.001, 0.003, 10_000, "too close to call", None),
    ],
)
def test_an_exploratory_difference_is_read_by_its_intervals_alone(
    difference: float, half: float, n: int, label: str, ahead: str | None
) -> None:
    found = stats.read_intervals(_comparison(difference, half, n=n))
    assert (found.label, found.ahead) == (label, ahead)
    assert "p " not in found.reason.replace("points", "")


def test_an_exploratory_difference_needs_three_seeds_too() -> None:
    assert stats.read_intervals(_comparison(0.01, 0.001, seeds=2)).label == "no verdict"


@pytest.mark.parametrize(("k", "n"), [(0, 20), (20, 20), (9952, 10_000), (7, 9)])
def test_intervals_of_a_proportion_agree_with_statsmodels(k: int, n: int) -> None:
    assert intervals.wilson(k, n) == pytest.approx(proportion_confint(k, n, method="wilson"), abs=1e-9)
    assert intervals.clopper_pearson(k, n) == pytest.approx(proportion_confint(k, n, method="beta"), abs=1e-9)


def test_wilson_half_width_of_a_99_percent_model_is_a_fifth_of_a_point() -> None:
    low, high = intervals.wilson(9900, 10_000)
    assert (high - low) / 2 == pytest.approx(0.0020, abs=0.00005)
    assert intervals.wilson(0, 0) == (0.0, 1.0)


class TestMcNemar:
    def test_agrees_with_statsmodels_and_counts_by_hand(self) -> None:
        a = np.array([1] * 80 + [1] * 12 + [0] * 4 + [0] * 4, dtype=bool)
        b = np.array([1] * 80 + [0] * 12 + [1] * 4 + [0] * 4, dtype=bool)
        found = intervals.mcnemar_exact(a, b)
        assert (found.both, found.only_a, found.only_b, found.neither) == (80, 12, 4, 4)
        assert found.p_value == pytest.approx(mcnemar([[80, 12], [4, 4]], exact=True).pvalue)
        assert found.difference == pytest.approx(0.08)

    def test_agresti_min_by_hand(self) -> None:
        """102 images, 12.5 against 4.5: 8/102 ± 1.96·√(17 − 64/102)/102."""
        a = np.array([True] * 92 + [False] * 8)
        b = np.array([True] * 80 + [False] * 12 + [True] * 4 + [False] * 4)
        half = 1.959964 * np.sqrt(17 - 64 / 102) / 102
        assert intervals.mcnemar_exact(a, b).interval95 == pytest.approx((8 / 102 - half, 8 / 102 + half), abs=1e-7)

    @pytest.mark.parametrize(("discordant", "net"), [(20, 10), (50, 16), (120, 24)])
    def test_the_net_difference_that_20_50_120_discordant_images_need(self, discordant: int, net: int) -> None:
        def p(net: int) -> float:
            more = (discordant + net) // 2
            a = np.array([True] * more + [False] * (discordant - more))
            return intervals.mcnemar_exact(a, ~a).p_value

        assert p(net) < 0.05 <= p(net - 2)

    def test_no_discordant_image_is_p_one_within_what_so_few_images_can_show(self) -> None:
        found = intervals.mcnemar_exact(np.ones(9, bool), np.ones(9, bool))
        assert found.p_value == 1.0
        assert found.interval95[1] >= 1 - 0.025 ** (1 / 9)


def test_values_that_agree_show_no_spread() -> None:
    assert between.spread([1.0, 1.0, 1.0]).interval95 is None


def test_mean_interval_agrees_with_the_normal_formula() -> None:
    x = np.random.default_rng(0).normal(size=400)
    found = intervals.mean_interval(x)
    assert found.interval95 == pytest.approx(scipy.stats.norm.interval(0.95, x.mean(), scipy.stats.sem(x)))


def test_a_mean_of_values_that_no_image_has_is_as_uncertain_as_a_difference_without_any() -> None:
    assert intervals.mean_interval(np.zeros(40)).interval95 == pytest.approx((-0.0881, 0.0881), abs=1e-4)
    assert intervals.mean_interval(np.zeros(40), reach=2.0).interval95 == pytest.approx((-0.1762, 0.1762), abs=1e-4)
