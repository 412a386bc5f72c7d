"""What validates each search of a study: another sixth of the training data in each, the same for every family."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from study.data.datasets import pixel_statistics, split_sha256, stratified_split
from study.records.settings import DatasetSettings, StudySettings
from study.training.loop import TrainingData
from study.training.schedule import HeldOut


@dataclass(frozen=True)
class Part:
    """The data of a search as they are described and as they are; `held_out` is for the workers, None where their own
    data have this validation part."""

    dataset: DatasetSettings
    data: TrainingData
    held_out: HeldOut | None = None


def part_of(settings: StudySettings, data: TrainingData, number: int) -> Part:
    """Of search `number`, counted from 1, of a study with these settings and data: the first has the study's own
    validation part, and so have all searches of an older study."""
    if number == 1 or settings.validation == "shared":
        return Part(settings.dataset, data)
    described, sixth = settings.dataset, number - 1
    train, validation = stratified_split(data.labels, described.split_seed, groups=_kept_groups(data), sixth=sixth)
    mean, std = pixel_statistics(data.images.numpy()[train])
    held_out = HeldOut(_bits(validation, len(data.labels)), mean, std)
    changes = {
        "sixth": sixth,
        "split_sha256": split_sha256(validation),
        "n_train": len(train),
        "n_validation": len(validation),
        "validation_in_train": None,  # counted of the first alone
        "mean": mean,
        "std": std,
    }
    return Part(described.model_copy(update=changes), data.holding_out(held_out), held_out)


def _kept_groups(data: TrainingData) -> NDArray[np.int64] | None:
    """The images' groups, unless the study was split before they were known."""
    if data.groups is None:
        return None
    groups = data.groups.numpy()
    train, validation = (groups[part.numpy()] for part in (data.train, data.validation))
    return None if len(np.intersect1d(train, validation)) else groups


def _bits(chosen: NDArray[np.int64], n: int) -> bytes:
    mask = np.zeros(n, dtype=bool)
    mask[chosen] = True
    return np.packbits(mask).tobytes()
