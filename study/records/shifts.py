"""Reading with shifts, as a study's files tell it: what each family gains, and what the shipped model reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from study.errors import ResultsError
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
