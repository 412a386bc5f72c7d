"""The seal: `test/seal.json`, every opening of the test split and every further look at it, written before an image is
read. No torch here."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from study.errors import ResultsError
from study.records.files import read_json, write_json
from study.records.paths import RunFiles, StudyFiles

PREDICTIONS = "predictions.npz"


@dataclass(frozen=True)
class Opening:
    """One opening: what was decided and sealed. `hashes` maps a run to the sha256 of its weights; `resumed` lists the
    times at which an opening that ended before its predictions were written was taken up again; `of_user` is its number
    among all openings of these images by this user's studies, None where they were not counted; one that is `uncounted`
    never is, as its user asked. `reading` says below which calibrated probability, at which temperature, the shipped
    network reads a picture again with shifts; None where it reads each once, as all other runs do. `last_stage` is what
    decided whether the shipped network has a last stage, None where none was trained."""

    time: str
    command: str
    winner: str
    shipped_run: str
    hypotheses: list[list[str]]
    hashes: dict[str, str]
    test_sha256: dict[str, str]
    resumed: tuple[str, ...] = ()
    of_user: int | None = None
    uncounted: bool = False
    reading: dict[str, float] | None = None
    last_stage: dict[str, Any] | None = None


@dataclass(frozen=True)
class Look:
    """A further look at the split with a run that was evaluated: nothing is decided by it, and it is not counted as an
    opening."""

    time: str
    command: str
    purpose: str
    run: str
    weights_sha256: str


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def file_sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        raise ResultsError(
            f"{path} is missing; expected the weights of a finished run: rerun `study retrain`"
        ) from None


def run_hashes(files: StudyFiles, runs: Sequence[str]) -> dict[str, str]:
    """sha256 of the weights of each run; ResultsError names one that is not finished."""
    for run in runs:
        if not files.run(run).is_done():
            raise ResultsError(f"{files.run(run).root} is not finished (no DONE); rerun `study retrain`")
    return weights_of(files, runs)


def weights_of(files: StudyFiles, runs: Iterable[str]) -> dict[str, str]:
    """sha256 of the weights of each run, as results name what they were made from."""
    return {run: file_sha256(files.run(run).weights) for run in runs}


def is_made_from(result: Mapping[str, Any], files: StudyFiles, openings: Sequence[Opening]) -> bool:
    """Whether a result that names the weights it was made from was made from those that its runs have now. Older ones
    name none: they stand if the split was opened once, for the weights that are there."""
    made: Mapping[str, str] | None = result.get("made_from")
    if made is None:
        if len(openings) != 1:
            return False
        made = openings[0].hashes
    return not trained_again(files, made)


def trained_again(files: StudyFiles, hashes: Mapping[str, str], prefix: str = "") -> list[str]:
    """Runs that have weights, and other ones than these, sha256 by run; sorted. The runs of a repeat are named with its
    folder, `<repeat>/`: with that as prefix they are looked for, and else left out, since `files` are not theirs."""
    named = {name.removeprefix(prefix): digest for name, digest in hashes.items() if name.startswith(prefix)}
    return [run for run in sorted(named) if "/" not in run and _has_other_weights(files.run(run), named[run])]


def _has_other_weights(run: RunFiles, digest: str) -> bool:
    return run.weights.is_file() and file_sha256(run.weights) != digest


def read_openings(path: Path) -> list[Opening]:
    """Openings in order; none if the split was not opened. ResultsError where it was, and the seal is lost."""
    if not path.exists():
        if not (path.parent / PREDICTIONS).exists():
            return []
        repair = f"`study doctor {StudyFiles(path.parent.parent).named} --repair`"
        raise ResultsError(
            f"{path} is missing, though {path.parent / PREDICTIONS} is there: {repair} makes it again from the last "
            "report, or says that nothing can"
        )
    try:
        return [Opening(**entry) for entry in read_json(path)["openings"]]
    except (TypeError, KeyError) as error:
        raise _no_seal(path, error) from None


def _no_seal(path: Path, error: Exception) -> ResultsError:
    return ResultsError(f"{path} is no seal ({error}); restore the file: it counts the test split's use")


def write_openings(path: Path, openings: Sequence[Opening]) -> None:
    """Replace the openings and force the seal, and its place in the folder, to the disk before returning."""
    _write(path, openings, read_looks(path))


def read_looks(path: Path) -> list[Look]:
    """Further looks in order; none if there is no seal."""
    if not path.exists():
        return []
    try:
        return [Look(**entry) for entry in read_json(path).get("looks", [])]
    except TypeError as error:
        raise _no_seal(path, error) from None


def add_look(path: Path, look: Look) -> None:
    """Add one to the seal, on the disk before this returns."""
    _write(path, read_openings(path), [*read_looks(path), look])


def _write(path: Path, openings: Sequence[Opening], looks: Sequence[Look]) -> None:
    content: dict[str, Any] = {"openings": [_as_entry(opening) for opening in openings]}
    if looks:
        content["looks"] = [asdict(look) for look in looks]
    write_json(path, content)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _as_entry(opening: Opening) -> dict[str, Any]:
    entry = asdict(opening)
    if not entry["resumed"]:
        del entry["resumed"]
    if entry["of_user"] is None:
        del entry["of_user"]
    if not entry["uncounted"]:
        del entry["uncounted"]
    for key in ("reading", "last_stage"):
        if entry[key] is None:
            del entry[key]
    return entry
