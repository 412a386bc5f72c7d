"""All finalists of all studies, by the test images that they were read on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from study.records.trial import Role, origin_in_words
from study.report.charts import Chart
from study.report.comparison import groups
from study.report.comparison.compared import Compared
from study.report.comparison.entries import Entry
from study.report.comparison.groups import Group
from study.report.pareto import SHORT, Cost, fronts
from study.report.sections.leaderboard import Finalist, finalists, told
from study.report.wording import NONE, capital, compact, count, interval, percent
from study.statistics.result import PAGE_ONLY, Result


@dataclass(frozen=True, slots=True)
class ComparedFinalist(Result):
    """A row of a study's own leaderboard with the study and its place among the groups; `winner` is what validation
    chose there, `role` how its search came by it, `front` the costs on whose Pareto front it is in its group."""

    finalist: Finalist
    id: str
    study: str
    winner: bool
    role: Role | None
    title: str
    group: int = 0
    front: tuple[Cost, ...] = ()

    @property
    def short(self) -> str:
        return f"{self.finalist.family} #{self.finalist.trial}"

    @property
    def origin(self) -> str | None:
        """Of a configuration that was given, where it comes from."""
        return None if self.role in (None, "sampled") else origin_in_words(self.role)

    @property
    def name(self) -> str:
        return f"{self.short} of {self.study}"

    @property
    def accuracy(self) -> str:
        """With its interval, in words; of one that was read on the test split."""
        return told(self.finalist)

    @property
    def order(self) -> tuple[float, float]:
        return self.finalist.order

    @property
    def front_names(self) -> list[str]:
        return [SHORT[cost] for cost in self.front]

    def to_dict(self) -> dict[str, Any]:
        """The study's own row with what the comparison adds."""
        added = Result.to_dict(self)
        del added["finalist"]
        return self.finalist.to_dict() | added


@dataclass(frozen=True, slots=True)
class ComparedLeaderboard(Result):
    """Group after group, the highest mean test accuracy first."""

    rows: tuple[ComparedFinalist, ...]
    groups: tuple[Group, ...] = field(metadata=PAGE_ONLY)

    @property
    def tested(self) -> list[ComparedFinalist]:
        return [row for row in self.rows if row.finalist.test]

    @property
    def winners(self) -> list[ComparedFinalist]:
        return [row for row in self.rows if row.winner]

    def inside(self, group: int) -> list[ComparedFinalist]:
        return [row for row in self.rows if row.group == group]


def numbers(entries: Sequence[Entry], before: Compared) -> ComparedLeaderboard:
    rows = [row for entry in entries for row in _rows(entry)]
    latency = latency_comparable(entries)
    board: list[ComparedFinalist] = []
    for place, group in enumerate(before[groups]):
        inside = [replace(row, group=place) for row in rows if row.study in group.studies]
        board += sorted(_with_fronts(inside, latency=latency), key=lambda row: row.order)
    return ComparedLeaderboard(tuple(board), before[groups])


def _rows(entry: Entry) -> list[ComparedFinalist]:
    study = entry.study
    return [
        ComparedFinalist(
            finalist=row,
            id=f"{entry.label}/{row.family}",
            study=entry.label,
            winner=row.family == study.finalists.winner,
            role=next((trial.role for trial in study.records.of(row.family) if trial.number == row.trial), None),
            title=f"{row.title} of study {entry.label}",
        )
        for row in finalists(study)
    ]


def latency_comparable(entries: Sequence[Entry]) -> bool:
    """All studies were measured on one kind of processor."""
    return len({machine.cpu if (machine := entry.study.ledger.machine) else None for entry in entries}) == 1


def _with_fronts(rows: Sequence[ComparedFinalist], *, latency: bool) -> list[ComparedFinalist]:
    tested = [(row.finalist.test_mean or 0.0, costs_of(row, latency=latency)) for row in rows if row.finalist.test]
    found = iter(fronts(tested))
    return [replace(row, front=next(found)) if row.finalist.test else row for row in rows]


def costs_of(row: ComparedFinalist, *, latency: bool) -> Mapping[Cost, float | None]:
    """Latency only if it can be compared."""
    costs = row.finalist.costs
    return costs if latency else {**costs, "latency_p50_ms": None}


def finding(found: ComparedLeaderboard, before: Compared) -> str:
    said = []
    for place, group in enumerate(found.groups):
        tested = [row for row in found.tested if row.group == place]
        if tested:
            said.append(
                f"on {group.name}, {tested[0].title} has the highest mean test accuracy of "
                f"{count(len(tested), 'finalist')}, {tested[0].accuracy}"
            )
    if not said:
        return f"{count(len(found.rows), 'finalist')} trained, none read on the test split yet."
    return f"{capital('; '.join(said))}."


def charts(found: ComparedLeaderboard) -> list[Chart]:
    return []


def in_short(found: ComparedLeaderboard) -> list[dict[str, str]]:
    """The leaderboard for a terminal."""
    return [
        {
            "study": row.study,
            "finalist": row.short,
            "data set": found.groups[row.group].name,
            "test accuracy": percent(row.finalist.test_mean),
            "95 % interval": interval(row.finalist.test.accuracy.interval95) if row.finalist.test else NONE,
            "parameters": compact(row.finalist.n_parameters),
        }
        for row in found.rows
    ]
