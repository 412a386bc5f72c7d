"""The top of the page: which study this is, on what data and machine, and how often the test split was opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from study.records.ledger import Machine
from study.report.charts import Chart
from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.sections import searches
from study.report.wording import times
from study.statistics.result import Result

EXPLORATORY = "Exploratory, because the test split had been opened before"


@dataclass(frozen=True, slots=True)
class OpeningRow(Result):
    """One opening of the test split by this study, and what was sealed with it."""

    time: str
    command: str
    winner: str
    shipped_run: str
    hypotheses: list[list[str]]


@dataclass(frozen=True, slots=True)
class Header(Result):
    """`openings_of_user` counts those of all studies of this user up to this one's last; the report is `exploratory`
    where any came before this study's only one."""

    name: str
    created: str
    dataset: str
    sha256: Mapping[str, str]
    split_sha256: str
    seed: int
    split_seed: int
    sampler: str
    pruner: str
    imported_from: str | None
    versions: Mapping[str, str]
    openings: tuple[OpeningRow, ...]
    openings_elsewhere: int
    openings_of_user: int | None
    exploratory: bool
    workers: int | None
    device: str | None
    precision: str | None
    machine: Machine | None

    @property
    def opened(self) -> str:
        """Who opened the test split how often."""
        elsewhere, counted = self.openings_elsewhere, self.openings_of_user
        other = f", other studies of this results folder {times(elsewhere)}" if elsewhere else ""
        user = f", all studies of this user {times(counted)} with this one" if counted else ""
        return f"this study opened it {times(len(self.openings))}{other}{user}."

    @property
    def why_exploratory(self) -> str | None:
        return f"{EXPLORATORY}: {self.opened}" if self.exploratory else None

    def to_dict(self) -> dict[str, Any]:
        return Result.to_dict(self) | {"machine": self.machine and self.machine.known()}


def numbers(study: StudyRecords, before: Report) -> Header:
    settings, ledger = study.settings, study.ledger
    return Header(
        name=settings.name,
        created=settings.created,
        dataset=settings.dataset.name,
        sha256=settings.dataset.sha256,
        split_sha256=settings.dataset.split_sha256,
        seed=settings.seed,
        split_seed=settings.dataset.split_seed,
        sampler=settings.sampler,
        pruner=settings.pruner,
        imported_from=settings.imported_from,
        versions=settings.versions,
        openings=tuple(OpeningRow(o.time, o.command, o.winner, o.shipped_run, o.hypotheses) for o in study.openings),
        openings_elsewhere=len(study.openings_elsewhere),
        openings_of_user=study.openings_of_user,
        exploratory=study.earlier_openings > 0,
        workers=ledger.workers,
        device=ledger.device,
        precision=ledger.precision,
        machine=ledger.machine,
    )


def finding(found: Header, before: Report) -> str:
    opened = f"was opened {times(len(found.openings))}" if found.openings else "has not been opened"
    text = f"Study {found.name} on {found.dataset}, seed {found.seed}; the test split {opened}."
    several = before[searches]
    if several is None:
        return text
    first, all_ = before.number("protocol"), before.number("searches")
    return f"{text} Of its {several.asked} searches sections {first} to {all_ - 1} show the first, section {all_} all."


def charts(found: Header) -> list[Chart]:
    return []
