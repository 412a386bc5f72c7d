import json

import numpy as np
import pytest
from scipy.stats import binomtest

from study.inference.abstain import (
    MAX_UNANSWERED,
    choose_threshold,
    distance,
    energy,
    fit_abstention,
    image_statistics,
    is_foreign,
    prediction_set,
    probabilities,
)


def logits_of(labels, n_classes=4, height=8.0, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((len(labels), n_classes))
    logits[np.arange(len(labels)), labels] += height
    return logits


@pytest.fixture
def fitted():
    labels = np.arange(2000) % 4
    return fit_abstention(logits_of(labels), labels)


def test_probabilities_of_known_logits_with_temperature():
    assert probabilities(np.array([[2 * np.log(3), 0.0]]), 2.0) == pytest.approx(np.array([[0.75, 0.25]]))


def test_probabilities_of_huge_logits_stay_finite():
    assert probabilities(np.array([[1e4, -1e4]])).tolist() == [[1.0, 0.0]]


def test_the_threshold_is_the_lowest_that_keeps_the_error_bound():
    confidence = np.linspace(0.5, 1.0, 20_000)
    correct = np.ones(20_000, bool)
    correct[:400] = False  # the least sure are wrong
    chosen = choose_threshold(confidence, correct)
    answered = confidence >= chosen["threshold"]
    errors = int((~correct[answered]).sum())
    upper = binomtest(errors, int(answered.sum()), alternative="less").proportion_ci(0.95).high
    assert chosen["error_bound"] == pytest.approx(upper, rel=1e-6)
    assert upper <= 0.001
    one_more = binomtest(errors + 1, int(answered.sum()) + 1, alternative="less").proportion_ci(0.95).high
    assert one_more > 0.001
    assert chosen["answered"] == pytest.approx(answered.mean())


def test_the_threshold_never_costs_more_than_its_share_of_clean_images():
    correct = np.random.default_rng(0).random(10_000) > 0.2
    chosen = choose_threshold(np.linspace(0.2, 1.0, 10_000), correct)
    assert chosen["answered"] >= 1 - MAX_UNANSWERED
    assert chosen["error_bound"] > 0.001


def test_equal_confidences_are_answered_together():
    chosen = choose_threshold(np.full(100, 0.9), np.ones(100, bool))
    assert chosen["answered"] == 1.0


def test_what_was_fitted_is_strict_json(fitted):
    assert json.loads(json.dumps(fitted, allow_nan=False)) == fitted


def test_clean_logits_are_seldom_foreign_and_flat_ones_are(fitted):
    black = np.zeros((500, 28, 28), np.uint8)
    assert is_foreign(logits_of(np.arange(500) % 4, seed=9), black, fitted).mean() < 0.02
    assert is_foreign(np.zeros((1, 4)), black[:1], fitted).all()
    assert is_foreign(np.full((1, 4), 40.0), black[:1], fitted).all()


def test_an_empty_fit_refuses_nothing():
    assert not is_foreign(np.zeros((3, 4)), np.zeros((3, 28, 28), np.uint8), {}).any()


def test_a_class_without_validation_images_does_not_break_the_fit():
    labels = np.arange(300) % 3
    assert np.isfinite(fit_abstention(logits_of(labels), labels)["distance"]["limit"])


def test_distance_is_zero_at_a_class_mean_and_mahalanobis_elsewhere():
    fit = {"means": [[0.0, 0.0], [10.0, 0.0]], "precision": [[4.0, 0.0], [0.0, 1.0]]}
    assert distance(np.array([[10.0, 0.0], [1.0, 2.0]]), fit) == pytest.approx([0.0, 8.0])


def test_energy_is_log_sum_exp():
    assert energy(np.log(np.array([[1.0, 2.0, 5.0]]))) == pytest.approx([np.log(8)])


def test_statistics_tell_noise_and_solid_shapes_from_digits(digits):
    images, _ = digits
    noise = np.random.default_rng(0).integers(0, 256, (50, 28, 28)).astype(np.uint8)
    solid = np.zeros((1, 28, 28), np.uint8)
    solid[:, 5:23, 5:23] = 255
    fit = fit_abstention(logits_of(digits[1], 10), digits[1], images=images)
    seen = {"statistics": fit["statistics"]}
    assert is_foreign(np.zeros((len(images), 10)), images, seen).mean() < 0.01
    assert is_foreign(np.zeros((50, 10)), noise, seen).all()
    assert is_foreign(np.zeros((1, 10)), solid, seen).all()


def test_statistics_of_a_black_image_are_finite():
    assert np.isfinite(image_statistics(np.zeros((1, 28, 28), np.uint8))).all()


def test_prediction_sets_hold_the_truth_as_often_as_they_say():
    labels = np.arange(4000) % 4
    fit = fit_abstention(logits_of(labels, height=2.0), labels)
    fresh = probabilities(logits_of(labels, height=2.0, seed=5))
    held = [label in prediction_set(p, fit, 0.95) for p, label in zip(fresh, labels, strict=True)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)


def test_prediction_sets_are_ordered_never_empty_and_work_without_a_fit():
    assert prediction_set(np.array([0.01, 0.6, 0.39]), {}, 0.9) == [1, 2]
    assert prediction_set(np.array([0.3, 0.4, 0.3]), {"sets": {"0.95": 0.9}}, 0.95) == [1]
