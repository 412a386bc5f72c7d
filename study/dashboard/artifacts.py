"""What a run leaves to look at: how it learned, what it confused, which digits it misread, its configuration.

The files are in the study's folder, as Optuna's file store has them, whose directory `optuna-dashboard --artifact-dir`
takes. A file has the same name whenever it is made again, so a command that was killed leaves nothing twice.
"""

from __future__ import annotations

import contextlib
import io
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import BinaryIO

import numpy as np
import tomli_w
from numpy.typing import NDArray
from optuna.artifacts import ArtifactMeta, FileSystemArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound

from study.dashboard import drawings
from study.errors import ResultsError
from study.records.paths import StudyFiles
from study.records.predictions import read_validation
from study.records.run import Run, read_run
from study.statistics.logits import softmax

Images = Callable[[NDArray[np.int64]], NDArray[np.uint8]]  # by their places among the validation images
_MAX_DIGITS = 30
_MAX_BYTES = 200_000  # of one file: a confusion matrix of hundreds of classes stays out
_PREFIX = "artifacts:"  # what Optuna calls the attribute of an artifact


@dataclass(frozen=True, slots=True)
class Picture:
    """A file to be shown beside a trial."""

    filename: str
    mimetype: str
    content: bytes


class Artifacts(FileSystemArtifactStore):
    """A study's pictures for the dashboard. One that is gone, or is of another study in the same database, is an empty
    file and no error."""

    def open_reader(self, artifact_id: str) -> BinaryIO:
        try:
            return super().open_reader(artifact_id)
        except ArtifactNotFound:
            return io.BytesIO()

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        self._base_path.mkdir(exist_ok=True)
        super().write(artifact_id, content_body)


def keep(files: StudyFiles, classes: Sequence[str], images: Images, run: str, owner: str) -> dict[str, str]:
    """Write what there is to look at of a finished run beside the trial that `owner` names, in whatever database;
    returns the attributes by which Optuna finds it. Without a picture a run is still a run: none if one cannot be made.
    """
    found: dict[str, str] = {}
    with contextlib.suppress(ResultsError, OSError):
        for picture in pictures_of(files, run, classes, images):
            found |= _written(files, owner, picture)
    return found


def _written(files: StudyFiles, owner: str, picture: Picture) -> dict[str, str]:
    name = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{owner}/{picture.filename}"))
    files.artifacts.mkdir(exist_ok=True)
    # Without waiting for the disk: a file that a crash has torn is not named by any trial yet.
    (files.artifacts / name).write_bytes(picture.content)
    meta = ArtifactMeta(name, picture.filename, picture.mimetype, None)
    return {f"{_PREFIX}{name}": json.dumps(asdict(meta))}


def pictures_of(files: StudyFiles, name: str, classes: Sequence[str], images: Images) -> Iterator[Picture]:
    """Of a finished run; of a final run, which has seen every labelled image, its configuration and curve alone."""
    run = read_run(files.run(name))
    yield Picture("configuration.toml", "text/plain", tomli_w.dumps(dict(run.config)).encode())
    for title, content in _drawn(files, run, classes, images):
        if len(content) <= _MAX_BYTES:
            yield Picture(f"{title}.svg", "image/svg+xml", content.encode())


def _drawn(files: StudyFiles, run: Run, classes: Sequence[str], images: Images) -> Iterator[tuple[str, str]]:
    yield from _curves(run)
    validation = read_validation(files.run(run.name))
    if validation is not None:
        yield from _readings(*validation, classes, images)


def _curves(run: Run) -> Iterator[tuple[str, str]]:
    losses = [(row.examples, row.train_loss) for row in run.history]
    seen = [(row.examples, row.validation_accuracy) for row in run.history]
    accuracies = [(examples, 100 * accuracy) for examples, accuracy in seen if accuracy is not None]
    if accuracies:
        yield "learning curve", drawings.curve("Accuracy on validation, %", accuracies, "examples seen")
    if losses:
        yield "training loss", drawings.curve("Training loss", losses, "examples seen")


def _readings(
    logits: NDArray[np.float32], labels: NDArray[np.int64], classes: Sequence[str], images: Images
) -> Iterator[tuple[str, str]]:
    predicted = logits.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    title = f"{len(wrong):,} of {len(labels):,} validation images misread"
    yield "confusion matrix", drawings.confusion(title, labels, predicted, classes)
    if len(wrong):
        sure = softmax(logits[wrong]).max(axis=1)
        shown = wrong[np.argsort(-sure, kind="stable")[:_MAX_DIGITS]]
        captions = [f"{classes[labels[i]][:8]} → {classes[predicted[i]][:8]}" for i in shown]
        title = f"The {len(shown)} misread digits of which it was surest: what it is → what was read"
        yield "misread digits", drawings.digits(title, images(shown), captions)
