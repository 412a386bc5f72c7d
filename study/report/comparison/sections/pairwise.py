"""Differences between finalists of different studies on the same images: exploratory, no seal planned them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

from study.records.run import Run
from study.report import forest
from study.report.charts import Chart
from study.report.comparison.compared import Compared, short_labels
from study.report.comparison.entries import Entry
from study.report.comparison.groups import why_unpaired
from study.report.comparison.sections import leaderboard
from study.report.comparison.sections.leaderboard import ComparedFinalist
from study.report.wording import count, listing
from study.statistics.comparison import Reading, read_intervals
from study.statistics.over_seeds import Comparison, compare_finalists
from study.statistics.result import PAGE_ONLY, Result

DRAWN = 30  # pairs in the chart


@dataclass(frozen=True, slots=True)
class ExploratoryPair(Result):
    """`comparison` without its test, which nobody planned; `reading` is what its intervals show."""

    a: str
    b: str
    comparison: Comparison
    reading: Reading
    title_a: str
    title_b: str
    studies: tuple[str, str]
    winners: bool
    same_configuration: bool
    families: tuple[str, str] = field(metadata=PAGE_ONLY)
    title: str = field(metadata=PAGE_ONLY)

    @property
    def sides(self) -> frozenset[str]:
        return frozenset((self.a, self.b))

    def to_dict(self) -> dict[str, Any]:
        found = Result.to_dict(self)
        found["comparison"] = {key: v for key, v in found["comparison"].items() if key not in ("t", "p_value")}
        return found


@dataclass(frozen=True, slots=True)
class Untested(Result):
    """Two studies, or two finalists, between which nothing is compared, and why."""

    kind: Literal["studies", "same network"]
    a: str
    b: str
    reason: str


@dataclass(frozen=True, slots=True)
class ComparedPairs(Result):
    """Pairs of winners first; of each pair the first is the one with the higher mean."""

    pairs: tuple[ExploratoryPair, ...]
    untested: tuple[Untested, ...]
    labels: tuple[str, ...] = field(metadata=PAGE_ONLY)

    @property
    def drawn(self) -> int:
        """Pairs in the chart at most."""
        return DRAWN

    def of(self, a: ComparedFinalist, b: ComparedFinalist) -> ExploratoryPair | None:
        """None for copies of one network."""
        return next((pair for pair in self.pairs if pair.sides == {a.id, b.id}), None)


def numbers(entries: Sequence[Entry], before: Compared) -> ComparedPairs:
    by_label = {entry.label: entry for entry in entries}
    across = [(a, b) for a, b in combinations(before[leaderboard].tested, 2) if a.study != b.study]
    copies = [(a, b) for a, b in across if _same_weights(a, b, by_label)]
    chosen = [(a, b) for a, b in across if a.group == b.group and (a, b) not in copies]
    chosen.sort(key=lambda pair: not (pair[0].winner and pair[1].winner))
    studies = [(a, b, reason) for a, b in combinations(entries, 2) if (reason := why_unpaired(a, b)) is not None]
    return ComparedPairs(
        pairs=tuple(_pair(a, b, by_label) for a, b in chosen),
        untested=(
            *(Untested("studies", f"study {a.label}", f"study {b.label}", reason) for a, b, reason in studies),
            *(Untested("same network", a.title, b.title, "one network: equal sealed weights") for a, b in copies),
        ),
        labels=tuple(by_label),
    )


def _pair(a: ComparedFinalist, b: ComparedFinalist, entries: Mapping[str, Entry]) -> ExploratoryPair:
    one, other = (entries[row.study].correct[row.finalist.family] for row in (a, b))
    comparison = compare_finalists(one, other, entries[a.study].study.groups or entries[b.study].study.groups)
    return ExploratoryPair(
        a=a.id,
        b=b.id,
        comparison=comparison,
        reading=read_intervals(comparison),
        title_a=a.title,
        title_b=b.title,
        studies=(a.study, b.study),
        winners=a.winner and b.winner,
        same_configuration=_same_config(a, b, entries),
        families=(a.finalist.family, b.finalist.family),
        title=f"{a.name} − {b.name}",
    )


def _same_config(a: ComparedFinalist, b: ComparedFinalist, entries: Mapping[str, Entry]) -> bool:
    one, other = ([run.config for run in _runs(row, entries)[:1]] for row in (a, b))
    return bool(one) and one == other


def _runs(row: ComparedFinalist, entries: Mapping[str, Entry]) -> list[Run]:
    return entries[row.study].study.final_runs(row.finalist.family)


def _same_weights(a: ComparedFinalist, b: ComparedFinalist, entries: Mapping[str, Entry]) -> bool:
    """Two finalists that share a network: one study is a copy of the other, or goes on from one."""
    return bool(_hashes(a, entries) & _hashes(b, entries))


def _hashes(row: ComparedFinalist, entries: Mapping[str, Entry]) -> set[str]:
    opening = entries[row.study].last_opening
    sealed = opening.hashes if opening else {}
    return {sealed[run.name] for run in _runs(row, entries) if run.name in sealed}


def finding(found: ComparedPairs, before: Compared) -> str:
    labels = [pair.reading.label for pair in found.pairs]
    if not labels:
        return "No two finalists of different studies were read on the same test images, so nothing is compared."
    told = {"ahead": "with one side ahead", "no verdict": "without a verdict"}
    named = [told.get(label, label) for label in labels]
    kinds = [f"{named.count(label)} {label}" for label in dict.fromkeys(named)]
    pairs = count(len(labels), "exploratory pair")
    return f"By their intervals alone, {pairs} of finalists of different studies: {listing(kinds)}."


def charts(found: ComparedPairs) -> list[Chart]:
    """Differences of the first pairs."""
    pairs, short = found.pairs[:DRAWN], short_labels(found.labels)
    if not pairs:
        return []
    sides = [zip(pair.studies, pair.families, strict=True) for pair in pairs]
    names = [" − ".join(f"{short[study]}: {family}" for study, family in two) for two in sides]
    figure = forest.pairs([pair.comparison for pair in pairs], names)
    rows = [(name, *forest.cells(pair.comparison), pair.reading.label) for name, pair in zip(names, pairs, strict=True)]
    label = (
        "Differences of finalists with 95 % intervals. Chance alone seldom makes one that leaves out 0; one inside the "
        "band of ±0.2 points is too small to matter."
    )
    columns = ("pair", "difference", "95 % interval", "reading")
    return [Chart("forest", label, figure, columns, rows, tells_finding=True)]
