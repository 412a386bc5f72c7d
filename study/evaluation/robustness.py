"""How the finalists read corrupted test images, and what a six becomes as it blurs. Read after the seal, never used to
select. One named run a family (seed 0), and the shipped network where it has a last stage; every model reads the same
corrupted images, on black ground where its run says so, as the shipped model reads them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from study.data.augment import to_float
from study.evaluation.corruptions import LADDER, Corruption, corrupted, gaussian_blur
from study.evaluation.readers import Reader, readers_of, sealed_weights
from study.evaluation.test_set import load_sealed_test, logits_of
from study.records.examined import is_finalist
from study.records.files import write_json, write_npz
from study.records.paths import StudyFiles
from study.records.predictions import read_groups
from study.records.settings import StudySettings
from study.statistics.groups import Groups
from study.statistics.intervals import mean_interval, share
from study.statistics.logits import softmax
from study.statistics.result import strict
from study.statistics.scores import ece, ece_noise_floor

CHUNK = 1000
FEWEST_IMAGES = 500
PROBE = 200
STRIP_SIGMAS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
BLURRED = "gaussian blur"
SIX = "6"

Clock = Callable[[], float]


@dataclass
class Reading:
    """What has been read so far: correctness per (kind, level) and family, and one row of the table each."""

    labels: NDArray[np.int64]
    n_classes: int
    groups: Groups | None
    clean: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    correct: dict[tuple[str, float], dict[str, NDArray[np.bool_]]] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    sixes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    skipped: list[dict[str, Any]] = field(default_factory=list)


def run(
    files: StudyFiles,
    settings: StudySettings,
    seconds: float = 30.0,
    n_images: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    ladder: Sequence[Corruption] = LADDER,
    clock: Clock = time.perf_counter,
) -> dict[str, Any]:
    """Write and return test/robustness.json, and test/strip.npz with the pictures of the blurred six.

    Without `n_images` as many test images (a seeded subset) are read as `seconds` allow, at least 500; levels for
    which no time is left are named under "skipped". The blur ladder comes first.
    """
    start = clock()
    test = load_sealed_test(files, settings)
    readers = readers_of(files, device)
    if n_images is None:
        n_images = _affordable(readers, test.images, ladder, seconds, device, clock)
    chosen = _subset(len(test), n_images, seed)
    images, labels = test.images[torch.from_numpy(chosen)], test.labels.numpy()[chosen]
    six = test.classes.index(SIX) if SIX in test.classes else None
    groups = read_groups(files.predictions)  # not today's: the data set may have got some since
    reading = Reading(labels, len(test.classes), None if groups is None else groups.select(chosen))
    _read(reading, readers, images, ladder, six, seed, start + seconds, device, clock)
    strip = None if six is None else _strip(files, readers, test.images, test.labels.numpy(), six, seed, device)
    result: dict[str, Any] = strict(
        {
            "n_images": len(chosen),
            "n_test": len(test),
            "seed": seed,
            "classes": test.classes,
            "runs": {family: reader.name for family, reader in readers.items()},
            "made_from": sealed_weights(files, [reader.name for reader in readers.values()]),
            "temperatures": {family: reader.temperature for family, reader in readers.items()},
            "levels": reading.rows,
            "half_accuracy_sigma": {family: _half_sigma(reading.rows, family) for family in readers},
            "first_to_fall": {family: _first_to_fall(reading.rows, family) for family in readers},
            "sixes": None if six is None else {"label": six, "families": reading.sixes},
            "order": _order(reading, ladder),
            "strip": strip,
            "skipped": reading.skipped,
            "seconds": round(clock() - start, 3),
        }
    )
    write_json(files.test / "robustness.json", result)
    return result


def _subset(n: int, wanted: int, seed: int) -> NDArray[np.int64]:
    return np.sort(np.random.default_rng(seed).permutation(n)[: min(n, wanted)])


def _affordable(
    readers: Mapping[str, Reader],
    images: Tensor,
    ladder: Sequence[Corruption],
    seconds: float,
    device: str,
    clock: Clock,
) -> int:
    """Images that fit into `seconds`, from the time that PROBE of them take to be blurred and read once."""
    probe = to_float(images[:PROBE])
    for reader in readers.values():
        logits_of(reader.model, probe, reader.run.record, device)
    start = clock()
    gaussian_blur(probe, STRIP_SIGMAS[-1])
    for reader in readers.values():
        logits_of(reader.model, probe, reader.run.record, device)
    each = (clock() - start) / len(probe)
    passes = 1 + sum(len(corruption.levels) for corruption in ladder)
    affordable = int(0.8 * seconds / max(passes * each, 1e-9))
    return min(len(images), max(FEWEST_IMAGES, affordable))


# -- reading the ladder -----------------------------------------------------------------------------------------------


def _read(
    reading: Reading,
    readers: Mapping[str, Reader],
    images: Tensor,
    ladder: Sequence[Corruption],
    six: int | None,
    seed: int,
    end: float,
    device: str,
    clock: Clock,
) -> None:
    x = to_float(images)
    _read_level(reading, readers, x, None, 0.0, six, device)
    for corruption in ladder:
        for level in corruption.levels:
            if clock() >= end:
                reading.skipped.append({"kind": corruption.kind, "level": level})
                continue
            # In chunks: a level's kernels and draws for all images at once would take gigabytes.
            parts = [corrupted(part, corruption, level, seed + i) for i, part in enumerate(torch.split(x, CHUNK))]
            _read_level(reading, readers, torch.cat(parts), corruption, level, six, device)


def _read_level(
    reading: Reading,
    readers: Mapping[str, Reader],
    x: Tensor,
    corruption: Corruption | None,
    level: float,
    six: int | None,
    device: str,
) -> None:
    """Let every model read x [N, 1, 28, 28]; corruption None is the clean reading."""
    families, correct = {}, {}
    for family, reader in readers.items():
        logits = logits_of(reader.model, x, reader.run.record, device)
        answers = logits.argmax(axis=1)
        correct[family] = answers == reading.labels
        families[family] = _summary(logits, reading, reader.temperature)
        if six is not None and (corruption is None or corruption.kind == BLURRED):
            counts = np.bincount(answers[reading.labels == six], minlength=reading.n_classes)
            reading.sixes.setdefault(family, []).append({"sigma": level, "counts": counts})
    if corruption is None:
        reading.clean = correct
        head: dict[str, Any] = {"kind": "clean", "group": "clean", "unit": "", "level": 0.0}
    else:
        reading.correct[corruption.kind, level] = correct
        head = {"kind": corruption.kind, "group": corruption.group, "unit": corruption.unit, "level": level}
    reading.rows.append({**head, "families": families})


def _summary(logits: NDArray[np.float32], reading: Reading, temperature: float) -> dict[str, Any]:
    """Accuracy with Wilson's interval, accuracy per class (None where none occurs), ECE beside its noise floor."""
    labels, n_classes = reading.labels, reading.n_classes
    right = logits.argmax(axis=1) == labels
    confidence = softmax(logits, temperature).max(axis=1)
    support = np.bincount(labels, minlength=n_classes)
    hits = np.bincount(labels[right], minlength=n_classes)
    return {
        "accuracy": float(right.mean()),
        "correct": int(right.sum()),
        "n": len(labels),
        "interval95": share(right, reading.groups),
        "per_class": [hit / n if n else None for hit, n in zip(hits.tolist(), support.tolist(), strict=True)],
        "mean_confidence": float(confidence.mean()),
        "ece": ece(confidence, right),
        "ece_noise_floor": ece_noise_floor(confidence, draws=100).median,
    }


# -- what the rows say ------------------------------------------------------------------------------------------------


def _blur_curve(rows: Sequence[Mapping[str, Any]], family: str) -> list[tuple[float, Mapping[str, Any]]]:
    """(sigma, summary) from clean to the strongest Gaussian blur that was read."""
    return [(row["level"], row["families"][family]) for row in rows if row["kind"] in ("clean", BLURRED)]


def _half_sigma(rows: Sequence[Mapping[str, Any]], family: str) -> float | None:
    """The Gaussian sigma at which accuracy is half of the clean one, linear between levels; None if never reached."""
    curve = [(sigma, summary["accuracy"]) for sigma, summary in _blur_curve(rows, family)]
    return crossing(curve, curve[0][1] / 2)


def crossing(curve: Sequence[tuple[float, float]], target: float) -> float | None:
    """First x at which the line through the points (x, y) falls to `target`."""
    for (x0, y0), (x1, y1) in pairwise(curve):
        if y0 > target >= y1:
            return x0 + (x1 - x0) * (y0 - target) / (y0 - y1)
    return None


def _first_to_fall(rows: Sequence[Mapping[str, Any]], family: str) -> list[dict[str, Any]]:
    """Per class the Gaussian sigma at which its accuracy is half of its clean one, the earliest first."""
    curve = _blur_curve(rows, family)
    found = []
    for index in range(len(curve[0][1]["per_class"])):
        points = [(sigma, summary["per_class"][index]) for sigma, summary in curve]
        if points[0][1]:
            found.append({"class": index, "sigma": crossing(points, points[0][1] / 2)})
    found.sort(key=lambda entry: (entry["sigma"] is None, entry["sigma"] or 0.0))
    return found


def _order(reading: Reading, ladder: Sequence[Corruption]) -> list[dict[str, Any]]:
    """For each pair and group of kinds: D clean, D corrupted (every kind weighs the same), and the interval of their
    difference over images. The order changes if the interval of the corrupted D lies on the other side of 0."""
    result = []
    for group in ("blur", "MNIST-C style"):
        kinds = [corruption.kind for corruption in ladder if corruption.group == group]
        for a, b in combinations(filter(is_finalist, reading.clean), 2):
            per_kind = [d for kind in kinds if (d := _mean_difference(reading, kind, a, b)) is not None]
            if per_kind:
                clean = reading.clean[a].astype(float) - reading.clean[b]
                hurt = np.mean(per_kind, axis=0)
                result.append(_pair_order(group, a, b, clean, hurt, reading.groups))
    return result


def _mean_difference(reading: Reading, kind: str, a: str, b: str) -> NDArray[np.float64] | None:
    levels = [correct for (name, _), correct in reading.correct.items() if name == kind]
    if not levels:
        return None
    return np.asarray(np.mean([level[a].astype(float) - level[b] for level in levels], axis=0))


def _pair_order(
    group: str, a: str, b: str, clean: NDArray[np.float64], hurt: NDArray[np.float64], groups: Groups | None
) -> dict[str, Any]:
    corrupt = mean_interval(hurt, groups=groups)
    low, high = corrupt.interval95
    ahead = float(clean.mean())
    return {
        "group": group,
        "a": a,
        "b": b,
        "clean": mean_interval(clean, groups=groups),
        "corrupt": corrupt,
        "change": mean_interval(hurt - clean, reach=2.0, groups=groups),
        "order_changes": bool((ahead > 0 and high < 0) or (ahead < 0 and low > 0)),
    }


# -- the blurred six --------------------------------------------------------------------------------------------------


def _strip(
    files: StudyFiles,
    readers: Mapping[str, Reader],
    images: Tensor,
    labels: NDArray[np.int64],
    six: int,
    seed: int,
    device: str,
) -> dict[str, Any] | None:
    """One six, drawn by `seed` from all sixes of the test split whatever the models say of it, at each blur."""
    sixes = np.flatnonzero(labels == six)
    if len(sixes) == 0:
        return None
    index = int(np.random.default_rng(seed).choice(sixes))
    x = to_float(images[index : index + 1])
    pictures = torch.cat([gaussian_blur(x, sigma) if sigma else x for sigma in STRIP_SIGMAS])  # [7, 1, 28, 28]
    shown = (pictures[:, 0] * 255).round().to(torch.uint8).numpy()
    write_npz(files.test / "strip.npz", {"sigmas": np.array(STRIP_SIGMAS), "images": shown})
    answers = {}
    for family, reader in readers.items():
        probabilities = softmax(logits_of(reader.model, pictures, reader.run.record, device), reader.temperature)
        answers[family] = [_answer(sigma, row) for sigma, row in zip(STRIP_SIGMAS, probabilities, strict=True)]
    return {"index": index, "label": six, "answers": answers}


def _answer(sigma: float, probabilities: NDArray[np.float64]) -> dict[str, Any]:
    top = np.argsort(-probabilities, kind="stable")[:3]
    return {
        "sigma": sigma,
        "answer": int(top[0]),
        "probability": float(probabilities[top[0]]),
        "top": [[int(digit), float(probabilities[digit])] for digit in top],
    }
