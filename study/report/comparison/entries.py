"""Which studies are compared: found by name or folder, refused unless finished, each under a label of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from study.errors import LockedError, ResultsError, UsageError
from study.records.locking import lock_holder
from study.records.naming import find_study, study_places
from study.records.paths import StudyFiles
from study.records.seal import Opening
from study.report.reading import Array, StudyRecords, known_form, read_study
from study.report.section import Report


@dataclass(frozen=True)
class Entry:
    """A study by the parts of its own report, and the label that tells it from the others on the page."""

    label: str
    report: Report

    @property
    def study(self) -> StudyRecords:
        return self.report.study

    @property
    def correct(self) -> dict[str, Array]:
        """Family -> bool [S, N]: which seed of its finalist is right on which test image."""
        return self.study.correct

    @property
    def last_opening(self) -> Opening | None:
        """What was sealed with the predictions that are read here."""
        return self.study.openings[-1] if self.study.openings else None


def find_studies(words: Sequence[str], results: Path) -> list[StudyFiles]:
    """The studies that the words mean, two at least. UsageError if there are fewer or one is named twice; ResultsError
    if one is missing."""
    if len(words) < 2:
        raise UsageError(f"one study is no comparison: expected two or more names or folders, seen {len(words)}")
    found = [_find(word, results) for word in words]
    roots = [files.root.resolve() for files in found]
    twice = next((word for place, word in enumerate(words) if roots[place] in roots[:place]), None)
    if twice is not None:
        raise UsageError(f"study {twice!r} is named twice; expected different studies")
    return found


def _find(word: str, results: Path) -> StudyFiles:
    """A name under the results folder before a folder of that name here."""
    places = study_places(word, results)
    folder = next((place for place in places if place.is_dir()), None)
    if folder is not None and not any(StudyFiles(place).exists() for place in places):
        raise ResultsError(
            f"{folder} cannot be compared: {folder / 'study.toml'} is missing; expected the whole folder of a finished "
            "study, not its report alone"
        )
    return find_study(word, results)


def read_entries(studies: Sequence[StudyFiles]) -> list[Entry]:
    """Read the studies, in this order; ResultsError names the first that is not finished."""
    return [_read(files, label) for files, label in zip(studies, labels(studies), strict=True)]


def labels(studies: Sequence[StudyFiles]) -> list[str]:
    """Each folder's name, with as many of the folders above it as it takes to tell all apart."""
    parts = [files.root.resolve().parts for files in studies]
    names: list[str] = []
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(path[-depth:]) for path in parts]
        if len(set(names)) == len(names):
            break
    return names


def _read(files: StudyFiles, label: str) -> Entry:
    holder = lock_holder(files)
    if holder is not None:
        raise LockedError(f"{files.root} is in use by {holder}; compare it once that command has ended")
    with known_form(files.root):
        study = read_study(files)
        if study.stage in ("empty", "searching"):
            raise ResultsError(
                f"{files.root} is not finished: it has no finalists yet; continue it with `study run {files.named}`"
            )
        _refuse_stale(study)
        return Entry(label, Report(study, ()))


def _refuse_stale(study: StudyRecords) -> None:
    """Predictions count for the weights that were sealed with them; a retraining since then leaves them behind."""
    for one in study.searches.values():
        if one.retrained:
            raise ResultsError(
                f"{one.files.root} is not finished: {one.retrained[0]} was trained again after its test predictions; "
                f"continue it with `study run {study.files.named}`"
            )
