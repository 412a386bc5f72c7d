"""Test images that are training images, pixel by pixel, counted after the seal: a network has learned them by heart."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import Tensor

from study.data.duplicates import Fingerprints, count_repeats
from study.evaluation.test_set import load_sealed_test
from study.records.files import write_json
from study.records.paths import StudyFiles
from study.records.settings import StudySettings


def run(files: StudyFiles, settings: StudySettings, train: Tensor) -> dict[str, Any]:
    """Write and return test/duplicates.json: the counts, and in `test_indices` which test images are copies of one of
    `train` uint8 [N, 28, 28], the images that the final runs learned from."""
    known = Fingerprints.of(train.cpu())
    test = Fingerprints.of(load_sealed_test(files, settings).images)
    found = asdict(count_repeats(known, test)) | {"test_indices": test.also_in(known).tolist()}
    write_json(files.duplicates, found)
    return found
