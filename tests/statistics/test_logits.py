"""Logit metrics against hand-computed values, and the temperature against a grid."""

import numpy as np
import pytest

from study.statistics.logits import TEMPERATURE_RANGE, accuracy, fit_temperature, log_softmax, nll, softmax


def _noisy_logits(n: int, scale: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits from which labels are drawn with softmax(logits / scale): the right temperature is `scale`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 10)) * 3
    labels = (softmax(logits).cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return (logits * scale).astype(np.float32), labels


def test_softmax_of_large_logits_does_not_overflow() -> None:
    assert softmax(np.array([[1000.0, 1000.0], [-1000.0, 0.0]])).tolist() == [[0.5, 0.5], [0.0, 1.0]]


def test_log_softmax_by_hand() -> None:
    assert log_softmax(np.array([[np.log(3.0), 0.0]]))[0] == pytest.approx([np.log(0.75), np.log(0.25)])


def test_nll_by_hand_and_under_a_temperature() -> None:
    logits, labels = np.array([[np.log(9.0), 0.0], [0.0, 0.0]]), np.array([0, 1])
    assert nll(logits, labels) == pytest.approx((-np.log(0.9) - np.log(0.5)) / 2)
    assert nll(logits, labels, temperature=2.0) == pytest.approx((-np.log(0.75) - np.log(0.5)) / 2)


def test_a_row_with_nan_is_not_right() -> None:
    assert accuracy(np.array([[np.nan, 0.0], [2.0, 1.0], [0.0, 1.0]]), np.array([0, 0, 0])) == pytest.approx(1 / 3)


@pytest.mark.parametrize("scale", [0.4, 1.0, 2.5])
def test_temperature_recovers_the_scale_and_beats_a_grid(scale: float) -> None:
    logits, labels = _noisy_logits(4000, scale)
    fitted = fit_temperature(logits, labels)
    assert fitted == pytest.approx(scale, rel=0.1)
    grid = [nll(logits, labels, t) for t in np.geomspace(0.1, 10, 60)]
    assert nll(logits, labels, fitted) <= min(grid) + 1e-7


@pytest.mark.parametrize(
    "logits",
    [np.zeros((50, 10)), np.eye(10)[np.arange(50) % 10] * 5, np.full((50, 10), np.nan)],
    ids=["constant", "perfect", "nan"],
)
def test_temperature_stays_one_where_the_data_do_not_determine_it(logits: np.ndarray) -> None:
    assert fit_temperature(logits, np.arange(50) % 10) == 1.0


def test_always_wrong_logits_are_cooled_to_the_bound() -> None:
    labels = np.arange(50) % 10
    assert fit_temperature(np.eye(10)[(labels + 1) % 10], labels) == TEMPERATURE_RANGE[1]


def test_scaling_the_logits_scales_the_temperature() -> None:
    logits, labels = _noisy_logits(2000, 1.3)
    assert fit_temperature(2 * logits, labels) == pytest.approx(2 * fit_temperature(logits, labels), rel=1e-3)


def test_a_diverged_network_s_logits_fit_no_temperature_and_overflow_nothing():
    logits = np.random.default_rng(0).normal(0, 1e25, (50, 10))
    assert fit_temperature(logits, np.arange(50) % 10) == 1.0
