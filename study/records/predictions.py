"""The logits of a file of predictions, and the groups of its images."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from study.errors import ResultsError
from study.records.paths import RunFiles, StudyFiles
from study.statistics.groups import Groups

OF_IMAGES = ("labels", "groups")  # what a file of predictions holds of the images; all else is a run's


def read_groups(path: Path) -> Groups | None:
    """Those of the images of predictions.npz; None where the data set has none, and in older files."""
    with np.load(path) as arrays:
        return Groups.named(arrays["groups"] if "groups" in arrays.files else None)


def read_validation(files: RunFiles) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
    """(logits [N, C], labels [N]) of a run on the validation images; None for one that learned from them. ResultsError
    if its file is damaged."""
    if not files.validation.is_file():
        return None
    try:
        # Opened here, since numpy leaves a file open that proves to be no archive.
        with files.validation.open("rb") as stream, np.load(stream) as arrays:
            return arrays["logits"], arrays["labels"]
    except (ValueError, KeyError, OSError, BadZipFile) as error:
        raise ResultsError(f"{files.validation} is damaged ({error}); move {files.root} away, then retrain") from None


def read_logits(path: Path) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float32]]]:
    """(labels [N], run -> logits [N, C]) of predictions.npz or candidates.npz."""
    try:
        with path.open("rb") as stream, np.load(stream) as arrays:
            return arrays["labels"], {name: arrays[name] for name in arrays.files if name not in OF_IMAGES}
    except FileNotFoundError:
        raise ResultsError(f"{path} is missing; run `study evaluate` first") from None
    except (ValueError, KeyError, OSError, BadZipFile) as error:
        raise ResultsError(f"{path} is damaged ({error}); restore it from a copy of the study") from None


def read_run_logits(files: StudyFiles, run: str) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
    """Labels [N] and logits [N, C] of one run, final or candidate; None if the test split was not opened for it."""
    for path in (files.predictions, files.candidate_predictions):
        if path.exists():
            labels, logits = read_logits(path)
            if run in logits:
                return labels, logits[run]
    return None
