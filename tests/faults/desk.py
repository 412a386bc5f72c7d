"""A small study on the command line, and the two forms of a test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from study.records.paths import StudyFiles
from study.records.trial import read_trials


@dataclass(frozen=True)
class Desk:
    """The words of a command on a slice of digits and two tiny spaces."""

    results: Path
    flags: tuple[str, ...]

    def words(self, verb: str, *more: str) -> list[str]:
        return [verb, *self.flags, "--name", "tiny", *more]

    @property
    def files(self) -> StudyFiles:
        return StudyFiles(self.results / "tiny")

    @property
    def counted(self) -> list[tuple[str, int]]:
        """(family, draw) of the trials that count."""
        return [(r.family, r.draw) for r in read_trials(self.files.trials_jsonl) if r.counted]


def forms(short: int, long: int) -> list[ParameterSet]:
    """How often a fault is tried: in every run of the tests, and where slow ones run, too."""
    return [pytest.param(short, id=f"{short}"), pytest.param(long, id=f"{long}", marks=pytest.mark.slow)]
