"""Which studies were read on the same test images, and so can be compared image by image."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from study.report.comparison.compared import Compared
from study.report.comparison.entries import Entry
from study.report.reading import Array
from study.report.wording import listing
from study.statistics.result import Result


@dataclass(frozen=True, slots=True)
class Group(Result):
    """Studies by label, those that were read on the images among them; digests of the test files by role and of their
    labels."""

    datasets: tuple[str, ...]
    studies: tuple[str, ...]
    read: tuple[str, ...]
    n_test: int | None
    sha256: Mapping[str, str]
    labels_sha256: str | None

    @property
    def name(self) -> str:
        return listing(self.datasets)


def numbers(entries: Sequence[Entry], before: Compared) -> tuple[Group, ...]:
    """One that was not read stands with those that have its checksums."""
    found: list[list[Entry]] = []
    for entry in sorted(entries, key=lambda entry: not entry.correct):
        fitting = next((members for members in found if _belongs(entry, members[0])), None)
        if fitting is None:
            found.append([entry])
        else:
            fitting.append(entry)
    return tuple(_group(members) for members in found)


def _belongs(entry: Entry, first: Entry) -> bool:
    if entry.correct:
        return why_unpaired(entry, first) is None
    return bool(split_digests(entry)) and split_digests(entry) == split_digests(first)


def _group(members: Sequence[Entry]) -> Group:
    first = members[0]
    return Group(
        datasets=tuple(dict.fromkeys(entry.study.settings.dataset.name for entry in members)),
        studies=tuple(entry.label for entry in members),
        read=tuple(entry.label for entry in members if entry.correct),
        n_test=len(_labels(first)) if first.correct else None,
        sha256=split_digests(first),
        labels_sha256=hashlib.sha256(_labels(first).tobytes()).hexdigest() if first.correct else None,
    )


def split_digests(entry: Entry) -> dict[str, str]:
    """Digests of the test files by role: those sealed with the predictions, else those that the study will open."""
    known = entry.study.settings.dataset.sha256
    sealed = entry.last_opening.test_sha256 if entry.last_opening else {}
    return sealed or {role: digest for role, digest in known.items() if role.startswith("test")}


def why_unpaired(a: Entry, b: Entry) -> str | None:
    """Why no image of one study can be held against the same image of the other; None if every one can."""
    sealed = [entry.label for entry in (a, b) if not entry.correct]
    if sealed:
        return f"no finalist of {' and '.join(sealed)} has predictions on the test split"
    one, other = split_digests(a), split_digests(b)
    if not one or not other:
        return "no checksum of the test files is recorded, so nothing shows that the images are the same"
    if one != other:
        roles = [role for role in dict.fromkeys([*one, *other]) if one.get(role) != other.get(role)]
        return f"other test images: the sha256 of {' and '.join(roles)} {'differs' if len(roles) == 1 else 'differ'}"
    if not np.array_equal(_labels(a), _labels(b)):
        return "the checksums of the test files agree, but the labels beside the predictions do not"
    return None


def _labels(entry: Entry) -> Array:
    assert entry.study.test_labels is not None  # asked only of studies with predictions
    return entry.study.test_labels
