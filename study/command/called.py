"""`Study.run`: what `study run` does, asked for in Python."""

from __future__ import annotations

import argparse
import contextlib
import signal
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from study.command.arguments import count, positive, seed
from study.command.live import reporter
from study.command.working import at_work, run_stages
from study.errors import Interrupted, ResumeError, StudyError, UsageError
from study.interrupts import catching_signals
from study.records.files import write_with
from study.records.naming import with_its_name
from study.records.paths import StudyFiles, prepare_results_folder
from study.records.settings import PrunerName, SamplerName, load_settings
from study.stages.request import Request

OWN = "own-images"  # what a study of arrays is called that nobody named
Arrays = Mapping[str, NDArray[Any]]
_NUMBERS: Mapping[str, Callable[[str], float]] = {
    "budget": positive,
    "n_trials": count,
    "repeats": count,
    "workers": count,
    "seed": seed,
    "split_seed": seed,
}
_NAMES = {"sampler": get_args(SamplerName), "pruner": get_args(PrunerName)}


def arrays_of(images: Any, labels: Any, test_images: Any, test_labels: Any) -> Arrays:
    """By their names in an .npz. UsageError for images without labels, or the other way round, or a test part alone,
    and for what is no array of numbers."""
    given = {
        "x_train": ("images", images),
        "y_train": ("labels", labels),
        "x_test": ("test_images", test_images),
        "y_test": ("test_labels", test_labels),
    }
    found = {key: _array(name, value) for key, (name, value) in given.items() if value is not None}
    pairs = (("images", "labels", "train"), ("test_images", "test_labels", "test"))
    for first, second, part in pairs:
        if (f"x_{part}" in found) != (f"y_{part}" in found):
            seen = first if f"x_{part}" in found else second
            raise UsageError(f"Study.run: seen {seen} alone, expected {first} and {second}")
    if found and "x_train" not in found:
        raise UsageError("Study.run: seen test_images and test_labels alone, expected images and labels, too")
    return found


def _array(name: str, value: Any) -> NDArray[Any]:
    with contextlib.suppress(ValueError):  # rows of several lengths
        found = np.asarray(value)
        if found.dtype != object:
            return found
    raise UsageError(f"Study.run: {name} are no array, expected numbers in rows as long as one another")


def run(request: Request, arrays: Arrays, *, quiet: bool) -> StudyFiles:
    """Run a study of these arrays, which are kept in its folder, or of the data set that the request names.

    Ctrl-C is KeyboardInterrupt once what is being written is there; another signal ends with its exit status."""
    request = _checked(request)
    files = request.files
    known, had_arrays, begun = files.exists(), _place(files).exists(), False
    request = replace(request, command=_in_words(request, arrays))
    try:
        request.check("run")
        if arrays:
            request = replace(request, data_dir=_kept(arrays, files))
        with catching_signals(is_patient=True), at_work(request, lambda: reporter(quiet)) as stages:
            begun = True
            stages.progress.say(f"study '{files.name}' in {files.root}")
            stages.progress.say(f"watch it: study dashboard {files.named}")
            run_stages(stages, evaluate=request.opens_test)
    except StudyError as error:
        if files.exists():
            error.args = (with_its_name(str(error), files),)
        raise
    except Interrupted as error:
        raise (KeyboardInterrupt if error.signum == signal.SIGINT else SystemExit(error.exit_status)) from None
    finally:
        # Arrays of a study that did not come to be, or others than those that it lost.
        if arrays and not begun and not had_arrays and (known or not files.exists()):
            _take_back(files)
    return files


def _checked(request: Request) -> Request:
    """With numbers of Python's own types. UsageError for a value that no flag of the command could have."""
    told: dict[str, Any] = {}
    for name, read in _NUMBERS.items():
        if (value := getattr(request, name)) is not None:
            try:
                told[name] = read(str(value))
            except argparse.ArgumentTypeError as error:
                raise UsageError(f"Study.run: {name}: {error}") from None
    for name, known in _NAMES.items():
        if (value := getattr(request, name)) not in (None, *known):
            raise UsageError(f"Study.run: {name}: {value!r} is not usable: expected one of {', '.join(known)}")
    return replace(request, **told)


def _in_words(request: Request, arrays: Arrays) -> str:
    """The call as a study's records have it. A database's address is in its settings, without a password."""
    told = {
        one.name: getattr(request, one.name)
        for one in fields(Request)
        if one.name not in ("command", "started", "storage", "goes_without_test", "counted")
        and getattr(request, one.name) != one.default
    }
    if told.pop("opens_test", False) is False:
        told["evaluate"] = False
    words = [*(["images", "labels"] if arrays else []), *(f"{name}={_plain(value)!r}" for name, value in told.items())]
    return f"Study.run({', '.join(words)})"


def _plain(value: object) -> object:
    """As it was asked for: a path as its text."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _kept(arrays: Arrays, files: StudyFiles) -> Path:
    """The study's own .npz with the arrays. ResumeError for a study of other data, DataError if they are none."""
    path = _place(files)
    if files.exists():
        dataset = load_settings(files.settings).dataset
        if not (dataset.data_dir or "").endswith(path.suffix):
            raise ResumeError(
                f"study '{files.name}' was created with data set {dataset.name}, seen images beside it: continue it "
                "without them, or start another with name="
            )
        if path.exists():
            _check_same(arrays, path, files.name)
            return path

    prepare_results_folder(files.root)

    def write(part: Path) -> None:
        with part.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)

    write_with(path, write)
    return path


def _check_same(arrays: Arrays, path: Path, study: str) -> None:
    with np.load(path) as kept:
        for name, array in arrays.items():
            if name not in kept.files or not np.array_equal(kept[name], array):
                raise ResumeError(
                    f"study '{study}' was created with other arrays (those in {path}), seen another {name}: continue "
                    "it with the same, or start another with name="
                )


def _place(files: StudyFiles) -> Path:
    return files.root / f"{files.name}.npz"  # a data set is called as its file


def _take_back(files: StudyFiles) -> None:
    """Remove the arrays, and the folder if nothing else lies there."""
    _place(files).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        files.root.rmdir()
