"""The finalists' candidate runs read the validation images as the shipped network reads: with shifts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from study.evaluation.temperature import pooled_temperature
from study.evaluation.test_set import load_run, one_thread, reader_of
from study.inference.bundle import DESCRIPTION
from study.models.reading import ShiftedReading, read_again
from study.records.files import read_json
from study.records.finalists import Finalists
from study.records.paths import StudyFiles
from study.records.predictions import read_validation
from study.records.shifts import Gain, compared


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


def with_shifts(
    files: StudyFiles, finalists: Finalists, family: str, shipped: tuple[str, ...], images: Tensor
) -> list[Readings]:
    """These runs of the `family` that is `shipped`, then one of each other family's finalist, on validation images
    uint8 [N, 28, 28]; side by side, each on one thread. A family that left no logits is left out, save the shipped
    one."""
    jobs = [
        (name, runs, run)
        for name, runs in compared(files, finalists, family, shipped).items()
        for run in (runs if name == family else runs[:1])
    ]
    n_threads = torch.get_num_threads()
    with one_thread(), ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(lambda job: _readings(files, job[0], job[1], job[2], images), jobs))


def _readings(files: StudyFiles, family: str, alike: tuple[str, ...], run: str, images: Tensor) -> Readings:
    """Of one run, at the temperature of all that are alike."""
    known = read_validation(files.run(run))
    assert known is not None  # its temperature is fitted on them
    logits, labels = known
    model, read = load_run(files.run(run))
    how = ShiftedReading(temperature=pooled_temperature(files, alike))
    again = read_again(reader_of(model, read.record, how), images, logits)
    return Readings(family, run, labels, logits, again.logits, again.passes)
