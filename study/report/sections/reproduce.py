"""How the study was made, and how its winner is used: commands, versions, configuration, checksums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from study.records.run import as_toml
from study.report.charts import Chart
from study.report.reading import StudyRecords
from study.report.section import Report
from study.statistics.result import Result


@dataclass(frozen=True, slots=True)
class CommandRow(Result):
    """`seconds` is what it took from the budget."""

    command: str
    start: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Reproduce(Result):
    """`shipped_run` is the run whose configuration is shown and whose weights are shipped."""

    commands: tuple[CommandRow, ...]
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
    def as_toml(self) -> str:
        """The configuration as a file that `study train` takes."""
        return as_toml(str(self.config["family"]), self.config) if self.config else ""


def numbers(study: StudyRecords, before: Report) -> Reproduce:
    source, chosen = study.shipped
    name = None if chosen is None else chosen.run
    ships = study.shipping[1]
    run = None if ships is None else source.runs.get(ships.choice.run)  # its recipe without a last stage
    shipped = name if source is study else f"{source.files.root.name}/{name}"
    data = study.settings.dataset
    return Reproduce(
        commands=tuple(CommandRow(c.command, c.start, c.seconds) for c in study.ledger.commands),
        versions=study.settings.versions,
        winner=None if chosen is None else chosen.winner,
        shipped_run=shipped,
        config=run.config if run else None,
        weights_sha256=_weights(study, shipped),
        sha256=data.sha256,
        split_sha256=data.split_sha256,
        name=study.settings.name,
        model_ready=bool(study.model),
    )


def _weights(study: StudyRecords, run: str | None) -> str | None:
    """Of the model folder, or as they were sealed."""
    found = study.model.get("weights_sha256")
    if found is not None:
        return str(found)
    return study.openings[-1].hashes.get(str(run)) if study.openings else None


def finding(found: Reproduce, before: Report) -> str:
    if not found.model_ready:
        return "The commands that made this study; there is no model to predict with yet."
    return f"The model is ready: study predict photo.png --name {found.name}"


def charts(found: Reproduce) -> list[Chart]:
    return []
