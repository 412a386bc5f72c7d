"""The test images with the highest loss, and what every seed of every finalist answers to them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from study.report.charts import Chart
from study.report.reading import Array, StudyRecords
from study.report.section import Report
from study.statistics.result import Result
from study.statistics.scores import log_softmax

# Labels of MNIST's test set that most of five raters did not give (Northcutt et al. 2021).
LABEL_ERRORS = frozenset(
    (947, 1621, 1901, 2130, 2462, 2597, 2654, 3520, 3558, 5937, 6651, 6783, 8527, 9679, 9729)
)  # fmt: skip
SHOWN = 30


@dataclass(frozen=True, slots=True)
class HardImage(Result):
    """A test image by its place in images.npz and its index in the split; `loss` is the mean over the finalists, of
    whose `networks` some were `wrong`."""

    place: int
    index: int
    label: int
    loss: float
    answers: Mapping[str, tuple[int, ...]]
    wrong: int
    networks: int
    label_error: bool


@dataclass(frozen=True, slots=True)
class Hardest(Result):
    """The highest loss first; `known_errors` counts disputed labels among them, None where nobody looked for any."""

    images: tuple[HardImage, ...]
    classes: tuple[str, ...]
    known_errors: int | None


def numbers(study: StudyRecords, before: Report) -> Hardest:
    looked_at = study.settings.dataset.is_bundled_mnist
    images = _hardest(study, LABEL_ERRORS if looked_at else frozenset())
    flagged = sum(image.label_error for image in images) if looked_at else None
    return Hardest(images, tuple(study.settings.dataset.classes), flagged)


def _hardest(study: StudyRecords, known: frozenset[int]) -> tuple[HardImage, ...]:
    indices, labels = study.hardest.get("indices"), study.test_labels
    if indices is None or labels is None:
        return ()
    logits = {family: found for family in study.families if (found := study.final_logits(family))}
    inside = [(place, int(index)) for place, index in enumerate(indices) if 0 <= int(index) < len(labels)]
    images = [_image(logits, place, index, int(labels[index]), index in known) for place, index in inside]
    return tuple(sorted(images, key=lambda image: -image.loss)[:SHOWN])


def _image(logits: Mapping[str, list[Array]], place: int, index: int, label: int, flagged: bool) -> HardImage:
    answers = {family: tuple(int(seed[index].argmax()) for seed in seeds) for family, seeds in logits.items()}
    losses = [statistics.fmean(-float(log_softmax(seed[index])[label]) for seed in seeds) for seeds in logits.values()]
    given = [answer for seeds in answers.values() for answer in seeds]
    wrong = sum(answer != label for answer in given)
    loss = statistics.fmean(losses) if losses else 0.0
    return HardImage(place, index, label, loss, answers, wrong, len(given), flagged)


def finding(found: Hardest, before: Report) -> str:
    if not found.images:
        return "No hard images are stored yet."
    all_wrong = sum(image.wrong == image.networks for image in found.images)
    text = f"Of the {len(found.images)} hardest test images, {all_wrong} are read wrong by every network"
    return f"{text}; {found.known_errors} carry a label that most raters dispute." if found.known_errors else f"{text}."


def charts(found: Hardest) -> list[Chart]:
    return []
