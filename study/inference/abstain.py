"""When to say nothing: how sure is sure enough, and what is no digit at all. Fitted on validation; numpy only.

Four looks, each fitted on clean validation images alone:
  threshold   calibrated probability under which the answer is left open; the upper 95 % bound of the error among
              answered images is at most MAX_ERROR
  energy      log-sum-exp of the logits, low where no class is claimed (Liu et al. 2020)
  distance    of the logits from their nearest class, Mahalanobis with one shared covariance (Lee et al. 2018)
  statistics  of the 28 x 28 picture: amount of ink, solid ink, roughness, pits (given the images)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import betaincinv

Floats = NDArray[np.float64]

MAX_ERROR = 0.001  # upper bound of the error among answered validation images
MAX_UNANSWERED = 0.03  # share of clean images that the threshold may cost; the error bound gives way beyond it
REFUSED = 0.0025  # share of clean validation images that each look at "no digit" refuses
COVERAGES = (0.95, 0.99, 0.999)
DEFAULT_COVERAGE = 0.999
DEFAULT_THRESHOLD = 0.5  # for a model whose file names none
STATISTICS = ("ink", "solid", "roughness", "pits")


def probabilities(logits: NDArray[Any], temperature: float = 1.0) -> Floats:
    """Calibrated class probabilities [N, C] of logits [N, C]."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    exponents = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True), dtype=np.float64)


def fit_abstention(
    logits: NDArray[Any], labels: NDArray[Any], temperature: float = 1.0, images: NDArray[np.uint8] | None = None
) -> dict[str, Any]:
    """Everything that a prediction needs to abstain, as plain JSON values for `model.json`, key "abstention".

    `logits` [N, C] and `labels` [N] of validation images that the network was not trained on; `temperature` as fitted;
    `images` uint8 [N, 28, 28], the same ones, optional.
    """
    p = probabilities(logits, temperature)
    chosen = choose_threshold(p.max(axis=1), p.argmax(axis=1) == labels)
    fitted = {
        **chosen,
        "sets": _set_levels(p[np.arange(len(labels)), labels]),
        "distance": _fit_distance(logits, labels),
    }
    fitted["energy"] = {"limit": float(np.quantile(energy(logits), REFUSED))}
    if images is not None:
        fitted["statistics"] = _fit_statistics(images)
    return fitted


def choose_threshold(confidence: Floats, correct: NDArray[np.bool_]) -> dict[str, float]:
    """The lowest threshold whose answered images have an error bound of at most MAX_ERROR, or the one that leaves
    MAX_UNANSWERED open if that is lower. The bound is Clopper and Pearson's, one-sided, 95 %."""
    order = np.argsort(-confidence, kind="stable")
    n = np.arange(1, len(order) + 1)
    errors = np.cumsum(~correct[order])
    bound = betaincinv(errors + 1, np.maximum(n - errors, 1e-9), 0.95)
    # Equal confidences are answered together: only the last of them can be the end.
    ends = np.append(np.diff(confidence[order]) != 0, True)
    fine = np.flatnonzero((bound <= MAX_ERROR) & ends)
    enough = int(np.ceil((1 - MAX_UNANSWERED) * len(order))) - 1
    last = int(max(fine[-1] if fine.size else 0, enough))
    last = int(np.flatnonzero(ends)[np.searchsorted(np.flatnonzero(ends), last)])
    return {
        "threshold": float(confidence[order[last]]),
        "error_bound": float(bound[last]),
        "answered": float(n[last] / len(order)),
    }


def _set_levels(true_probability: Floats) -> dict[str, float]:
    """Split-conformal levels: classes with at least this probability hold the truth in `coverage` of images."""
    ordered = np.sort(true_probability)
    levels = {}
    for coverage in COVERAGES:
        rank = int(np.floor((1 - coverage) * (len(ordered) + 1)))
        levels[str(coverage)] = float(ordered[rank - 1]) if rank >= 1 else 0.0
    return levels


def _fit_distance(logits: NDArray[Any], labels: NDArray[Any]) -> dict[str, Any]:
    values = np.asarray(logits, dtype=np.float64)
    means = np.stack([_mean_of(values, labels == c) for c in range(values.shape[1])])
    residual = values - means[labels]
    covariance = residual.T @ residual / len(values)
    covariance += np.eye(len(covariance)) * max(1e-3 * float(np.trace(covariance)) / len(covariance), 1e-9)
    fitted = {"means": means.tolist(), "precision": np.linalg.inv(covariance).tolist()}
    return {**fitted, "limit": float(np.quantile(distance(values, fitted), 1 - REFUSED))}


def _mean_of(values: Floats, chosen: NDArray[np.bool_]) -> Floats:
    return np.asarray(values[chosen].mean(axis=0) if chosen.any() else values.mean(axis=0))


def distance(logits: NDArray[Any], fitted: Mapping[str, Any]) -> Floats:
    """Squared Mahalanobis distance [N] of logits [N, C] from the nearest class."""
    gaps = np.asarray(logits, dtype=np.float64)[:, None] - np.asarray(fitted["means"])[None]  # [N, C, C]
    return np.asarray(np.einsum("nci,ij,ncj->nc", gaps, np.asarray(fitted["precision"]), gaps).min(axis=1))


def energy(logits: NDArray[Any]) -> Floats:
    """Log-sum-exp [N] of logits [N, C]: the negative free energy."""
    values = np.asarray(logits, dtype=np.float64)
    top = values.max(axis=1)
    return np.asarray(top + np.log(np.exp(values - top[:, None]).sum(axis=1)))


def image_statistics(images: NDArray[np.uint8]) -> Floats:
    """[N, 4], the last three per ink: mean ink; ink deep inside strokes; steps between neighbours; what a closing
    of 3 x 3 fills in."""
    values = np.asarray(images, dtype=np.float32) / 255
    ink = values.mean(axis=(1, 2))
    solid = ndimage.minimum_filter(values, size=(1, 5, 5)).mean(axis=(1, 2))
    steps = np.abs(np.diff(values, axis=1)).mean(axis=(1, 2)) + np.abs(np.diff(values, axis=2)).mean(axis=(1, 2))
    safe = np.maximum(ink, 1e-6)
    pits = (ndimage.grey_closing(values, size=(1, 3, 3)) - values).mean(axis=(1, 2))
    return np.stack([ink, solid / safe, steps / safe, pits / safe], axis=1).astype(np.float64)


def _fit_statistics(images: NDArray[np.uint8]) -> dict[str, list[float]]:
    """Ranges that all but REFUSED of the images keep, with a twentieth of it as margin: pens differ."""
    values = image_statistics(images)
    low, high = np.quantile(values, [REFUSED / 2, 1 - REFUSED / 2], axis=0)
    margin = 0.05 * (high - low)
    return {name: [float(low[k] - margin[k]), float(high[k] + margin[k])] for k, name in enumerate(STATISTICS)}


def is_foreign(logits: NDArray[Any], images: NDArray[np.uint8], fitted: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Which of N images, with their logits [N, C], look like nothing the network was trained on. Keys that `fitted`
    does not hold are not looked at."""
    foreign = np.zeros(len(images), dtype=bool)
    if "energy" in fitted:
        foreign |= energy(logits) < fitted["energy"]["limit"]
    if "distance" in fitted:
        foreign |= distance(logits, fitted["distance"]) > fitted["distance"]["limit"]
    if "statistics" in fitted:
        values = image_statistics(images)
        for k, name in enumerate(STATISTICS):
            low, high = fitted["statistics"].get(name, (-np.inf, np.inf))
            foreign |= (values[:, k] < low) | (values[:, k] > high)
    return foreign


def prediction_set(p: Floats, fitted: Mapping[str, Any], coverage: float | None = None) -> list[int]:
    """Classes that hold the truth with the wanted coverage, most probable first; never empty. p is [C].

    Without a fitted level for `coverage` it is the smallest set whose probabilities sum to it.
    """
    wanted = DEFAULT_COVERAGE if coverage is None else coverage
    order = np.argsort(-p, kind="stable")
    level = fitted.get("sets", {}).get(str(float(wanted)))
    summed = int(np.searchsorted(np.cumsum(p[order]), wanted - 1e-12)) + 1
    count = summed if level is None else int((p >= level).sum())
    return [int(c) for c in order[: min(max(count, 1), len(p))]]
