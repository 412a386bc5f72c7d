"""Reading with shifts, as a study's files tell it: what each family gains, and what the shipped model reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from study.errors import ResultsError
from study.records.finalists import Candidate, Finalists
from study.records.paths import RunFiles, StudyFiles
from study.records.predictions import read_validation
from study.statistics.result import Result


@dataclass(frozen=True, slots=True)
class Gain(Result):
    """One run of a family's finalist on `images` validation pictures: its accuracy, a fraction, when each is read
    `once` and with `shifts`, how many answers the shifts `mended` and `spoiled`, and the passes through the network
    per picture."""

    family: str
    run: str
    images: int
    once: float
    shifts: float
    mended: int
    spoiled: int
    passes: float

    @property
    def helps(self) -> bool:
        """Whether the shifts are worth their passes: a network that has learned little may lose by them."""
        return self.mended > self.spoiled


def read_gains(model: Mapping[str, Any]) -> tuple[Gain, ...]:
    """As `model.json` tells them, the shipped family's first; none of a model that reads once."""
    return TypeAdapter(tuple[Gain, ...]).validate_python(model.get("gains") or ())


def compared(files: StudyFiles, finalists: Finalists, family: str, runs: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """By family the runs whose first tells what the family gains: of the shipped one, which is first, these `runs`, of
    each other one those of its finalist, save where that left no validation logits."""
    others = {name: finalists.of(name).chosen for name in finalists.standing if name != family}
    left = {name: one.runs for name, one in others.items() if one is not None and _left_logits(files, one)}
    return {family: runs, **left}


def _left_logits(files: StudyFiles, candidate: Candidate) -> bool:
    try:
        return all(read_validation(files.run(run)) is not None for run in candidate.runs)
    except ResultsError:
        return False


def gains_stand(
    gains: Sequence[Gain], files: StudyFiles, finalists: Finalists, family: str, shipped: tuple[str, ...]
) -> bool:
    """Whether they are of the runs that would be compared now, which may have the names of others of before."""
    runs = {name: of_one[0] for name, of_one in compared(files, finalists, family, shipped).items()}
    now = [(name, run, _accuracy(files.run(run))) for name, run in runs.items()]
    return [(gain.family, gain.run, gain.once) for gain in gains] == now


def _accuracy(run: RunFiles) -> float | None:
    known = read_validation(run)
    return None if known is None else float((known[0].argmax(axis=1) == known[1]).mean())


@dataclass(frozen=True, slots=True)
class ShippedReading:
    """The test split as the shipped model reads it: labels [N], logits [N, C], and how many passes through the network
    each picture took [N]."""

    labels: NDArray[np.int64]
    logits: NDArray[np.float32]
    passes: NDArray[np.int64]


def read_shipped(path: Path) -> ShippedReading | None:
    """None where it is not there. ResultsError if it is damaged."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return ShippedReading(arrays["labels"], arrays["logits"], arrays["passes"])
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise ResultsError(f"{path} is damaged ({error}); move it away and run `study evaluate`") from None
