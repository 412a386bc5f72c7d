"""What a section of the report is, and the report so far, which a section may ask for others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from study.report.charts import Chart
from study.report.reading import StudyRecords

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Part(Protocol[R_co]):
    """A module that computes something of a study."""

    def numbers(self, study: StudyRecords, before: Report) -> R_co: ...


class Section(Protocol[R]):
    """A module of `sections/`, which stands on the page by the template of its name beside it."""

    def numbers(self, study: StudyRecords, before: Report) -> R: ...

    def finding(self, found: R, before: Report) -> str:
        """The sentence that opens the section; it says nothing that is not in the numbers."""
        ...

    def charts(self, found: R) -> list[Chart]: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a section stands: its name is what other sections cite it by, its number is its place in their tuple."""

    name: str
    section: Section[Any]
    title: str
    is_open: bool = False


class Report:
    """The parts of one study's report, each computed once: when the page or another part first asks for it."""

    def __init__(self, study: StudyRecords, places: Sequence[Place]) -> None:
        self.study = study
        self.places = tuple(places)
        self.written = datetime.now(UTC).isoformat(timespec="seconds")
        self._found: dict[Part[Any], Any] = {}
        self._findings: dict[str, str] = {}

    def __getitem__(self, part: Part[R]) -> R:
        if part not in self._found:
            self._found[part] = part.numbers(self.study, self)
        found: R = self._found[part]
        return found

    @property
    def shown(self) -> list[Place]:
        """The sections that have something to say of this study."""
        return [place for place in self.places if self[place.section] is not None]

    def finding(self, place: Place) -> str:
        if place.name not in self._findings:
            self._findings[place.name] = place.section.finding(self[place.section], self)
        return self._findings[place.name]

    def charts(self, place: Place) -> list[Chart]:
        """The section's charts; those that tell its finding end their label with it."""
        drawn = place.section.charts(self[place.section])
        return [_labelled(chart, self.finding(place)) for chart in drawn]

    def number(self, name: str) -> int:
        """The number of the section of that name."""
        return next(number for number, place in enumerate(self.places) if place.name == name)

    def section(self, name: str) -> str:
        """How a sentence cites a section: 'section 14'."""
        return f"section {self.number(name)}"


def _labelled(chart: Chart, finding: str) -> Chart:
    return replace(chart, label=f"{chart.label} {finding}") if chart.tells_finding else chart
