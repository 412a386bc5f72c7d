"""Further looks at the test split by a run that was evaluated on it, for tables that decide nothing."""

from __future__ import annotations

from pathlib import Path

from study.data.datasets import Dataset
from study.errors import ResultsError
from study.evaluation.test_set import load_sealed_test
from study.records.paths import StudyFiles
from study.records.seal import Look, add_look, file_sha256, now, read_openings
from study.records.settings import StudySettings


def look_at_test(
    files: StudyFiles, settings: StudySettings, run: str, purpose: str, command: str, result: Path
) -> Dataset:
    """The test split, once the look stands in the seal.

    `result` is the file that will hold what was seen: where it is there already the split is not read again. A look
    that ended before it was written may be repeated; the seal then names both. ResultsError if `run` was not evaluated
    with the weights that it has now.
    """
    if result.exists():
        raise ResultsError(f"{result} holds what was seen; the test split is read once for it: look there")
    digest = file_sha256(files.run(run).weights)
    openings = read_openings(files.seal)
    if not openings or openings[-1].hashes.get(run) != digest:
        raise ResultsError(f"{files.seal} names no opening for {run} as it is now; run `study evaluate` first")
    add_look(files.seal, Look(now(), command, purpose, run, digest))
    return load_sealed_test(files, settings)
