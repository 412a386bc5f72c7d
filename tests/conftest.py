"""What tests share: a small real slice of MNIST's training file, tiny search spaces, a study's folder and storage."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sqlite3
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy
import torch
from optuna.storages import RDBStorage
from sqlalchemy.engine import Engine

sys.path.insert(0, str(Path(__file__).parent))

from postgresql import Server, running_server, skip_or_fail
from tiny_spaces import TINY_SPACES

from study.data.datasets import Dataset, load_train, pixel_statistics
from study.execution.worker import Work, train
from study.records.paths import StudyFiles
from study.records.settings import DatasetSettings, FamilySettings, Ladder, RetrainSettings, StudySettings
from study.search.storage import open_storage, storage_url
from study.training.loop import TrainingData

# Under nohup a hang-up is ignored, in the background of a script Ctrl-C is: every command that a test starts would
# inherit that.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

N_TRAIN, N_VALIDATION = 600, 200


def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Openings of test images are counted in a new folder, by the commands that a test starts, too: neither the user's
    count nor that of other tests is touched."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield folder


state_of_session = pytest.fixture(scope="session", autouse=True)(_own_state)
state_of_module = pytest.fixture(scope="module", autouse=True)(_own_state)
state_home = pytest.fixture(autouse=True)(_own_state)


@pytest.fixture(scope="session")
def mnist_slice() -> Dataset:
    """The first 1,000 images of MNIST's training file; 800 serve as data, the rest wherever a test file is needed."""
    whole = load_train("mnist")
    return Dataset("slice", whole.images[:1000].clone(), whole.labels[:1000].clone(), whole.classes, {})


@pytest.fixture(scope="session")
def training_data(mnist_slice: Dataset) -> TrainingData:
    n = N_TRAIN + N_VALIDATION
    images, labels = mnist_slice.images[:n].clone(), mnist_slice.labels[:n].clone()
    mean, std = pixel_statistics(images[:N_TRAIN])
    return TrainingData(images, labels, torch.arange(N_TRAIN), torch.arange(N_TRAIN, n), mean, std, 10)


@pytest.fixture(scope="session")
def write_idx(mnist_slice: Dataset) -> Callable[[Path], Path]:
    """Writes the slice as a folder for --data-dir. Its "test" files hold training images too: MNIST's own test split
    stays sealed."""

    def write(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        n = N_TRAIN + N_VALIDATION
        for stem, part in (("train", slice(0, n)), ("t10k", slice(n, None))):
            images, labels = mnist_slice.images[part].numpy(), mnist_slice.labels[part].numpy().astype(np.uint8)
            header = struct.pack(">IIII", 0x803, *images.shape)
            (folder / f"{stem}-images-idx3-ubyte").write_bytes(header + images.tobytes())
            header = struct.pack(">II", 0x801, len(labels))
            (folder / f"{stem}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
        return folder

    return write


@pytest.fixture
def tiny_spaces(tmp_path: Path) -> dict[str, Path]:
    """Search-space files whose every branch trains in a moment, by family."""
    folder = tmp_path / "spaces"
    folder.mkdir()
    paths = {family: folder / f"{family}.toml" for family in TINY_SPACES}
    for family, path in paths.items():
        path.write_text(TINY_SPACES[family])
    return paths


@pytest.fixture
def files(tmp_path: Path) -> StudyFiles:
    files = StudyFiles(tmp_path / "results" / "tiny")
    files.root.mkdir(parents=True)
    return files


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, files: StudyFiles) -> str:
    """One contract: what asks for it, or for a storage there, runs over both."""
    if request.param == "sqlite":
        return storage_url(files, None)
    server: Server = request.getfixturevalue("postgresql")
    return server.url()


@pytest.fixture
def storage(files: StudyFiles) -> RDBStorage:
    return open_storage(storage_url(files, None))


@pytest.fixture
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For tests in which no power fails: hundreds of trials need not wait for the disk."""

    def no_sync(connection: Any, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    monkeypatch.setattr(os, "fsync", lambda _: None)
    sqlalchemy.event.listen(Engine, "connect", no_sync)
    yield
    sqlalchemy.event.remove(Engine, "connect", no_sync)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A server of these tests alone. A test that stops it starts it again."""
    skip_or_fail()
    with running_server() as server:
        yield server


@pytest.fixture
def open_url() -> Iterator[Callable[[str], RDBStorage]]:
    """Opens a storage whose connections end with the test."""
    with contextlib.ExitStack() as opened:

        def open_one(url: str) -> RDBStorage:
            storage = open_storage(url)
            opened.callback(storage.engine.dispose)
            return storage

        yield open_one


@pytest.fixture
def make_settings() -> Callable[..., StudySettings]:
    """Settings of a study over the tiny spaces; keyword arguments replace fields, `spaces` and `rungs` the families."""

    def make(
        spaces: dict[str, str] | None = None, rungs: tuple[int, ...] = (100, 300, 900), **fields: object
    ) -> StudySettings:
        ladder = Ladder(examples=rungs, reduction_factor=3)
        families = {
            family: FamilySettings(space_file=f"{family}.toml", space=text, ladder=ladder)
            for family, text in (TINY_SPACES if spaces is None else spaces).items()
        }
        dataset = DatasetSettings(
            name="slice",
            classes=tuple("0123456789"),
            sha256={"train-images": "0" * 64},
            n_train=N_TRAIN,
            n_validation=N_VALIDATION,
            split_seed=0,
            split_sha256="1" * 64,
            mean=0.13,
            std=0.31,
        )
        settings = StudySettings(
            name="tiny",
            created="2026-01-01T00:00:00+00:00",
            seed=7,
            sampler="random",
            pruner="asha",
            dataset=dataset,
            retrain=RetrainSettings(),
            families=families,
            versions={"torch": "2.15.0"},
        )
        return StudySettings.model_validate(settings.model_dump() | fields)

    return make


@pytest.fixture
def training(training_data: TrainingData) -> Work:
    """What a worker does with a job, over a few hundred digits."""
    return functools.partial(train, data=training_data, precision="fp32")
