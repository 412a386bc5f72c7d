"""Pictures that a part of the data shares with the training images, and what the finalists have without them."""

from __future__ import annotations

from typing import Any

import numpy as np

from study.report.reading import Array, Record, StudyRecords
from study.report.wording import listing, percent

_SERIOUS = 0.001  # share of the test images from which on the answer itself has to say so


def repeated(study: StudyRecords, correct: dict[str, Array]) -> Record:
    """Counts of copies, None where nobody counted; `others` has each finalist's accuracy on the other test images,
    `texts` says by topic what there is to say."""
    found = study.old_examined.get("duplicates") or {}
    data = study.settings.dataset
    counts: Record = {
        "validation_in_train": data.validation_in_train,
        "n_validation": data.n_validation,
        **{key: found.get(key) for key in ("test_in_train", "n_test", "blank_train", "blank_test")},
        "others": _on_others(study, found, correct),
    }
    told = {
        "test images trained on": _test_copies(counts),
        "validation images trained on": _validation_copies(counts),
        "blank images": _blank(counts),
    }
    serious = bool(counts["test_in_train"]) and counts["test_in_train"] >= _SERIOUS * counts["n_test"]
    return {**counts, "serious": serious, "texts": {topic: text for topic, text in told.items() if text}}


def _on_others(study: StudyRecords, found: Record, correct: dict[str, Array]) -> dict[str, Any]:
    copies = found.get("test_indices") or []
    labels = study.test_labels
    if not copies or labels is None or found["n_test"] != len(labels) or len(copies) == len(labels):
        return {}
    others = np.setdiff1d(np.arange(len(labels)), copies)
    return {
        family: {"title": study.title(family), "accuracy": float(seeds[:, others].mean()), "all": float(seeds.mean())}
        for family, seeds in correct.items()
    }


def _test_copies(found: Record) -> str | None:
    if not found["test_in_train"]:
        return None
    verb = "is a training image" if found["test_in_train"] == 1 else "are training images"
    share = percent(found["test_in_train"] / found["n_test"])
    text = f"{found['test_in_train']:,} of {found['n_test']:,} test images ({share}) {verb}, pixel by pixel: "
    text += "a network may know them by heart."
    rows = [f"{row['title']} has {percent(row['accuracy'])}" for row in found["others"].values()]
    return f"{text} On the others {listing(rows)}." if rows else text


def _validation_copies(found: Record) -> str | None:
    if not found["validation_in_train"]:
        return None
    verb = "is" if found["validation_in_train"] == 1 else "are"
    share = percent(found["validation_in_train"] / found["n_validation"])
    return (
        f"{found['validation_in_train']:,} of {found['n_validation']:,} validation images ({share}) {verb} in the part "
        "that the search trains on, too, pixel by pixel: validation favours what learns by heart."
    )


def _blank(found: Record) -> str | None:
    counted = {"training": found["blank_train"], "test": found["blank_test"]}
    named = " and ".join(f"{n:,} {part}" for part, n in counted.items() if n)
    return f"Blank images, all of one grey level, are not counted as copies: {named}." if named else None
