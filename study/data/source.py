"""Which data set is meant: its name, where its files lie, and how its pictures are to be turned."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from study.data.tone import Tone
from study.errors import DataError, UsageError
from study.records.naming import default_name
from study.records.settings import DataPlace, DatasetSettings

Split = Literal["train", "test"]


@dataclass(frozen=True)
class KnownSet:
    """A published data set: torchvision's class and arguments, how its file names begin, whether its pictures are
    stored with rows and columns exchanged, whether torchvision has names for its classes, and how many images at the
    beginning of its test files are left out."""

    class_name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    prefix: str = ""
    transposed: bool = False
    named_classes: bool = False
    skipped: int = 0


# What torchvision downloads; MNIST itself comes with the program.
DATASETS: dict[str, KnownSet] = {
    "mnist": KnownSet("MNIST"),
    "fashion-mnist": KnownSet("FashionMNIST", named_classes=True),
    "kmnist": KnownSet("KMNIST", named_classes=True),
    "qmnist": KnownSet("QMNIST", prefix="qmnist-"),
    # Without the first 10,000 of its 60,000 test images, which are MNIST's and were looked at by many.
    "qmnist-50k": KnownSet("QMNIST", prefix="qmnist-", skipped=10_000),
    "emnist-digits": KnownSet("EMNIST", {"split": "digits"}, "emnist-digits-", transposed=True),
    "usps": KnownSet("USPS"),
}
# Those of EMNIST that are read from a folder only: letters, and letters with digits.
_EMNIST = {
    f"emnist-{split}": KnownSet("EMNIST", {"split": split}, f"emnist-{split}-", transposed=True)
    for split in ("balanced", "byclass", "bymerge", "letters", "mnist")
}
KNOWN = DATASETS | _EMNIST


@dataclass(frozen=True)
class Source:
    """A data set to read. `folder` is None for one that is bundled or downloaded; `known` is the published set whose
    file names, orientation and class names apply. What is None is found out on reading: `tone` from the
    training images; `classes` from the files. `sha256` by role is enforced."""

    name: str
    folder: Path | None = None
    known: KnownSet | None = None
    transposed: bool = False
    tone: Tone | None = None
    classes: tuple[str, ...] | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def asked(cls, dataset: str | None, folder: Path | None = None) -> Source:
        """What `--dataset` and `--data-dir` mean. A folder's own name says nothing about what its files are.

        UsageError for the name of no known data set without a folder.
        """
        if dataset is None and folder is not None:
            return cls(default_name(None, folder), folder)
        name = dataset or "mnist"
        if folder is None and name not in DATASETS:
            raise UsageError(
                f"data set {name!r:.80} is unknown: expected one of {', '.join(DATASETS)}, or a folder of IDX files, "
                "of pictures, or a .npz with --data-dir"
            )
        known = KNOWN.get(name)
        return cls(name, folder, known, transposed=known is not None and known.transposed)

    @classmethod
    def recorded(cls, dataset: DataPlace, folder: Path | None = None) -> Source:
        """The data set of a study or a model, in `folder` if that is where its files are now.

        DataError if the folder is gone.
        """
        place = folder or (None if dataset.data_dir is None else Path(dataset.data_dir))
        if folder is None and place is not None and not place.exists():
            raise DataError(
                f"{place}, the folder with data set {dataset.name}, does not exist: give its new place with --data-dir"
            )
        return cls(
            dataset.name,
            place,
            KNOWN.get(dataset.name),
            dataset.was_transposed,
            Tone(dataset.inverted, dataset.levels),
            dataset.classes if isinstance(dataset, DatasetSettings) else None,
            dataset.sha256,
        )

    def enforcing(self, sha256: Mapping[str, str] | None) -> Source:
        return self if sha256 is None else replace(self, sha256=sha256)


def absolute(folder: Path) -> str:
    """Where the folder lies, with symbolic links as they are: where they point may change."""
    return os.path.abspath(folder)  # noqa: PTH100 (resolve() would follow them)
