"""The commands that made the study, what it was made with, and how to use its model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from study.report.charts import Chart
from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.wording import plain
from study.statistics.result import Result


@dataclass(frozen=True, slots=True)
class GivenCommand(Result):
    """`seconds` is what it took from the budget."""

    command: str
    start: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Reproduce(Result):
    """Digests are sha256, those of the data by file role. The `shipped_run`, with its network's `config`, has its
    folder before its name where it is not of the study's first search; without finalists there is none."""

    commands: tuple[GivenCommand, ...]
    versions: Mapping[str, str]
    winner: str | None
    shipped_run: str | None
    config: Mapping[str, Any] | None
    weights_sha256: str | None
    sha256: Mapping[str, str]
    split_sha256: str
    name: str
    model_ready: bool

    @property
    def shown_config(self) -> list[tuple[str, str]]:
        """Keys and values as text; floats in four digits, the rest as JSON."""
        config = self.config or {}
        return [(key, plain(value) if isinstance(value, float) else json.dumps(value)) for key, value in config.items()]


def numbers(study: StudyRecords, before: Report) -> Reproduce:
    source, winner, name = study.shipped
    run = source.runs.get(str(name))
    shipped = name if source is study else f"{source.files.root.name}/{name}"
    data = study.settings.dataset
    return Reproduce(
        commands=tuple(GivenCommand(one.command, one.start, one.seconds) for one in study.ledger.commands),
        versions=study.settings.versions,
        winner=winner,
        shipped_run=shipped,
        config=run.config if run else None,
        weights_sha256=_weights_sha256(study, str(shipped)),
        sha256=data.sha256,
        split_sha256=data.split_sha256,
        name=study.settings.name,
        model_ready=bool(study.model),
    )


def _weights_sha256(study: StudyRecords, run: str) -> str | None:
    """As the model says it, or, before there is one, the seal."""
    sealed = study.openings[-1].hashes.get(run) if study.openings else None
    found = study.model.get("weights_sha256") or sealed
    return None if found is None else str(found)


def finding(found: Reproduce, before: Report) -> str:
    if not found.model_ready:
        return "The commands that made this study; there is no model to predict with yet."
    return f"The model is ready: study predict photo.png --name {found.name}"


def charts(found: Reproduce) -> list[Chart]:
    return []
