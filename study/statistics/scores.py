"""What a set of logits is worth: scores per class, calibration, abstention. numpy and scipy alone:
scikit-learn's metrics agree to the last bit, but loading them takes a second and 90 MiB, more than the whole report.

Confidence is the probability of the class that was answered, `correct` whether that was the label's; both [N].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from study.statistics.intervals import wilson
from study.statistics.logits import accuracy, fit_temperature, log_softmax, nll, softmax
from study.statistics.result import Result

__all__ = [
    "Calibration",
    "NoiseFloor",
    "PerClass",
    "ReliabilityBin",
    "RiskCoverage",
    "accuracy",
    "brier",
    "calibration",
    "confidence_and_correct",
    "confusion_matrix",
    "ece",
    "ece_noise_floor",
    "equal_mass_bins",
    "fit_temperature",
    "log_softmax",
    "most_confused",
    "nll",
    "per_class",
    "risk_coverage",
    "softmax",
]

BINS = 15
_BATCH = 100


def confidence_and_correct(
    logits: NDArray[Any], labels: NDArray[Any], temperature: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Logits [N, C] -> (probability of the answer [N], whether the answer is right [N])."""
    probabilities = softmax(logits, temperature)
    return probabilities.max(axis=1), np.asarray(logits).argmax(axis=1) == labels


def brier(probabilities: NDArray[Any], labels: NDArray[Any]) -> float:
    """Mean over images of the sum over classes of squared errors (Brier 1950): 0 is perfect, 2 the worst. It is not
    halved, as for two classes it often is."""
    target = np.zeros(probabilities.shape)
    target[np.arange(len(labels)), labels] = 1
    return float(((probabilities - target) ** 2).sum(axis=1).mean())


# -- confusion and classes --------------------------------------------------------------------------------------------


def confusion_matrix(labels: NDArray[Any], predictions: NDArray[Any], n_classes: int) -> NDArray[np.int64]:
    """Counts [C, C], row the true class, column the answer."""
    cells = np.bincount(np.asarray(labels) * n_classes + np.asarray(predictions), minlength=n_classes * n_classes)
    return cells.reshape(n_classes, n_classes).astype(np.int64)


@dataclass(frozen=True)
class PerClass(Result):
    """Precision, recall and F1 of each class in order, with Wilson intervals, and their plain means (macro). A class
    that is never answered has precision 0, one that never occurs recall 0 (scikit-learn's zero_division=0)."""

    precision: tuple[float, ...]
    recall: tuple[float, ...]
    f1: tuple[float, ...]
    support: tuple[int, ...]
    precision_interval95: tuple[tuple[float, float], ...]
    recall_interval95: tuple[tuple[float, float], ...]
    macro_precision: float
    macro_recall: float
    macro_f1: float


def per_class(confusion: NDArray[Any]) -> PerClass:
    """From counts [C, C] of one network, or summed over the seeds of a finalist: the ratios are then pooled, and the
    Wilson intervals too narrow, because the seeds read the same images."""
    hits, answered, support = np.diagonal(confusion), confusion.sum(axis=0), confusion.sum(axis=1)
    precision, recall, f1 = _ratio(hits, answered), _ratio(hits, support), _ratio(2 * hits, answered + support)
    return PerClass(
        precision=tuple(precision.tolist()),
        recall=tuple(recall.tolist()),
        f1=tuple(f1.tolist()),
        support=tuple(support.tolist()),
        precision_interval95=tuple(wilson(int(k), int(n)) for k, n in zip(hits, answered, strict=True)),
        recall_interval95=tuple(wilson(int(k), int(n)) for k, n in zip(hits, support, strict=True)),
        macro_precision=float(precision.mean()),
        macro_recall=float(recall.mean()),
        macro_f1=float(f1.mean()),
    )


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0))


def most_confused(confusion: NDArray[Any], largest: int = 10) -> list[tuple[int, int, int]]:
    """(true class, answer, count) of the most frequent errors, largest first, ties by class; none with count 0."""
    errors = np.array(confusion, copy=True)
    np.fill_diagonal(errors, 0)
    order = np.argsort(-errors, axis=None, kind="stable")[:largest]
    pairs = [(int(cell) // len(errors), int(cell) % len(errors)) for cell in order]
    return [(true, answer, int(errors[true, answer])) for true, answer in pairs if errors[true, answer] > 0]


# -- calibration ------------------------------------------------------------------------------------------------------


def equal_mass_bins(confidence: NDArray[Any], bins: int = BINS) -> NDArray[np.int64]:
    """The bin of each image, 0 … bins−1, of about equally many images each; equal confidences share one bin (that of
    their middle rank), so that the result does not depend on the order of the images."""
    _, group, sizes = np.unique(confidence, return_inverse=True, return_counts=True)
    middle = np.cumsum(sizes) - sizes / 2
    return np.minimum(bins - 1, np.floor(middle * bins / len(confidence))).astype(np.int64)[group]


def ece(confidence: NDArray[Any], correct: NDArray[Any], bins: int = BINS) -> float:
    """Expected calibration error of the answered class: the mean over equal-mass bins, weighted by their size, of
    |accuracy − mean confidence| (Naeini et al. 2015; equal mass as in Roelofs et al. 2022)."""
    residual = np.bincount(equal_mass_bins(confidence, bins), weights=np.asarray(correct) - confidence)
    return float(np.abs(residual).sum() / len(confidence))


@dataclass(frozen=True)
class NoiseFloor(Result):
    """ECE of a perfectly calibrated model with these confidences: what remains from the luck of the images."""

    median: float
    quantile95: float


def ece_noise_floor(confidence: NDArray[Any], bins: int = BINS, draws: int = 400, seed: int = 0) -> NoiseFloor:
    """Draws correctness with exactly the stated probabilities, `draws` times, and takes the ECE of each."""
    order = np.argsort(confidence, kind="stable")
    ordered, bin_of = np.asarray(confidence)[order], equal_mass_bins(confidence, bins)[order]
    starts = np.flatnonzero(np.diff(bin_of, prepend=-1))
    rng, values = np.random.default_rng(seed), []
    for begin in range(0, draws, _BATCH):
        right = rng.random((min(_BATCH, draws - begin), len(ordered))) < ordered
        residual = np.add.reduceat(right - ordered, starts, axis=1)
        values.append(np.abs(residual).sum(axis=1) / len(ordered))
    median, high = np.quantile(np.concatenate(values), [0.5, 0.95])
    return NoiseFloor(float(median), float(high))


@dataclass(frozen=True)
class ReliabilityBin(Result):
    count: int
    confidence: float
    accuracy: float
    interval95: tuple[float, float]


@dataclass(frozen=True)
class Calibration(Result):
    """`brier` is summed over classes (0 to 2); `reliability` holds the bins from which the ECE is computed."""

    temperature: float
    nll: float
    brier: float
    ece: float
    noise_floor: NoiseFloor
    reliability: tuple[ReliabilityBin, ...]


def calibration(logits: NDArray[Any], labels: NDArray[Any], temperature: float = 1.0, bins: int = BINS) -> Calibration:
    """What the report says of one network's logits [N, C] under a temperature fitted elsewhere (on validation)."""
    probabilities = softmax(logits, temperature)
    confidence, correct = confidence_and_correct(logits, labels, temperature)
    return Calibration(
        temperature=temperature,
        nll=nll(logits, labels, temperature),
        brier=brier(probabilities, labels),
        ece=ece(confidence, correct, bins),
        noise_floor=ece_noise_floor(confidence, bins),
        reliability=_reliability(confidence, correct, bins),
    )


def _reliability(confidence: NDArray[Any], correct: NDArray[Any], bins: int) -> tuple[ReliabilityBin, ...]:
    bin_of = equal_mass_bins(confidence, bins)
    found = []
    for index in np.unique(bin_of):
        inside = bin_of == index
        count, hits = int(inside.sum()), int(correct[inside].sum())
        found.append(ReliabilityBin(count, float(confidence[inside].mean()), hits / count, wilson(hits, count)))
    return tuple(found)


# -- abstention -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RiskCoverage(Result):
    """Answering only from `threshold` up: the share of images answered and the share of wrong ones among them, from
    the strictest threshold to the one that answers all. `area` is the mean risk over coverage."""

    threshold: tuple[float, ...]
    coverage: tuple[float, ...]
    risk: tuple[float, ...]
    area: float


def _by_threshold(confidence: NDArray[Any], correct: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Distinct confidences falling, how many images reach each, and how many of those are wrong."""
    values, group = np.unique(-np.asarray(confidence, dtype=np.float64), return_inverse=True)
    answered = np.cumsum(np.bincount(group))
    wrong = np.cumsum(np.bincount(group, weights=~np.asarray(correct, dtype=bool))).astype(np.int64)
    return -values, answered, wrong


def risk_coverage(confidence: NDArray[Any], correct: NDArray[Any]) -> RiskCoverage:
    """Risk against coverage (El-Yaniv & Wiener 2010), one point per distinct confidence."""
    threshold, answered, wrong = _by_threshold(confidence, correct)
    coverage, risk = answered / len(confidence), wrong / answered
    area = float((risk * np.diff(coverage, prepend=0)).sum())
    return RiskCoverage(tuple(threshold.tolist()), tuple(coverage.tolist()), tuple(risk.tolist()), area)
