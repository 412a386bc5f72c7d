"""What a study is called where nobody names it, and which study a name or a folder means."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from study.errors import ResultsError, UsageError
from study.records.paths import StudyFiles

_MEANS_A_STUDY = "run|search|retrain|evaluate|examine|report|status|dashboard|export|doctor"
_UNNAMED = re.compile(rf"`study (?:{_MEANS_A_STUDY})(?![^`]*--name)(?=[ `])")
_WITH_A_NAME = re.compile(r"(study \w+ --name [\w.-]*[\w-])(?!\S* --results)")
_UNUSABLE = re.compile(r"[^A-Za-z0-9._-]+")
_OF_NO_FLAGS = StudyFiles(Path("results/mnist"))


def default_study_name(dataset: str | None, data_dir: Path | None) -> str:
    """A study without --name is called as its data set; characters that a study's name cannot have become hyphens."""
    name = default_name(dataset, data_dir)
    return _UNUSABLE.sub("-", name).strip("-._")[:64] or name


def default_name(dataset: str | None, data_dir: Path | None) -> str:
    """What a data set is called; where --data-dir alone is given, as the folder or the file."""
    if dataset is not None or data_dir is None:
        return dataset or "mnist"
    if data_dir.suffix == ".npz":
        return data_dir.stem
    # A link keeps its name: where it points may change.
    return data_dir.name if data_dir.name not in ("", "..") else data_dir.resolve().name


def study_places(word: str, results: Path) -> list[Path]:
    """Where a study may be that is given by its name or its folder: a name under the results folder before a folder of
    that name here. UsageError for an empty word."""
    if not word:
        raise UsageError("study '' is not usable: expected a study's name under --results, or its folder")
    is_name = "/" not in word and word not in (".", "..")
    return [results / word, Path(word)] if is_name else [Path(word)]


def find_study(word: str, results: Path) -> StudyFiles:
    """The study that a name or a folder means; ResultsError if there is none."""
    places = study_places(word, results)
    for place in places:
        if StudyFiles(place).exists():
            return StudyFiles(place)
    seen = " nor ".join(str(place / "study.toml") for place in places)
    raise ResultsError(f"study {word!r} is missing (no {seen}); expected a study's name under --results, or its folder")


def lasting_word(word: str, results: Path) -> str:
    """How a study that is given by its name or its folder is written down: a name under the results folder as it is,
    else the folder's absolute path."""
    first, *others = study_places(word, results)
    found = next((place for place in (first, *others) if StudyFiles(place).exists()), first)
    return word if others and found == first else str(found.resolve())


def with_its_name(text: str, files: StudyFiles) -> str:
    """A text whose commands name the study that it is about: taken as they stand they would mean another."""
    if files.named == _OF_NO_FLAGS.named:
        return text
    return _UNNAMED.sub(lambda command: f"{command[0]} {files.named}", text)


def where_it_is(text: str, files: StudyFiles) -> str:
    """A text whose commands go on with a study, or start one beside it, as they are to be given in this folder."""
    _, _, *results = shlex.split(files.named)
    return _WITH_A_NAME.sub(lambda command: f"{command[0]} {shlex.join(results)}", text) if results else text
