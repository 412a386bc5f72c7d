"""What was asked of each study, point by point: what differs between them, and what is the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from study.report.charts import Chart
from study.report.comparison import spaces, studies
from study.report.comparison.compared import Compared
from study.report.comparison.entries import Entry
from study.report.comparison.facts import Facts, Kind, facts_of
from study.report.comparison.spaces import SpaceDifference
from study.report.comparison.studies import Summary
from study.report.wording import NONE, count, duration, integer, listing, plain
from study.statistics.result import PAGE_ONLY, Result

# Lengths and allowances are planned from a clock, so two runs of one command differ a little in them.
TOLERANCE = 0.05
MEASURED = ("about seconds", "about count")
OF_A_FAMILY = ("space.", "ladder.", "examples.")
DIGEST = 12  # leading digits shown; the numbers beside the page have all
WRITERS: Mapping[Kind, Callable[[Any], str]] = {
    "count": integer,
    "about count": integer,
    "seconds": duration,
    "about seconds": duration,
    "digest": lambda digest: f"{digest[:DIGEST]}…",
    "list": ", ".join,
    "space": str,
    "ladder": str,
}
# Items of the protocol that are one thing to a reader.
TOPICS = {
    "sha256.": "files of the data set",
    "split_": "validation split",
    "ladder.": "ladders",
    "examples.": "length of the final runs",
    "version.": "versions",
    "openings": "openings of the test split",
}


@dataclass(frozen=True, slots=True)
class Point(Result):
    """An item of the protocol with each study's value, in the order of the studies, None where a study has none."""

    key: str
    group: str
    label: str
    kind: Kind
    values: tuple[Any, ...]
    differs: bool

    @property
    def topic(self) -> str:
        return next((name for prefix, name in TOPICS.items() if self.key.startswith(prefix)), self.label)

    @property
    def shown(self) -> list[str]:
        """The values as their kind is written."""
        writer = WRITERS.get(self.kind, plain)
        return [NONE if value is None else writer(value) for value in self.values]


@dataclass(frozen=True, slots=True)
class ComparedProtocols(Result):
    rows: tuple[Point, ...]
    spaces: tuple[SpaceDifference, ...]
    studies: tuple[Summary, ...] = field(metadata=PAGE_ONLY)

    @property
    def names(self) -> list[str]:
        return [study.label for study in self.studies]

    def point(self, key: str) -> Point:
        return next(row for row in self.rows if row.key == key)

    @property
    def differing(self) -> list[Point]:
        return [row for row in self.rows if row.differs]

    @property
    def same(self) -> list[Point]:
        return [row for row in self.rows if not row.differs]

    def topics(self, *, test_split: bool = True) -> list[str]:
        """What differs, each thing once; how often the test split was opened only if wanted."""
        kept = [row for row in self.differing if test_split or row.group != "test split"]
        return list(dict.fromkeys(row.topic for row in kept))

    @property
    def spent(self) -> list[tuple[Summary, str]]:
        """Studies with each of their families."""
        return [(study, family) for study in self.studies for family in study.families]


def numbers(entries: Sequence[Entry], before: Compared) -> ComparedProtocols:
    return ComparedProtocols(
        rows=tuple(points([facts_of(entry.report) for entry in entries])),
        spaces=tuple(spaces.differences([entry.study for entry in entries])),
        studies=before[studies].summaries,
    )


def points(known: Sequence[Facts]) -> list[Point]:
    about = {key: fact for facts in known for key, fact in facts.items()}
    groups = list(dict.fromkeys(fact.group for fact in about.values()))
    found = []
    for key, fact in sorted(about.items(), key=lambda item: groups.index(item[1].group)):
        values = tuple(facts[key].value if key in facts else None for facts in known)
        found.append(Point(key, fact.group, fact.label, fact.kind, values, not _same(key, values, fact.kind)))
    return found


def _same(key: str, values: Sequence[Any], kind: str) -> bool:
    if key.startswith(OF_A_FAMILY):
        # That a study lacks the family is told once, by the families' own point.
        values = [value for value in values if value is not None]
    if kind in MEASURED and values and None not in values:
        return bool(max(values) <= (1 + TOLERANCE) * min(values))
    return all(value == values[0] for value in values)


def finding(found: ComparedProtocols, before: Compared) -> str:
    topics = found.topics()
    if not topics:
        return f"None of the {len(found.rows)} recorded items differs: these studies repeat one protocol."
    return f"The protocols differ in {count(len(topics), 'respect')}: {listing(topics)}."


def charts(found: ComparedProtocols) -> list[Chart]:
    return []
