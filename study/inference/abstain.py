"""When to say nothing: how sure is sure enough, and what is no digit at all. Fitted on validation; no torch.

Two scores, each fitted on validation images and pictures drawn from them; no picture that is no digit was ever looked
at:
  probability  calibrated, of the network's answer, from its logits and the second reader's log-likelihoods. Under a
               threshold the answer is left open; the upper 95 % bound of the error among answered images is then at
               most MAX_ERROR
  strangeness  how unlike the validation images a picture is, from seven looks at once (see `_looks`)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import betaincinv

from study.statistics.logits import log_softmax, softmax

Floats = NDArray[np.float64]

MAX_ERROR = 0.002  # upper bound of the error among answered validation images
MAX_HANDS_ERROR = 0.015  # and among answered pictures as people deliver them, of which fewer are drawn
MAX_UNANSWERED = 0.05  # share of clean images that abstaining may cost; the error bound gives way beyond it
STRANGE = 0.01  # share of clean validation images that the strangeness refuses
COVERAGES = (0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.98, 0.985, 0.99, 0.9925, 0.995, 0.9975, 0.998, 0.999, 0.9995)
DEFAULT_COVERAGE = 0.999
DEFAULT_THRESHOLD = 0.5  # for a model whose file names none, and the least: no answer is less likely than not
TOO_FEW = "too few validation images to fit a smaller set"
TRADE_OFFS = (0.99, 0.98, 0.97, 0.95, 0.9)  # shares answered whose error is told beside the chosen one

STATISTICS = ("ink", "solid", "roughness", "pits")


@dataclass(frozen=True)
class Evidence:
    """What is known of N pictures: uint8 [N, 28, 28], the network's logits [N, C], and the second reader's
    log-likelihoods [N, C] where there is one."""

    images: NDArray[np.uint8]
    logits: NDArray[Any]
    likelihoods: NDArray[Any] | None = None

    @property
    def answers(self) -> NDArray[np.int64]:
        """The network's: the second reader lends doubt, not answers."""
        return np.asarray(np.argmax(self.logits, axis=1), dtype=np.int64)


@dataclass(frozen=True)
class Hands:
    """What is known of N pictures as people deliver them: their `labels` [N], and which are `refused` [N] whatever the
    threshold, for what was found in the picture."""

    evidence: Evidence
    labels: NDArray[np.int64]
    refused: NDArray[np.bool_]


def fit_abstention(
    evidence: Evidence, labels: NDArray[Any], temperature: float = 1.0, hands: Hands | None = None
) -> dict[str, Any]:
    """Everything that a prediction needs to abstain, as plain JSON values for `model.json`, key "abstention".

    `evidence` and `labels` [N] of validation images that the network was not trained on; `temperature` of the logits.
    What the two readers weigh and the threshold are chosen on these and on `hands`.
    """
    fitted: dict[str, Any] = {"logit_distance": _fit_distance(evidence.logits, labels)}
    if evidence.likelihoods is not None:
        fitted["pool"] = _fit_pool(evidence, labels, temperature, hands)
    looks = _looks(evidence, fitted)
    fitted["looks"] = {name: _quantiles(values) for name, values in looks.items()}
    strange = _strangeness(looks, fitted["looks"])
    fitted["limit"] = float(np.quantile(strange, 1 - STRANGE))
    p = probabilities(evidence, fitted, temperature)
    confidence, correct = _confidence(evidence, fitted, temperature), evidence.answers == labels
    others = None if hands is None else _of_hands(hands, fitted, temperature)
    fitted |= choose_threshold(confidence, correct, others)
    if others is not None:
        fitted["hands"] = _at_threshold(*others, fitted["threshold"])
    fitted["trade_off"] = [point for share in TRADE_OFFS if (point := _at_share(confidence, correct, share))]
    fitted["sets"] = _set_levels(p[np.arange(len(labels)), labels])
    return fitted


def _confidence(evidence: Evidence, fitted: Mapping[str, Any], temperature: float) -> Floats:
    """The answers' probabilities [N], zero where a picture is too strange."""
    p = probabilities(evidence, fitted, temperature)[np.arange(len(evidence.images)), evidence.answers]
    return np.where(strangeness(evidence, fitted) > 1, 0.0, p)


def _of_hands(hands: Hands, fitted: Mapping[str, Any], temperature: float) -> tuple[Floats, NDArray[np.bool_]]:
    confidence = _confidence(hands.evidence, fitted, temperature)
    return np.where(hands.refused, 0.0, confidence), hands.evidence.answers == hands.labels


# --- how sure --------------------------------------------------------------------------------------------------------


def probabilities(evidence: Evidence, fitted: Mapping[str, Any], temperature: float = 1.0) -> Floats:
    """Calibrated class probabilities [N, C]: of both readers where `fitted` weighs them, else of the logits alone."""
    pool = fitted.get("pool")
    if pool is None or evidence.likelihoods is None:
        return softmax(evidence.logits, temperature)
    logits, likelihoods = (np.asarray(a, dtype=np.float64) for a in (evidence.logits, evidence.likelihoods))
    return softmax(pool["scale"] * logits + pool["weight"] * likelihoods)


def _fit_pool(evidence: Evidence, labels: NDArray[Any], temperature: float, hands: Hands | None) -> dict[str, float]:
    """Weights of the two readers in a logarithmic opinion pool: least negative log-likelihood, neither below zero. What
    the one weighs beside the other is learnt on `hands`, too; then both are scaled to be calibrated on clean images."""
    clean = _outputs(evidence)
    spread = np.maximum(clean.std(axis=(0, 1)), 1e-9)
    sets = [(clean / spread, labels)]
    if hands is not None:
        sets.append((_outputs(hands.evidence) / spread, hands.labels))
    weights = _least_loss(sets, np.array([spread[0] / temperature, 0.0])) / spread
    scale = _least_loss([((clean @ weights)[..., None], labels)], np.ones(1))
    return {"scale": float(scale[0] * weights[0]), "weight": float(scale[0] * weights[1])}


def _outputs(evidence: Evidence) -> Floats:
    """Of both readers, [N, C, 2], each with a mean of zero over the classes."""
    assert evidence.likelihoods is not None
    both = np.stack([evidence.logits, evidence.likelihoods], axis=-1).astype(np.float64)
    return np.asarray(both - both.mean(axis=1, keepdims=True))


def _least_loss(sets: Sequence[tuple[Floats, NDArray[Any]]], start: Floats) -> Floats:
    """Weights [K] of outputs [N, C, K] whose negative log-likelihood, summed over the means of the sets, is least."""
    # Imported here, as predictions start a tenth of a second sooner without it.
    from scipy.optimize import minimize

    def loss(weights: Floats) -> tuple[float, Floats]:
        value, slope = 0.0, np.zeros_like(weights)
        for outputs, labels in sets:
            own, log_p = outputs[np.arange(len(labels)), labels], log_softmax(outputs @ weights)
            expected = np.einsum("nc,nck->nk", np.exp(log_p), outputs)
            value -= float(log_p[np.arange(len(labels)), labels].mean())
            slope += (expected - own).mean(axis=0)
        return value, slope

    bounds = [(1e-3, 1e3)] + [(0.0, 1e3)] * (len(start) - 1)
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x)


def choose_threshold(
    confidence: Floats, correct: NDArray[np.bool_], hands: tuple[Floats, NDArray[np.bool_]] | None = None
) -> dict[str, Any]:
    """The lowest threshold whose answered images have an error bound of at most MAX_ERROR, and those of `hands` one of
    at most MAX_HANDS_ERROR; or the one that leaves MAX_UNANSWERED open if that is lower; DEFAULT_THRESHOLD at least.

    Key "chosen_by" says what kept it from being lower: "clean" images or "hands", whose bound it just holds;
    "floor", as it answers all that is likelier than not; or "cost", as it leaves MAX_UNANSWERED open short of a bound.
    """
    counts, thresholds, bounds = _risk(confidence, correct)
    least_of_hands = 0.0 if hands is None else _least(*hands)
    clean = np.flatnonzero(bounds <= MAX_ERROR)
    fine = clean[thresholds[clean] >= least_of_hands]
    enough = np.flatnonzero(counts >= (1 - MAX_UNANSWERED) * len(confidence))
    least = enough[0] if enough.size else len(counts) - 1
    at = int(max([least, *fine[-1:]]))
    if at == len(counts) - 1:
        chosen_by = "floor"
    elif at not in fine:
        chosen_by = "cost"
    else:
        chosen_by = "clean" if clean[-1] == at else "hands"
    return {**_point(confidence, counts, thresholds, bounds, at), "chosen_by": chosen_by}


def _least(confidence: Floats, correct: NDArray[np.bool_]) -> float:
    """The lowest threshold with an error bound of at most MAX_HANDS_ERROR; 1 where there is none."""
    _, thresholds, bounds = _risk(confidence, correct)
    return float(min(thresholds[bounds <= MAX_HANDS_ERROR], default=1.0))


def _at_threshold(confidence: Floats, correct: NDArray[np.bool_], threshold: float) -> dict[str, float]:
    """What a threshold does to other pictures: how many, the share answered and right, and answered and wrong."""
    answered = confidence >= threshold
    return {
        "pictures": len(confidence),
        "answered": float(answered.mean()),
        "wrong": float((answered & ~correct).mean()),
        "right": float(correct.mean()),
    }


def _at_share(confidence: Floats, correct: NDArray[np.bool_], share: float) -> dict[str, float] | None:
    """The threshold that answers at least this share of the images, with its error bound; None if none does."""
    counts, thresholds, bounds = _risk(confidence, correct)
    enough = np.flatnonzero(counts >= share * len(confidence))
    return _point(confidence, counts, thresholds, bounds, int(enough[0])) if enough.size else None


def _point(confidence: Floats, counts: NDArray[Any], thresholds: Floats, bounds: Floats, at: int) -> dict[str, float]:
    return {
        "threshold": float(thresholds[at]),
        "error_bound": float(bounds[at]),
        "answered": float(counts[at] / len(confidence)),
    }


def _risk(confidence: Floats, correct: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Floats, Floats]:
    """For each possible threshold, falling: images answered, the threshold, and the upper 95 % bound of their error,
    Clopper and Pearson's, one-sided."""
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    n = np.arange(1, len(order) + 1)
    errors = np.cumsum(~correct[order])
    bounds = betaincinv(errors + 1, np.maximum(n - errors, 1e-9), 0.95)
    # Equal confidences are answered together: only the last of them can be the end.
    ends = np.append(np.diff(ordered) != 0, True) & (ordered >= DEFAULT_THRESHOLD)
    if not ends.any():
        ends[0] = True
    return n[ends], ordered[ends], np.asarray(bounds[ends], dtype=np.float64)


def _set_levels(true_probability: Floats) -> dict[str, float]:
    """Split-conformal levels: classes with at least this probability contain the true digit in `coverage` of images."""
    ordered = np.sort(true_probability)
    ranks = {coverage: int(np.floor((1 - coverage) * (len(ordered) + 1))) for coverage in COVERAGES}
    return {str(coverage): float(ordered[rank - 1]) if rank >= 1 else 0.0 for coverage, rank in ranks.items()}


def prediction_set(p: Floats, fitted: Mapping[str, Any], coverage: float | None = None) -> list[int]:
    """Classes that contain the true digit with the wanted coverage, most probable first; never empty. p is [C].

    Fitted levels are those of the next higher coverage; beyond the highest, all classes. Without any fitted level it
    is the smallest set whose probabilities sum to the coverage.
    """
    wanted = DEFAULT_COVERAGE if coverage is None else coverage
    order = np.argsort(-p, kind="stable")
    levels = {float(known): level for known, level in fitted.get("sets", {}).items()}
    if levels:
        level = levels[min((known for known in levels if known >= wanted), default=max(levels))]
        count = int((p >= level).sum()) if wanted <= max(levels) else len(p)
    else:
        count = int(np.searchsorted(np.cumsum(p[order]), wanted - 1e-12)) + 1
    return [int(c) for c in order[: min(max(count, 1), len(p))]]


def widest_fitted_set(fitted: Mapping[str, Any], coverage: float | None = None) -> float | None:
    """The highest coverage that a smaller set than that of all classes was fitted for, where the wanted one is beyond
    it for want of validation images; else None."""
    levels = {float(known): level for known, level in fitted.get("sets", {}).items()}
    wanted = DEFAULT_COVERAGE if coverage is None else coverage
    if not levels or wanted > max(levels) or levels[min(known for known in levels if known >= wanted)] > 0:
        return None
    return max((known for known, level in levels.items() if level > 0), default=0.0)


# --- what is no digit ------------------------------------------------------------------------------------------------


def strangeness(evidence: Evidence, fitted: Mapping[str, Any]) -> Floats:
    """How unlike the validation images each of N pictures is, [N], as a share of the limit: above 1 it looks like
    nothing the network was trained on. All zero where `fitted` has no limit."""
    if "limit" not in fitted:
        return np.zeros(len(evidence.images))
    return _strangeness(_looks(evidence, fitted), fitted["looks"]) / max(float(fitted["limit"]), 1e-9)


def _strangeness(looks: Mapping[str, Floats], quantiles: Mapping[str, Sequence[float]]) -> Floats:
    """Sum over the looks of the squared distance from the clean median [N], in units of what a hundredth of the clean
    images exceeds: several small oddities count as much as a single large one."""
    odd = [_oddness(values, quantiles[name], name in STATISTICS) for name, values in looks.items()]
    return np.asarray(np.square(odd).sum(axis=0))


def _oddness(values: Floats, quantiles: Sequence[float], two_sided: bool) -> Floats:
    low, middle, high = quantiles
    upper = max(high - middle, 1e-9)
    odd = np.maximum(values - middle, 0) / upper
    if two_sided:
        odd += np.maximum(middle - values, 0) / max(middle - low, 0.25 * upper)
    return np.asarray(odd)


def _quantiles(values: Floats) -> list[float]:
    return [float(q) for q in np.quantile(values, [0.01, 0.5, 0.99])]


def _looks(evidence: Evidence, fitted: Mapping[str, Any]) -> dict[str, Floats]:
    """Values [N] by look; all but the statistics of the picture are large where the picture is odd.

    likelihood      how ill the second reader's Gaussian of the answered class fits, where there is a second reader
    logit_distance  of the logits from their nearest class, Mahalanobis with one shared covariance (Lee et al. 2018)
    energy          minus log-sum-exp of the logits, large where no class is claimed (Liu et al. 2020)
    """
    values = {
        "logit_distance": logit_distance(evidence.logits, fitted["logit_distance"]),
        "energy": energy(evidence.logits),
        **dict(zip(STATISTICS, image_statistics(evidence.images).T, strict=True)),
    }
    if evidence.likelihoods is not None:
        values["likelihood"] = -np.asarray(evidence.likelihoods, np.float64)[
            np.arange(len(evidence.images)), evidence.answers
        ]
    return values


def _fit_distance(logits: NDArray[Any], labels: NDArray[Any]) -> dict[str, Any]:
    values = np.asarray(logits, dtype=np.float64)
    means = np.stack([_mean_of(values, labels == c) for c in range(values.shape[1])])
    residual = values - means[labels]
    covariance = residual.T @ residual / len(values)
    covariance += np.eye(len(covariance)) * max(1e-3 * float(np.trace(covariance)) / len(covariance), 1e-9)
    return {"means": means.tolist(), "precision": np.linalg.inv(covariance).tolist()}


def _mean_of(values: Floats, chosen: NDArray[np.bool_]) -> Floats:
    return np.asarray(values[chosen].mean(axis=0) if chosen.any() else values.mean(axis=0))


def logit_distance(logits: NDArray[Any], fitted: Mapping[str, Any]) -> Floats:
    """Squared Mahalanobis distance [N] of logits [N, C] from the nearest class."""
    gaps = np.asarray(logits, dtype=np.float64)[:, None] - np.asarray(fitted["means"])[None]  # [N, C, C]
    return np.asarray(np.einsum("nci,ij,ncj->nc", gaps, np.asarray(fitted["precision"]), gaps).min(axis=1))


def energy(logits: NDArray[Any]) -> Floats:
    """Minus log-sum-exp [N] of logits [N, C]: the free energy."""
    values = np.asarray(logits, dtype=np.float64)
    top = values.max(axis=1)
    return np.asarray(-top - np.log(np.exp(values - top[:, None]).sum(axis=1)))


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
