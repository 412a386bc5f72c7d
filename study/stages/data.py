"""The data of a study: found where it is now, verified against what was recorded, split as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from study.data.datasets import (
    Dataset,
    load_train,
    pixel_statistics,
    split_as_before,
    split_of,
    split_sha256,
    test_counts,
    test_fingerprints,
)
from study.data.duplicates import Fingerprints, count_repeats
from study.data.folder import find_file, has_split
from study.data.remarks import check_apart, check_sizes, remarks
from study.data.source import Source, absolute
from study.data.tone import AS_IT_IS, tone_of
from study.errors import DataError, ResumeError
from study.models.contrast import is_lit
from study.records.files import read_json, write_json, write_with
from study.records.paths import StudyFiles
from study.records.settings import DatasetSettings, StudySettings, change_settings, load_settings
from study.stages.own_pictures import (
    complete_copy,
    dropping_copy,
    has_own_form,
    is_folder_of_pictures,
    make_copy,
    origin_of,
)
from study.stages.request import Request
from study.training.loop import TrainingData

Indices = NDArray[np.int64]
_OF_SPLIT = ("split_seed", "split_sha256", "sixth")  # of the search that found what is shipped
_SAMPLES = 10  # pictures of a class in the report
_ADD_TEST = "add test/<digit>/*.png to the pictures, or x_test and y_test to the .npz, to have one"
_OLD_TONE = (
    "this study reads its files' dark ink or grey ground as it is, as versions did that made it; `study predict` makes "
    "ink bright on black and will leave answers open: a new study with another --name reads both alike"
)


def load_data(
    request: Request, stored: StudySettings | None, *, keeps: bool = True
) -> tuple[TrainingData, DatasetSettings, list[str]]:
    """The training data, its description, and what the user should know before anything is trained.

    Of a `stored` study the description keeps name, classes and form, and learns where the files are now; seed and hash
    of the split are those of this request, to be compared. A folder of pictures is decoded into the study's folder,
    unless nothing is to be kept. DataError for files that are missing, too small or not those that were recorded,
    ResumeError for another data set.
    """
    if stored is not None:
        return _again(request, stored.dataset, keeps=keeps)
    source = Source.asked(request.dataset, request.data_dir)
    if source.folder is None or not is_folder_of_pictures(source):
        return _first(request, source, goes_without_test=has_own_form(source))
    if not keeps:
        training, described, notes = _first(request, source, goes_without_test=True)
        return training, described.model_copy(update={"decoded": origin_of(source.folder)}), notes
    decoded, done = origin_of(source.folder), make_copy(source.folder, request.files)
    with dropping_copy(request.files):
        copy = replace(source, folder=request.files.pictures)
        training, described, notes = _first(request, copy, goes_without_test=True)
    return training, described.model_copy(update={"decoded": decoded}), [*done, *notes]


def _first(
    request: Request, source: Source, *, goes_without_test: bool
) -> tuple[TrainingData, DatasetSettings, list[str]]:
    dataset = load_train(source)
    check_sizes(source.name, n_train=len(dataset))
    source = replace(source, tone=dataset.tone, sha256=dataset.sha256)
    test, n_test = _test_files(request, source, goes_without_test=goes_without_test)
    train, validation = split_of(dataset, request.split_seed or 0)
    prints = Fingerprints.of(dataset.images), test_fingerprints(source) if test else None
    repeats = count_repeats(*prints, (train, validation))
    training = _training(dataset, train, validation)
    described = DatasetSettings(
        name=source.name,
        data_dir=_place(source),
        transposed=source.transposed,
        inverted=dataset.tone.inverted,
        levels=dataset.tone.levels,
        classes=dataset.classes,
        sha256=dataset.sha256 | test,
        n_train=len(train),
        n_validation=len(validation),
        n_test=n_test,
        validation_in_train=repeats.validation_in_train,
        split_seed=request.split_seed or 0,
        split_sha256=split_sha256(validation),
        mean=training.mean,
        std=training.std,
        on_black=not is_lit(dataset.images.unsqueeze(1)).any(),
    )
    return training, described, [*remarks(dataset, repeats), *_on_test(request, test)]


def _on_test(request: Request, test: Mapping[str, str]) -> list[str]:
    if test or not request.opens_test:
        return []
    return [f"there is no test part, so this is a validation-only study, as with --no-evaluate: {_ADD_TEST}"]


def _again(
    request: Request, recorded: DatasetSettings, *, keeps: bool
) -> tuple[TrainingData, DatasetSettings, list[str]]:
    done: list[str] = []
    own = recorded.decoded is not None and _means_own_copy(request)
    if own and keeps:
        recorded, done = complete_copy(request.data_dir, recorded, request.files)
    if own:
        request = replace(request, data_dir=None)
    source = _source_of(request, recorded)
    dataset = load_train(source)
    test, n_test = _test_files(request, source, goes_without_test=own or has_own_form(source))
    seed = recorded.split_seed if request.split_seed is None else request.split_seed
    train, validation = split_as_before(dataset, seed, recorded.split_sha256)
    changes = {
        "data_dir": _place(source),
        "decoded": recorded.decoded if own else None,
        "transposed": source.transposed,
        "sha256": recorded.sha256 | test,
        "n_test": recorded.n_test if n_test is None else n_test,
        "split_seed": seed,
        "split_sha256": split_sha256(validation),
    }
    notes = [*done, *_on_test(request, recorded.sha256 | test)]
    notes += [] if tone_of(dataset.images) == AS_IT_IS else [_OLD_TONE]
    return _training(dataset, train, validation), recorded.model_copy(update=changes), notes


def _means_own_copy(request: Request) -> bool:
    """Whether the study's copy of its pictures is to be read, and not a folder of IDX files that is named."""
    return request.data_dir is None or is_folder_of_pictures(Source.asked(None, request.data_dir))


def _training(dataset: Dataset, train: Indices, validation: Indices) -> TrainingData:
    mean, std = pixel_statistics(dataset.images.numpy()[train])
    if not std > 0:
        raise DataError(f"{dataset.name}: all pixels of the training part are alike, expected ink on another ground")
    parts = torch.from_numpy(train), torch.from_numpy(validation)
    groups = None if dataset.groups is None else torch.from_numpy(dataset.groups)
    return TrainingData(dataset.images, dataset.labels, *parts, mean, std, len(dataset.classes), groups)


def _place(source: Source) -> str | None:
    return None if source.folder is None else absolute(source.folder)


def _source_of(request: Request, recorded: DatasetSettings) -> Source:
    """The study's data set where this request says that it is, or where it was. What counts is that the files are the
    same, not what they or their folder are called."""
    source = Source.recorded(recorded, request.data_dir)
    if request.dataset in (None, recorded.name):
        return source
    asked = Source.asked(request.dataset, request.data_dir)
    if asked.folder is None or asked.transposed != source.transposed:
        raise ResumeError(
            f"this study was created with --dataset {recorded.name}, seen {request.dataset}: "
            "continue it with the same, or start another with --name"
        )
    return replace(source, known=asked.known)


def _test_files(request: Request, source: Source, *, goes_without_test: bool) -> tuple[dict[str, str], int | None]:
    """Digests of the test files and how many images they hold, looked at when first seen and in a new place. They may
    be absent as long as this command does not open the test split, or leaves that out where pictures
    `goes_without_test`."""
    seen = {"test-images", "test-labels"} <= source.sha256.keys()
    if source.folder is not None and not has_split(source, "test"):
        if request.opens_test and not goes_without_test:
            raise _without_test(source)
        if request.opens_test and not request.goes_without_test:
            raise DataError(f"data set {source.name} has no test part: {_ADD_TEST}")
        return {}, None
    if seen and request.data_dir is None:
        return {}, None
    test = test_counts(source)
    if not seen:
        check_sizes(source.name, n_test=sum(test.counts))
        check_apart(source.name, {**source.sha256, **test.sha256})
    return test.sha256, sum(test.counts)


def _without_test(source: Source) -> DataError:
    try:
        find_file(source, "test-images")
        find_file(source, "test-labels")
    except DataError as error:
        return DataError(f"{error}, or leave the test split out with --no-evaluate")
    raise AssertionError(source)


def keep_place(settings: StudySettings, files: StudyFiles) -> None:
    """Write what a study learned of its data: a new place, and digests of test files that were not there before. The
    model that it shipped learns the place, too."""
    if not files.exists() or load_settings(files.settings).dataset == settings.dataset:
        return
    change_settings(files.settings, dataset=settings.dataset)
    described = files.model / "model.json"
    if described.is_file():
        model = read_json(described)
        known = model.get("dataset") or {}
        model["dataset"] = settings.dataset.for_model() | {key: known[key] for key in _OF_SPLIT if key in known}
        write_json(described, model)


def write_samples(files: StudyFiles, data: TrainingData) -> None:
    """A few training pictures of each class, [C, 10, 28, 28], black where a class has fewer, and the class counts, for
    the report."""
    images, labels, train = data.images.numpy(), data.labels.numpy(), data.train.numpy()
    shown = np.zeros((data.n_classes, _SAMPLES, *images.shape[1:]), np.uint8)
    for label, row in enumerate(shown):
        chosen = images[train[labels[train] == label][:_SAMPLES]]
        row[: len(chosen)] = chosen
    train_counts = np.bincount(labels[train], minlength=data.n_classes)
    validation_counts = np.bincount(labels[data.validation.numpy()], minlength=data.n_classes)

    def write(part: Path) -> None:
        with part.open("wb") as stream:
            np.savez_compressed(stream, images=shown, train_counts=train_counts, validation_counts=validation_counts)

    write_with(files.samples, write)
