"""A small study on the command line, and the two forms of a test."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet
from tiny_spaces import TINY_SPACES

from study.records.paths import StudyFiles
from study.records.trial import Origin, read_trials


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
    def counted(self) -> list[tuple[str, Origin, int | None]]:
        """(family, origin, draw) of the trials that count: what is given is drawn apart from what is found."""
        return [(r.family, r.origin, r.draw) for r in read_trials(self.files.trials_jsonl).counted]

    @property
    def n_counted(self) -> Counter[tuple[str, Origin]]:
        return Counter((family, origin) for family, origin, _ in self.counted)


def totals(n_trials: int) -> dict[tuple[str, Origin], int]:
    """What `Desk.n_counted` is after a whole search of so many trials a family."""
    n_given = {family: text.count("[[warm_start]]") for family, text in TINY_SPACES.items()}
    return {
        (family, origin): n for family in TINY_SPACES for origin, n in (("found", n_trials), ("given", n_given[family]))
    }


def forms(short: int, long: int) -> list[ParameterSet]:
    """How often a fault is tried: in every run of the tests, and where slow ones run, too."""
    return [pytest.param(short, id=f"{short}"), pytest.param(long, id=f"{long}", marks=pytest.mark.slow)]
