"""Two simple classifiers on the same splits, to say what the networks are worth: logistic regression and kNN."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from study.data.datasets import load_train
from study.data.source import Source
from study.evaluation.test_set import load_sealed_test
from study.records.files import write_json
from study.records.paths import StudyFiles
from study.records.predictions import read_groups
from study.records.settings import StudySettings
from study.statistics.groups import Groups
from study.statistics.intervals import share
from study.statistics.result import strict

Pixels = NDArray[np.float32]
Labels = NDArray[np.int64]
Clock = Callable[[], float]

NEIGHBOURS = 3
COMPONENTS = 40
LOGISTIC_SHARE = 0.6
FULL_SECONDS = 8.0
QUERIES = 500


def run(
    files: StudyFiles,
    settings: StudySettings,
    seconds: float = FULL_SECONDS,
    seed: int = 0,
    clock: Clock = time.perf_counter,
) -> dict[str, Any]:
    """Write and return test/baselines.json. Both learn from train + validation, as the finalists do, with fixed
    settings: nothing is tuned. `seconds` steers how many images and iterations there are; each entry says how many.
    """
    test = load_sealed_test(files, settings)
    train = load_train(Source.recorded(settings.dataset))
    x, y = _pixels(train.images), train.labels.numpy()
    x_test, y_test = _pixels(test.images), test.labels.numpy()
    groups = read_groups(files.predictions)  # not today's: the data set may have got some since
    entries = [
        _logistic_regression(x, y, x_test, y_test, groups, seconds * LOGISTIC_SHARE, seed, clock),
        _nearest_neighbours(x, y, x_test, y_test, groups, seconds * (1 - LOGISTIC_SHARE), seed, clock),
    ]
    result: dict[str, Any] = strict({"baselines": entries})
    write_json(files.test / "baselines.json", result)
    return result


def _pixels(images: Tensor) -> Pixels:
    """uint8 [N, 28, 28] -> float32 [N, 784] in [0, 1]."""
    return np.asarray(images.numpy().reshape(len(images), -1) / np.float32(255), dtype=np.float32)


def _subset(n: int, wanted: int, seed: int) -> NDArray[np.int64]:
    """`wanted` of n indices, seeded; all of them if fewer are there."""
    if wanted >= n:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, wanted, replace=False))


def _logistic_regression(
    x: Pixels,
    y: Labels,
    x_test: Pixels,
    y_test: Labels,
    groups: Groups | None,
    seconds: float,
    seed: int,
    clock: Clock,
) -> dict[str, Any]:
    """Multinomial, L2 with C = 1, L-BFGS with as many iterations as the time allows."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    start = clock()
    chosen = _subset(len(x), 20_000 if seconds < FULL_SECONDS * LOGISTIC_SHARE else len(x), seed)
    iterations = int(np.clip(40 * seconds * 60_000 / len(chosen) / (FULL_SECONDS * LOGISTIC_SHARE), 10, 200))
    model = LogisticRegression(C=1.0, solver="lbfgs", max_iter=iterations)
    with warnings.catch_warnings():
        # Stopping early is the plan; the number of iterations is in the note.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x[chosen], y[chosen])
    right = model.predict(x_test) == y_test
    used = int(np.max(model.n_iter_))
    note = f"L-BFGS, C = 1, {used} iterations" + (" (not converged)" if used >= iterations else "")
    parameters = int(model.coef_.size + model.intercept_.size)
    return _entry("logistic regression", right, groups, len(chosen), parameters, clock() - start, note)


def _nearest_neighbours(
    x: Pixels,
    y: Labels,
    x_test: Pixels,
    y_test: Labels,
    groups: Groups | None,
    seconds: float,
    seed: int,
    clock: Clock,
) -> dict[str, Any]:
    """Majority of the 3 nearest by Euclid in the first 40 principal components, ties to the nearest one's class."""
    from sklearn.decomposition import PCA

    start = clock()
    components = min(COMPONENTS, x.shape[0], x.shape[1])
    pca = PCA(components, svd_solver="covariance_eigh").fit(x[_subset(len(x), 10_000, seed)])
    z_test = np.asarray(pca.transform(x_test), dtype=np.float32)
    # The first queries tell how many training images the remaining time can compare against.
    chosen = _subset(len(x), 5_000, seed)
    probe = clock()
    nearest_classes(np.asarray(pca.transform(x[chosen]), np.float32), y[chosen], z_test[:QUERIES])
    each = (clock() - probe) / len(chosen) / min(QUERIES, len(z_test))
    affordable = int(max(0.0, seconds - (clock() - start)) / max(each * len(z_test), 1e-12))
    chosen = _subset(len(x), max(len(chosen), affordable), seed)
    answers = nearest_classes(np.asarray(pca.transform(x[chosen]), np.float32), y[chosen], z_test)
    right = answers == y_test
    note = f"k = {NEIGHBOURS}, {components} principal components"
    held = len(chosen) * components
    return _entry("k-nearest neighbours", right, groups, len(chosen), held, clock() - start, note)


def nearest_classes(z: Pixels, y: Labels, queries: Pixels) -> Labels:
    """Brute force in batches: z [M, D] with classes y [M], queries [N, D] -> classes [N]."""
    norms = (z * z).sum(axis=1)
    k = min(NEIGHBOURS, len(z))
    answers = []
    for begin in range(0, len(queries), QUERIES):
        batch = queries[begin : begin + QUERIES]
        distance = norms - 2 * (batch @ z.T)
        near = np.argpartition(distance, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(distance, near, axis=1), axis=1, kind="stable")
        answers.append(_majority(y[np.take_along_axis(near, order, axis=1)]))
    return np.concatenate(answers)


def _majority(classes: Labels) -> Labels:
    """[N, k] classes from near to far -> the most frequent; among equally frequent ones the nearest."""
    votes = (classes[:, :, None] == classes[:, None, :]).sum(axis=2)
    return np.asarray(classes[np.arange(len(classes)), votes.argmax(axis=1)])


def _entry(
    name: str,
    right: NDArray[np.bool_],
    groups: Groups | None,
    n_train: int,
    parameters: int,
    seconds: float,
    note: str,
) -> dict[str, Any]:
    return {
        "name": name,
        "accuracy": float(right.mean()),
        "correct": int(right.sum()),
        "n": len(right),
        "interval95": share(right, groups),
        "seconds": round(seconds, 3),
        "n_train": n_train,
        "parameters": parameters,
        "note": note,
    }
