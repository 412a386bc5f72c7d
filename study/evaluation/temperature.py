"""The temperature that a family's finalist carries over from validation. Reads files; no torch."""

from __future__ import annotations

import numpy as np

from study.errors import ResultsError
from study.records.finalists import read_finalists
from study.records.paths import StudyFiles
from study.statistics.logits import fit_temperature


def carried_temperature(files: StudyFiles, family: str, trial: int | None = None) -> float:
    """Fitted on the validation logits of the finalist configuration's candidate runs, pooled, or on those of another
    `trial` among the candidates; ResultsError if the family has no finalist or its candidate runs left no logits."""
    result = read_finalists(files.finalists).of(family)
    chosen = result.chosen if trial is None else result.candidate(trial)
    if chosen is None:
        raise ResultsError(f"{files.finalists} names no finalist of family '{family}'; rerun `study retrain`")
    logits, labels = [], []
    for run in chosen.runs:
        path = files.run(run).validation
        try:
            with np.load(path) as arrays:
                logits.append(arrays["logits"])
                labels.append(arrays["labels"])
        except (OSError, KeyError, ValueError) as error:
            raise ResultsError(f"{path} holds no validation logits ({error}); rerun `study retrain`") from None
    return fit_temperature(np.concatenate(logits), np.concatenate(labels))
