"""Estimators against hand-computed values, enumeration and simulation."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from study.statistics import estimators


def read(accuracy: float, examples: int = 0, half: float = 0.001) -> estimators.Read:
    return estimators.Read(accuracy, (accuracy - half, accuracy + half), examples)


def test_optimism_is_taken_apart_by_hand() -> None:
    ends = (read(0.9952, 50_000), read(0.9941, 50_000), read(0.9935), read(0.9944))
    found = estimators.optimism(*ends, more_data=(0.0001, 0.0017))
    assert found.seed_luck == pytest.approx(0.0011)
    assert found.length_and_luck is None
    assert found.selection_and_shift == pytest.approx(0.0006)
    assert found.more_data == pytest.approx(0.0009)
    assert found.fresh_interval95 == pytest.approx((-0.0011 - 0.001 * 2**0.5, -0.0011 + 0.001 * 2**0.5))
    assert found.selection_interval95 == pytest.approx((-0.0006 - 0.001 * 2**0.5, -0.0006 + 0.001 * 2**0.5))


def test_length_and_luck_is_never_called_luck() -> None:
    found = estimators.optimism(read(0.985, 50_000), read(0.992, 150_000), None, None, None)
    assert (found.seed_luck, found.length_and_luck) == (None, pytest.approx(0.007))


def test_what_other_images_make_is_not_luck_either() -> None:
    found = estimators.optimism(read(0.985, 50_000), read(0.992, 50_000), None, None, None, 15_000)
    assert (found.seed_luck, found.length_and_luck, found.search_images) == (None, pytest.approx(0.007), 15_000)
    assert "search_images" not in estimators.optimism(read(0.985), read(0.992), None, None, None).to_dict()


def test_optimism_of_a_study_whose_test_was_not_opened() -> None:
    found = estimators.optimism(read(0.9952), read(0.9941), None, None, None)
    assert (found.selection_and_shift, found.more_data, found.selection_interval95) == (None, None, None)


def test_doubling_goes_on_by_the_power_that_was_seen() -> None:
    found = estimators.doubling(read(0.98, 50_000), read(0.99, 200_000))
    assert found is not None
    assert found.gain == pytest.approx(0.01 * (1 - 0.5**0.5))  # half the error after four times the length
    assert found.interval95[0] < found.gain < found.interval95[1]


@pytest.mark.parametrize(("before", "after"), [(0, 50_000), (50_000, 0), (50_000, 70_000), (50_000, 25_000)])
def test_lengths_that_are_near_or_unknown_say_nothing_of_doubling(before: int, after: int) -> None:
    assert estimators.doubling(read(0.98, before), read(0.99, after)) is None


def test_without_an_error_nothing_is_said_of_doubling() -> None:
    assert estimators.doubling(read(0.99, 100), read(1.0, 400)) is None


def test_best_so_far_ignores_failed_trials() -> None:
    assert estimators.best_so_far([None, 0.9, float("nan"), 0.8, 0.95]) == [None, 0.9, 0.9, 0.9, 0.95]


def test_expected_max_equals_the_mean_over_all_subsets() -> None:
    values = [0.91, 0.97, 0.93, 0.99, 0.95, 0.90]
    expected = [np.mean([max(chosen) for chosen in combinations(values, m)]) for m in (1, 2, 3)]
    assert estimators.expected_max(values) == pytest.approx(expected)


def test_expected_max_of_a_thousand_trials_stays_finite_and_rises() -> None:
    curve = np.array(estimators.expected_max(list(np.random.default_rng(0).random(1000))))
    assert len(curve) == 500
    assert (np.diff(curve) > 0).all()


def test_p_a_better_counts_pairs_and_ties_as_half() -> None:
    found = estimators.p_a_better([0.3, 0.5], [0.3, 0.4])
    assert (found.pairs, found.probability, found.interval95) == (4, pytest.approx(2.5 / 4), None)


def test_p_a_better_has_an_interval_from_ten_seeds() -> None:
    rng = np.random.default_rng(0)
    found = estimators.p_a_better(list(rng.normal(0.5, 1, 10)), list(rng.normal(0, 1, 10)))
    assert found.interval95 is not None
    assert found.interval95[0] < found.probability < found.interval95[1]


def test_macro_f1_is_sklearns_mean_over_seeds_and_lies_in_its_interval() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 600)
    predictions = np.where(rng.random((3, 600)) < 0.9, labels, rng.integers(0, 4, (3, 600)))
    found = estimators.bootstrap_macro_f1(labels, predictions, 4)
    expected = np.mean([f1_score(labels, row, average="macro", zero_division=0) for row in predictions])
    assert found.estimate == pytest.approx(expected)
    assert found.interval95[0] < expected < found.interval95[1]
    assert found.interval95[1] - found.interval95[0] == pytest.approx(4 * np.sqrt(0.925 * 0.075 / 1800), rel=0.3)


def test_macro_f1_without_an_error_is_no_more_certain_than_the_accuracy() -> None:
    labels = np.arange(40) % 4
    low, high = estimators.bootstrap_macro_f1(labels, np.stack([labels, labels]), 4).interval95
    assert (low, high) == (pytest.approx(0.025 ** (1 / 40)), 1.0)


def test_p_a_better_of_ten_seeds_that_all_win_is_not_certain() -> None:
    found = estimators.p_a_better([0.9] * 10, [0.8] * 12)
    assert found.interval95 == (pytest.approx(0.025 ** (1 / 10)), 1.0)
