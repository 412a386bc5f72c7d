"""Metrics against scikit-learn, hand-computed values and simulation."""

import json
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, confusion_matrix, log_loss, precision_recall_fscore_support

from study.statistics import scores as metrics


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray]:
    """Labels and answers of five classes; class 3 is never answered, class 4 never occurs."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 500)
    predictions = np.where(rng.random(500) < 0.8, labels, rng.integers(0, 5, 500))
    predictions[predictions == 3] = 4
    return labels, predictions


def test_confusion_matrix_is_sklearns(answers: tuple[np.ndarray, np.ndarray]) -> None:
    expected = confusion_matrix(*answers, labels=range(5))
    assert metrics.confusion_matrix(*answers, n_classes=5).tolist() == expected.tolist()


def test_scores_per_class_and_macro_are_sklearns_with_zero_division_zero(
    answers: tuple[np.ndarray, np.ndarray],
) -> None:
    found = metrics.per_class(metrics.confusion_matrix(*answers, n_classes=5))
    precision, recall, f1, support = precision_recall_fscore_support(*answers, labels=range(5), zero_division=0)
    assert found.precision == pytest.approx(precision)
    assert found.recall == pytest.approx(recall)
    assert found.f1 == pytest.approx(f1)
    assert found.support == tuple(support)
    assert (found.macro_precision, found.macro_recall, found.macro_f1) == pytest.approx(
        (precision.mean(), recall.mean(), f1.mean())
    )
    json.dumps(found.to_dict(), allow_nan=False)


def test_nll_and_brier_are_sklearns() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(300, 10)) * 2, rng.integers(0, 10, 300)
    probabilities = metrics.softmax(logits)
    assert metrics.nll(logits, labels) == pytest.approx(log_loss(labels, probabilities, labels=range(10)))
    expected = brier_score_loss(labels, probabilities, labels=range(10), scale_by_half=False)
    assert metrics.brier(probabilities, labels) == pytest.approx(expected)


def test_most_confused_pairs_come_largest_first() -> None:
    assert metrics.most_confused(np.array([[9, 2, 0], [5, 9, 0], [0, 2, 9]])) == [(1, 0, 5), (0, 1, 2), (2, 1, 2)]


def test_bins_have_equal_mass_and_ties_stay_together() -> None:
    rng = np.random.default_rng(0)
    assert np.bincount(metrics.equal_mass_bins(rng.random(1500), 15)).tolist() == [100] * 15
    tied = np.array([0.9] * 70 + [1.0] * 30)
    bins = metrics.equal_mass_bins(tied, 10)
    assert len(set(bins[:70])) == len(set(bins[70:])) == 1


def test_ece_by_hand() -> None:
    """Two bins of two: |1/2 − 0.55| and |1 − 0.85|, each half of the images."""
    confidence, correct = np.array([0.5, 0.6, 0.8, 0.9]), np.array([True, False, True, True])
    assert metrics.ece(confidence, correct, bins=2) == pytest.approx(0.5 * 0.05 + 0.5 * 0.15)


def test_ece_does_not_depend_on_the_order_of_images() -> None:
    rng = np.random.default_rng(0)
    confidence, correct = np.round(rng.random(500), 1), rng.random(500) < 0.7
    order = rng.permutation(500)
    assert metrics.ece(confidence[order], correct[order]) == pytest.approx(metrics.ece(confidence, correct))


def test_the_noise_floor_of_a_99_percent_model_is_a_tenth_of_a_point() -> None:
    rng = np.random.default_rng(0)
    confidence = 1 - rng.beta(0.05, 6, 10_000)
    floor = metrics.ece_noise_floor(confidence)
    assert 0.0005 < floor.median < floor.quantile95 < 0.003


def test_calibration_is_strict_json_and_its_bins_give_the_ece() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(400, 10)) * 2, rng.integers(0, 10, 400)
    found = metrics.calibration(logits, labels, temperature=1.5)
    gaps = [abs(part.accuracy - part.confidence) * part.count for part in found.reliability]
    assert sum(gaps) / 400 == pytest.approx(found.ece)
    json.dumps(found.to_dict(), allow_nan=False)


def test_risk_coverage_by_hand() -> None:
    found = metrics.risk_coverage(np.array([0.9, 0.7, 0.9, 0.5]), np.array([True, False, True, True]))
    assert found.threshold == (0.9, 0.7, 0.5)
    assert found.coverage == (0.5, 0.75, 1.0)
    assert found.risk == pytest.approx((0, 1 / 3, 1 / 4))


def test_what_the_report_imports_loads_no_torch_and_no_optuna() -> None:
    modules = "study.statistics.comparison, study.statistics.scores, study.records.seal, study.evaluation.temperature"
    code = f"import sys, {modules}; print(sorted({{'torch', 'optuna', 'sklearn', 'statsmodels'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
