"""Accuracy, likelihood and temperature of a set of logits: what training reports at a rung. numpy alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[Any]
Labels = NDArray[Any]
TEMPERATURE_RANGE = (0.05, 20.0)
_NEWTON_STEPS = 30
_DIVERGED = 1e15  # logits further apart are no answers, and their squares no float32


def log_softmax(logits: Logits) -> NDArray[np.float64]:
    """[N, C] -> log probabilities [N, C], shifted by the row maximum so that no exponential overflows."""
    shifted = np.asarray(logits, dtype=np.float64)
    shifted = shifted - shifted.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def softmax(logits: Logits, temperature: float = 1.0) -> NDArray[np.float64]:
    """[N, C] -> probabilities [N, C] of logits / temperature."""
    return np.asarray(np.exp(log_softmax(np.asarray(logits, dtype=np.float64) / temperature)))


def accuracy(logits: Logits, labels: Labels) -> float:
    """Share of rows whose largest logit is the label's; a row with a NaN is wrong, whatever its label."""
    right = (np.argmax(logits, axis=-1) == labels) & ~np.isnan(logits).any(axis=-1)
    return float(right.mean())


def nll(logits: Logits, labels: Labels, temperature: float = 1.0) -> float:
    """Mean negative log-likelihood in nats of the labels [N] under softmax(logits / temperature)."""
    log_probability = log_softmax(np.asarray(logits, dtype=np.float64) / temperature)
    return float(-log_probability[np.arange(len(labels)), labels].mean())


def fit_temperature(logits: Logits, labels: Labels) -> float:
    """Temperature in TEMPERATURE_RANGE that minimises `nll` (Guo et al. 2017, "On Calibration of Modern Neural
    Networks").

    The loss is convex in 1/T, so Newton steps guarded by bisection find the one minimum. Where the data do not
    determine it (constant rows, every label strictly on top, logits of a diverged network) the temperature stays 1.
    """
    gaps = _gaps_to_label(logits, labels)
    if not (np.abs(gaps) < _DIVERGED).all() or not gaps.any() or gaps.max() <= 0:
        return 1.0
    low, high = 1 / TEMPERATURE_RANGE[1], 1 / TEMPERATURE_RANGE[0]
    if _slope(gaps, low)[0] >= 0:
        return TEMPERATURE_RANGE[1]
    if _slope(gaps, high)[0] <= 0:
        return TEMPERATURE_RANGE[0]
    return 1 / _root(gaps, low, high)


def _gaps_to_label(logits: Logits, labels: Labels) -> NDArray[np.float32]:
    """[C, N] logit minus the label's logit. float32 and classes first: the sums below then run along memory."""
    columns = np.asarray(logits, dtype=np.float32).T
    return np.ascontiguousarray(columns - columns[labels, np.arange(len(labels))])


def _slope(gaps: NDArray[np.float32], inverse: float) -> tuple[float, float]:
    """First and second derivative of the mean loss by 1/T: the mean and the variance of the gaps under softmax."""
    scaled = gaps * np.float32(inverse)
    weights = np.exp(scaled - scaled.max(axis=0))
    total = weights.sum(axis=0)
    weights *= gaps
    mean = weights.sum(axis=0) / total
    weights *= gaps
    variance = weights.sum(axis=0) / total - mean * mean
    return float(mean.mean(dtype=np.float64)), float(variance.mean(dtype=np.float64))


def _root(gaps: NDArray[np.float32], low: float, high: float) -> float:
    inverse = 1.0
    for _ in range(_NEWTON_STEPS):
        slope, curvature = _slope(gaps, inverse)
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        proposal = inverse - slope / curvature if curvature > 0 else low
        if not low < proposal < high:
            proposal = (low + high) / 2
        if abs(proposal - inverse) <= 1e-5 * inverse:
            return proposal
        inverse = proposal
    return inverse
