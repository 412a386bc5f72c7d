"""What a section of a page is, and the parts of a page so far, of which a section may ask for others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, Self, TypeVar

from study.report.charts import Chart
from study.report.reading import StudyRecords

B_contra = TypeVar("B_contra", contravariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")


class Part(Protocol[B_contra, R_co]):
    """A module that computes something of what was read: of a study, or of several."""

    def numbers(self, read: Any, before: B_contra, /) -> R_co: ...


class Section(Protocol[B_contra, R]):
    """A module of a folder `sections`, which stands on the page by the template of its name beside it."""

    def numbers(self, read: Any, before: B_contra, /) -> R: ...

    def finding(self, found: R, before: B_contra) -> str:
        """The sentence that opens the section; it says nothing that is not in the numbers."""
        ...

    def charts(self, found: R) -> list[Chart]: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a section stands: its name is what other sections cite it by, its number is its place in their tuple."""

    name: str
    section: Section[Any, Any]
    title: str
    is_open: bool = False


class Parts(Generic[S]):
    """The parts of one page, each computed once from what was read: when the page or another part first asks for it."""

    first = 0  # number of the first section

    def __init__(self, read: S, places: Sequence[Place]) -> None:
        self.read = read
        self.places = tuple(places)
        self.written = datetime.now(UTC).isoformat(timespec="seconds")
        self._found: dict[Part[Any, Any], Any] = {}
        self._findings: dict[str, str] = {}

    def __getitem__(self, part: Part[Self, R]) -> R:
        if part not in self._found:
            self._found[part] = part.numbers(self.read, self)
        found: R = self._found[part]
        return found

    @property
    def shown(self) -> list[Place]:
        """The sections that have something to say."""
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
        return next(number for number, place in enumerate(self.places, self.first) if place.name == name)

    def section(self, name: str) -> str:
        """How a sentence cites a section: 'section 14', or 'top of the page' for what stands before the first."""
        return f"section {self.number(name)}" if self.number(name) else "top of the page"


class Report(Parts[StudyRecords]):
    """Of one study."""

    @property
    def study(self) -> StudyRecords:
        return self.read


def _labelled(chart: Chart, finding: str) -> Chart:
    return replace(chart, label=f"{chart.label} {finding}", caption=chart.label) if chart.tells_finding else chart
