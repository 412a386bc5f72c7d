"""What a study's networks make of a drawing: its shipped network as `study predict` reads it, and every finalist."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from study.errors import ResultsError
from study.evaluation.temperature import carried_temperature
from study.evaluation.test_set import load_run, logits_of
from study.inference.answer import Prediction
from study.inference.explain import picture_address
from study.inference.predictor import Predictor
from study.inference.preprocess import SEVERAL_DIGITS
from study.records.finalists import read_finalists
from study.records.paths import StudyFiles
from study.records.run import RunRecord
from study.statistics.logits import softmax


@dataclass(frozen=True, slots=True)
class Finalist:
    """A finalist of the study: its first final run, and the temperature that its validation images gave it."""

    title: str
    model: nn.Module
    record: RunRecord
    temperature: float


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one finalist reads in the same 28 x 28 picture, and its calibrated probability."""

    title: str
    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What is shown of one digit: the answer as `study predict` gives it, the calibrated probability of every class in
    the classes' order, the picture that the network saw as a data address, and the finalists' opinions of that."""

    status: str
    label: str | None
    reason: str | None
    set: tuple[str, ...]
    flags: tuple[str, ...]
    probabilities: tuple[float, ...]
    seen: str | None
    finalists: tuple[Opinion, ...]


class Reader:
    """The networks of one study, loaded, or one model folder's alone; `missing` are finalists whose weights are not
    there any more: a folder may have been thinned out."""

    def __init__(self, model: Path, searches: list[StudyFiles]) -> None:
        torch.set_num_threads(1)  # as for `study predict`, whichever command serves the page
        self.predictor = Predictor.load(model)
        self.finalists: list[Finalist] = []
        self.missing: list[str] = []
        for title, load in _finalists(searches):
            try:
                self.finalists.append(load())
            except ResultsError:
                self.missing.append(title)

    def read(self, picture: bytes, segment: bool | None = None) -> list[Reading]:
        """A reading of each digit of an encoded picture, in the order of `study predict`."""
        answers = self.predictor.predict(
            [io.BytesIO(picture)], top_k=len(self.predictor.classes), segment=segment or None
        )
        return [self._reading(answer) for answer in answers]

    def _reading(self, answer: Prediction) -> Reading:
        by_class = {entry["digit"]: float(entry["probability"]) for entry in answer.top_k}
        return Reading(
            status=answer.status,
            label=answer.label,
            reason=_reason(answer),
            set=answer.set_labels,
            flags=answer.flags,
            probabilities=tuple(by_class[number] for number in sorted(by_class)),
            seen=None if answer.pixels is None else picture_address(answer.pixels),
            finalists=() if answer.pixels is None else tuple(self._opinions(answer.pixels)),
        )

    def _opinions(self, pixels: NDArray[np.uint8]) -> Iterator[Opinion]:
        image = torch.from_numpy(pixels[None].copy())
        for one in self.finalists:
            p = softmax(logits_of(one.model, image, one.record), one.temperature)[0]
            best = int(p.argmax())
            yield Opinion(one.title, self.predictor.classes[best], float(p[best]))


def _reason(answer: Prediction) -> str | None:
    """As `study predict` gives it, but for the advice to use a flag of that command."""
    if SEVERAL_DIGITS in answer.flags:
        return "more than one digit; “several digits” reads them one by one"
    return answer.reason


def _finalists(searches: list[StudyFiles]) -> Iterator[tuple[str, Callable[[], Finalist]]]:
    """Title and loader of every family's finalist in every search."""
    for number, files in enumerate(searches, 1):
        found = read_finalists(files.finalists)
        for family in found.standing:
            title = f"{family} #{found.of(family).finalist}" + (f", search {number}" if len(searches) > 1 else "")
            yield title, partial(_finalist, files, family, found.of(family).final_runs[0], title)


def _finalist(files: StudyFiles, family: str, run: str, title: str) -> Finalist:
    model, read = load_run(files.run(run))
    return Finalist(title, model, read.record, carried_temperature(files, family))
