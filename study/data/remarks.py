"""What a user should know about a data set before training is paid for, in whole sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from study.data.datasets import Dataset, SplitCounts, load_train, test_counts, test_fingerprints
from study.data.duplicates import Fingerprints, Repeats, count_repeats
from study.data.folder import has_split
from study.data.source import Source
from study.data.tone import is_mixed, light_ground_share
from study.errors import DataError

LEAST_TRAIN, LEAST_TEST = 24, 4  # images with which every stage has something to work on
_NAMED = 5


@dataclass(frozen=True)
class Survey:
    """A data set as `study data` and `study doctor` see it: of the test split, if it is there, only labels are counted
    and pictures compared by digest."""

    dataset: Dataset
    test: SplitCounts | None
    repeats: Repeats

    @property
    def remarks(self) -> list[str]:
        return remarks(self.dataset, self.repeats)


def survey(source: Source) -> Survey:
    """DataError for files that are not what they should be, and for a test file that is the training file."""
    dataset = load_train(source)
    train = Fingerprints.of(dataset.images)
    if source.folder is not None and not has_split(source, "test"):
        return Survey(dataset, None, count_repeats(train))
    test = test_counts(source)
    check_apart(source.name, dataset.sha256 | test.sha256)
    prints = test_fingerprints(replace(source, tone=dataset.tone))
    return Survey(dataset, test, count_repeats(train, prints))


def remarks(dataset: Dataset, repeats: Repeats) -> list[str]:
    """Of a training set and what `repeats` counts; none for a data set without oddities."""
    return [*dataset.notes, *_on_ink(dataset), *_on_classes(dataset), *_on_repeats(repeats)]


def _on_ink(dataset: Dataset) -> list[str]:
    said = []
    if dataset.tone.inverted:
        said.append("the files hold dark ink on light paper: pictures are inverted on loading, in every stage alike")
    if dataset.tone.levels is not None:
        ground, ink = dataset.tone.levels
        said.append(f"the ground is grey: levels {ground} to {ink} are stretched to 0 to 255, as predictions do")
    if is_mixed(dataset.images):
        dark = light_ground_share(dataset.images)
        said.append(
            f"{dark:.0%} of the training images are dark ink on light paper, the others bright on dark: they are used "
            "as they are, while `study predict` makes all ink bright; bring the files into one form"
        )
    return said


def _on_classes(dataset: Dataset) -> list[str]:
    """Classes with a single training image cannot stand on both sides of the split."""
    counts = np.bincount(dataset.labels.numpy(), minlength=len(dataset.classes))
    alone = [f"'{dataset.classes[c]}'" for c in np.flatnonzero(counts == 1)]
    if not alone:
        return []
    named = ", ".join(alone[:_NAMED]) + (f" and {len(alone) - _NAMED} more" if len(alone) > _NAMED else "")
    return [
        f"{'class' if len(alone) == 1 else 'classes'} {named} with 1 training image: trained on, and never validated; "
        "2 images are the least that stand on both sides of the split"
    ]


def _on_repeats(repeats: Repeats) -> list[str]:
    said = []
    if repeats.validation_in_train and repeats.n_validation:
        copies = _share(repeats.validation_in_train, repeats.n_validation, "validation image")
        said.append(f"{copies} also in the part that is trained on, pixel by pixel: validation is flattered")
    if repeats.test_in_train and repeats.n_test:
        copies = _share(repeats.test_in_train, repeats.n_test, "test image")
        said.append(f"{copies} also among the training images, pixel by pixel: the test is flattered")
    blank = {"training": repeats.blank_train, "test": repeats.blank_test}
    if any(blank.values()):
        named = " and ".join(f"{n:,} {part}" for part, n in blank.items() if n)
        said.append(f"blank images, all of one grey level: {named}; they are not counted as repeated")
    return said


def _share(count: int, total: int, what: str) -> str:
    """'12 of 10,000 test images (0.12 %) are'."""
    return f"{count:,} of {total:,} {what}s ({100 * count / total:.3g} %) {'is' if count == 1 else 'are'}"


def check_sizes(name: str, *, n_train: int = LEAST_TRAIN, n_test: int = LEAST_TEST) -> None:
    """DataError for splits with which no stage could do anything."""
    for count, least, part in ((n_train, LEAST_TRAIN, "training"), (n_test, LEAST_TEST, "test")):
        if count < least:
            raise DataError(f"data set {name}: {count} {part} images, expected at least {least}; add some to the files")


def check_apart(name: str, sha256: Mapping[str, str]) -> None:
    """DataError where the test images are the training images' very file."""
    if "test-images" in sha256 and sha256["test-images"] == sha256.get("train-images"):
        raise DataError(
            f"data set {name}: the training and the test images are the same file, sha256 {sha256['test-images']}; "
            "expected other images to test on: restore the right file"
        )
