"""The top of the page: what study this is, what it was made with, and how often the test split was opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
class SealedOpening(Result):
    """An opening of the test split with what was decided before it."""

    time: str
    command: str
    winner: str
    shipped_run: str
    hypotheses: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Header(Result):
    """Digests are sha256, those of the data by file role. `openings_of_user` is with this study's last opening, None
    where nobody counted; a study whose test split had been opened before is `exploratory`."""

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
    openings: tuple[SealedOpening, ...]
    openings_elsewhere: int
    openings_of_user: int | None
    exploratory: bool
    workers: int | None
    device: str | None
    precision: str | None
    machine: Machine | None

    def to_dict(self) -> dict[str, Any]:
        return Result.to_dict(self) | {"machine": None if self.machine is None else self.machine.known()}

    @property
    def opened(self) -> str:
        """How often the test split was opened, as a sentence that goes on."""
        other = f", other studies of this results folder {times(self.openings_elsewhere)}"
        user = f", all studies of this user {times(self.openings_of_user or 0)} with this one"
        known = (other if self.openings_elsewhere else "") + (user if self.openings_of_user else "")
        return f"this study opened it {times(len(self.openings))}{known}."

    @property
    def why_exploratory(self) -> str | None:
        return f"{EXPLORATORY}: {self.opened}" if self.exploratory else None


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
        openings=tuple(
            SealedOpening(one.time, one.command, one.winner, one.shipped_run, one.hypotheses) for one in study.openings
        ),
        openings_elsewhere=len(study.openings_elsewhere),
        openings_of_user=study.openings_of_user,
        exploratory=study.earlier_openings > 0,
        workers=ledger.workers,
        device=ledger.device,
        precision=ledger.precision,
        machine=ledger.machine,
    )


def finding(found: Header, before: Report) -> str:
    n, several = len(found.openings), before[searches]
    opened = f"was opened {times(n)}" if n else "has not been opened"
    text = f"Study {found.name} on {found.dataset}, seed {found.seed}; the test split {opened}."
    if several is None:
        return text
    first, last = before.number("protocol"), before.number("reproduce")
    shown = f"sections {first} to {last} show the first, {before.section('searches')} all."
    return f"{text} Of its {several.asked} searches {shown}"


def charts(found: Header) -> list[Chart]:
    return []
