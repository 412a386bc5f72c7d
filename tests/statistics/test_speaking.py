"""Sentences that chance alone must not bring about."""

from __future__ import annotations

import numpy as np
import pytest

from study.statistics.speaking import PERMUTATIONS, beats_chance, most_are_above, permuted_tops


@pytest.mark.parametrize(
    ("values", "above"),
    [([3.0], True), ([1.0], False), ([3, 1, 1], False), ([3, 3, 1], True), ([3, 1], False), ([2, 2, 2], False)],
)
def test_one_seed_of_three_above_its_noise_says_nothing(values: list[float], above: bool) -> None:
    assert most_are_above(values, [2.0] * len(values)) is above


def test_each_seed_has_a_noise_of_its_own() -> None:
    with pytest.raises(ValueError, match="3 values and 1 quantiles"):
        most_are_above([1, 2, 3], [2.0])


def test_seeds_at_their_noise_are_rarely_called_above() -> None:
    draws = np.random.default_rng(0).random((20_000, 3))
    called = [most_are_above(row, [0.95] * 3) for row in draws.tolist()]
    assert np.mean(called) == pytest.approx(0.00725, abs=0.002)


def _shares(parameters: np.ndarray, values: np.ndarray) -> list[float]:
    squares = np.corrcoef(np.vstack([values, parameters.T]))[0, 1:] ** 2
    return list(squares / squares.sum())


def test_a_parameter_that_matters_beats_chance_and_noise_does_not() -> None:
    rng = np.random.default_rng(1)
    parameters = rng.random((60, 6))
    noise, real = rng.random(60), parameters[:, 2] + 0.2 * rng.random(60)
    for values, speaks in ((noise, False), (real, True)):
        tops = permuted_tops(lambda permuted: _shares(parameters, permuted), values)
        assert len(tops) == PERMUTATIONS
        assert beats_chance(max(_shares(parameters, values)), tops) is speaks


def test_the_largest_share_of_noise_is_not_small() -> None:
    rng = np.random.default_rng(2)
    parameters = rng.random((60, 6))
    tops = permuted_tops(lambda values: _shares(parameters, values), rng.random(60))
    assert 0.3 < np.median(tops) < 0.7


def test_without_permutations_nothing_is_said() -> None:
    assert beats_chance(0.9, []) is False
