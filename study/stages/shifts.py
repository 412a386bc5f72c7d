"""The finalists' candidate runs read the validation images as the shipped network reads: with shifts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from study.errors import ResultsError
from study.evaluation.temperature import carried_temperature
from study.evaluation.test_set import load_run, one_thread
from study.inference.bundle import DESCRIPTION
from study.models.reading import Reader, ShiftedReading, read_again
from study.records.files import read_json
from study.records.finalists import Finalists
from study.records.paths import RunFiles, StudyFiles
from study.records.shifts import Gain


@dataclass(frozen=True, slots=True)
class Readings:
    """What a run made of the validation images: logits [N, C], each read `once` and with `shifts`; labels [N]; and the
    passes through the network that each took with shifts [N]."""

    family: str
    run: str
    labels: NDArray[np.int64]
    once: NDArray[Any]
    shifts: NDArray[Any]
    passes: NDArray[np.int64]

    @property
    def gain(self) -> Gain:
        before, after = (logits.argmax(axis=1) == self.labels for logits in (self.once, self.shifts))
        return Gain(
            family=self.family,
            run=self.run,
            images=len(self.labels),
            once=float(before.mean()),
            shifts=float(after.mean()),
            mended=int((after & ~before).sum()),
            spoiled=int((before & ~after).sum()),
            passes=float(self.passes.mean()),
        )


def shipped_reading(files: StudyFiles) -> ShiftedReading | None:
    """How the study's model reads, as its file says; None: each picture once."""
    path = files.model / DESCRIPTION
    reading = read_json(path).get("reading") if path.is_file() else None
    return None if reading is None else ShiftedReading.model_validate(reading)


def read_validation(run: RunFiles) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Logits [N, C] and labels [N] of a candidate run, as it left them: every image was read once."""
    with np.load(run.validation) as arrays:
        return arrays["logits"], arrays["labels"]


def with_shifts(files: StudyFiles, finalists: Finalists, family: str, trial: int, images: Tensor) -> list[Readings]:
    """All candidate runs of the `trial` of the `family` that is shipped, then one of each other family's finalist, on
    validation images uint8 [N, 28, 28]; side by side, each on one thread. A family that left no logits is left out,
    save the shipped one."""
    shipped = finalists.of(family).candidate(trial)
    assert shipped is not None  # validation chose it
    jobs = [(family, trial, run) for run in shipped.runs]
    for other in finalists.standing:
        chosen = finalists.of(other).chosen
        if other != family and chosen is not None and _left_logits(files, other):
            jobs.append((other, chosen.trial, chosen.runs[0]))
    n_threads = torch.get_num_threads()
    with one_thread(), ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(lambda job: _readings(files, job[0], job[1], job[2], images), jobs))


def _left_logits(files: StudyFiles, family: str) -> bool:
    try:
        carried_temperature(files, family)
    except ResultsError:
        return False
    return True


def _readings(files: StudyFiles, family: str, trial: int, run: str, images: Tensor) -> Readings:
    logits, labels = read_validation(files.run(run))
    model, read = load_run(files.run(run))
    how = ShiftedReading(temperature=carried_temperature(files, family, trial))
    again = read_again(Reader(model, read.record.mean, read.record.std, how), images, logits)
    return Readings(family, run, labels, logits, again.logits, again.passes)
