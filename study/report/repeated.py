"""Pictures that a part of the data shares with the training images, and what the finalists have without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from study.records.examined import Duplicates
from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.wording import listing, percent
from study.statistics.result import Result

SERIOUS = 0.001  # share of the test images from which on the answer itself has to say so
OF_TEST = "test images trained on"


@dataclass(frozen=True, slots=True)
class OnOthers(Result):
    """A finalist's mean accuracy on the test images that are no copies, and on all."""

    title: str
    accuracy: float
    all: float


@dataclass(frozen=True, slots=True)
class Repeated(Result):
    """Counts of copies, None where nobody counted; `others` is by family, `texts` say by topic what there is to say."""

    validation_in_train: int | None
    n_validation: int
    test_in_train: int | None
    n_test: int | None
    blank_train: int | None
    blank_test: int | None
    others: Mapping[str, OnOthers]
    serious: bool
    texts: Mapping[str, str]


def numbers(study: StudyRecords, before: Report) -> Repeated:
    found, data = study.examined.duplicates, study.settings.dataset
    others = _on_others(study, found) if found else {}
    told = {
        OF_TEST: _test_copies(found, others) if found else None,
        "validation images trained on": _validation_copies(study),
        "blank images": _blank(found) if found else None,
    }
    return Repeated(
        validation_in_train=data.validation_in_train,
        n_validation=data.n_validation,
        test_in_train=found.test_in_train if found else None,
        n_test=found.n_test if found else None,
        blank_train=found.blank_train if found else None,
        blank_test=found.blank_test if found else None,
        others=others,
        serious=found is not None and 0 < found.test_in_train >= SERIOUS * found.n_test,
        texts={topic: text for topic, text in told.items() if text},
    )


def _on_others(study: StudyRecords, found: Duplicates) -> dict[str, OnOthers]:
    copies, labels = found.test_indices, study.test_labels
    if not copies or labels is None or found.n_test != len(labels) or len(copies) == len(labels):
        return {}
    others = np.setdiff1d(np.arange(len(labels)), copies)
    return {
        family: OnOthers(study.title(family), float(seeds[:, others].mean()), float(seeds.mean()))
        for family, seeds in study.correct.items()
    }


def _test_copies(found: Duplicates, others: Mapping[str, OnOthers]) -> str | None:
    if not found.test_in_train:
        return None
    verb = "is a training image" if found.test_in_train == 1 else "are training images"
    share = percent(found.test_in_train / found.n_test)
    text = f"{found.test_in_train:,} of {found.n_test:,} test images ({share}) {verb}, pixel by pixel: "
    text += "a network may know them by heart."
    rows = [f"{row.title} has {percent(row.accuracy)}" for row in others.values()]
    return f"{text} On the others {listing(rows)}." if rows else text


def _validation_copies(study: StudyRecords) -> str | None:
    copies, n = study.settings.dataset.validation_in_train, study.settings.dataset.n_validation
    if not copies:
        return None
    verb = "is" if copies == 1 else "are"
    several = study.n_searches > 1 and study.settings.validation == "own"
    return (
        f"{copies:,} of {n:,} validation images{' of search 1' * several} ({percent(copies / n)}) {verb} in the part "
        "that the search trains on, too, pixel by pixel: validation favours what learns by heart."
    )


def _blank(found: Duplicates) -> str | None:
    counted = {"training": found.blank_train, "test": found.blank_test}
    named = " and ".join(f"{n:,} {part}" for part, n in counted.items() if n)
    return f"Blank images, all of one grey level, are not counted as copies: {named}." if named else None
