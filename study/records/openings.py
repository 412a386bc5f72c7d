"""This user's count of openings: which test images studies of any folder opened, kept outside all of them.

A study's own seal goes when its folder does. This file stays, so that a later look at the same images is not taken for
the first. One line an opening, in the order in which they were added. No torch here.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from study.errors import ResultsError
from study.records.files import append_jsonl, read_jsonl
from study.records.paths import StudyFiles
from study.records.seal import Opening

IMAGES = "test-images"  # the role whose sha256 tells a set of test images from others


def openings_file() -> Path:
    """`digit-study/openings.jsonl` in the user's state directory. ResultsError for a user without a home folder."""
    base = os.environ.get("XDG_STATE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".local" / "state") / "digit-study" / "openings.jsonl"
    except RuntimeError:
        raise ResultsError("there is no home folder to count openings in: set XDG_STATE_HOME") from None


def openings_of(images_sha256: str) -> int:
    """How many openings of these test images are counted. ResultsError for a file that cannot be read."""
    return len(_of_images(images_sha256, _read(openings_file())))


def count_openings(files: StudyFiles, openings: Sequence[Opening]) -> int | None:
    """Add those of a study's openings that are not counted yet, without those that are sealed as uncounted. The number
    of the last one among all openings of its images by this user, from 1 on; None, and nothing is added, where it is
    uncounted or its images' sha256 is not known. ResultsError where the count cannot be kept; two commands wait for
    each other."""
    wanted = [_entry(files, one) for one in openings if IMAGES in one.test_sha256 and not one.uncounted]
    if IMAGES not in openings[-1].test_sha256 or openings[-1].uncounted:
        return None
    path = openings_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.parent / ".lock"):
            counted = _read(path)
            known = set(map(_which, counted))
            added = [entry for entry in wanted if _which(entry) not in known]
            for entry in added:
                append_jsonl(path, entry)
    except OSError as error:
        raise ResultsError(f"{path} cannot be written ({error.strerror})") from None
    same = _of_images(wanted[-1]["images"], [*counted, *added])
    return 1 + list(map(_which, same)).index(_which(wanted[-1]))


def how_counted(images_sha256: str) -> str:
    """In words: how often these test images were opened, where that is counted, and how to leave the count."""
    try:
        path, number = openings_file(), openings_of(images_sha256)
    except ResultsError as error:
        return f"openings of the test images are not counted: {error}"
    place = next(folder for folder in path.parents if folder.exists())
    if not os.access(path if path.exists() else place, os.W_OK):
        return f"openings of the test images are not counted: {path} cannot be written"
    return (
        f"openings of these test images by your studies: {number}, counted in {path}; `study run --uncounted` leaves "
        "one out, and without the file all are forgotten"
    )


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        return read_jsonl(path)
    except OSError as error:
        raise ResultsError(f"{path} cannot be read ({error.strerror})") from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _entry(files: StudyFiles, opening: Opening) -> dict[str, Any]:
    weights = hashlib.sha256(json.dumps(opening.hashes, sort_keys=True).encode()).hexdigest()
    return {
        "time": opening.time,
        "images": opening.test_sha256[IMAGES],
        "weights": weights,
        "study": str(files.root.resolve()),
    }


def _which(entry: dict[str, Any]) -> tuple[object, ...]:
    """What tells an opening from others: a copy of a study, and one that was moved, has those of its original."""
    return tuple(entry.get(key) for key in ("time", "images", "weights"))


def _of_images(images_sha256: str, entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry for entry in entries if entry.get("images") == images_sha256]
