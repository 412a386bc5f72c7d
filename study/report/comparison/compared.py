"""The parts of a comparison, which a section may ask for others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from study.report.comparison.entries import Entry
from study.report.section import Parts

LONGEST = 22  # characters of a study's name beside an axis


class Compared(Parts[Sequence[Entry]]):
    """Of several studies."""

    first = 1

    @property
    def entries(self) -> Sequence[Entry]:
        return self.read

    @property
    def labels(self) -> list[str]:
        return [entry.label for entry in self.read]


def short_labels(labels: Sequence[str]) -> Mapping[str, str]:
    """Study -> a name that fits beside an axis; a shortened one carries its place, so that no two are alike."""
    return {
        label: label if len(label) <= LONGEST else f"{label[: LONGEST - 5]}… ({place})"
        for place, label in enumerate(labels, 1)
    }
