"""The temperature that a family's finalist carries over from validation. Reads files; no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from study.errors import ResultsError
from study.records.finalists import read_finalists
from study.records.paths import StudyFiles
from study.records.predictions import read_validation
from study.statistics.logits import fit_temperature


def carried_temperature(files: StudyFiles, family: str, trial: int | None = None) -> float:
    """Fitted on the validation logits of the finalist configuration's candidate runs, pooled, or on those of another
    `trial` among the candidates; ResultsError if the family has no finalist or its candidate runs left no logits."""
    result = read_finalists(files.finalists).of(family)
    chosen = result.chosen if trial is None else result.candidate(trial)
    if chosen is None:
        raise ResultsError(f"{files.finalists} names no finalist of family '{family}'; rerun `study retrain`")
    return pooled_temperature(files, chosen.runs)


def pooled_temperature(files: StudyFiles, runs: Sequence[str]) -> float:
    """Fitted on the validation logits of these runs; ResultsError if one left none."""
    logits, labels = [], []
    for run in map(files.run, runs):
        known = read_validation(run)
        if known is None:
            raise ResultsError(f"{run.validation} is missing; rerun `study retrain`")
        logits.append(known[0])
        labels.append(known[1])
    return fit_temperature(np.concatenate(logits), np.concatenate(labels))
