"""The data of a study: found where it is now, verified against what was recorded, split as it was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from study.config import DatasetSettings, StudySettings, load_settings, save_settings
from study.data.datasets import load_train, pixel_statistics, split_sha256, stratified_split, test_counts
from study.data.folder import find_file, has_split
from study.data.source import Source, absolute
from study.errors import DataError, ResumeError
from study.request import Request
from study.results import StudyFiles, read_json, write_json
from study.training.loop import TrainingData


def load_data(request: Request, stored: StudySettings | None) -> tuple[TrainingData, DatasetSettings]:
    """The training data and its description. Of a `stored` study the description keeps name, classes and form, and
    learns where the files are now; seed and hash of the split are those of this request, to be compared.

    DataError for files that are missing or not those that were recorded, ResumeError for another data set.
    """
    if stored is None:
        source = Source.asked(request.dataset, request.data_dir)
        dataset = load_train(source)
        described: dict[str, Any] = {"name": source.name, "classes": dataset.classes, "inverted": dataset.inverted}
        sha256, split_seed = dataset.sha256, 0
    else:
        source = _source_of(request, stored.dataset)
        dataset = load_train(source)
        described, sha256, split_seed = stored.dataset.model_dump(), stored.dataset.sha256, stored.dataset.split_seed
    seed = split_seed if request.split_seed is None else request.split_seed
    train, validation = stratified_split(dataset.labels, seed)
    mean, std = pixel_statistics(dataset.images.numpy()[train])
    described |= {
        "data_dir": None if source.folder is None else absolute(source.folder),
        "transposed": source.transposed,
        "sha256": {**sha256, **_test_sha256(request, source, sha256)},
        "n_train": len(train),
        "n_validation": len(validation),
        "split_seed": seed,
        "split_sha256": split_sha256(validation),
        "mean": mean,
        "std": std,
    }
    indices = torch.from_numpy(train), torch.from_numpy(validation)
    training = TrainingData(dataset.images, dataset.labels, *indices, mean, std, len(dataset.classes))
    return training, DatasetSettings.model_validate(described)


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


def _test_sha256(request: Request, source: Source, recorded: dict[str, str]) -> dict[str, str]:
    """Digests of the test files, looked at when first seen and in a new place. They may be absent as long as this
    command does not open the test split."""
    seen = {"test-images", "test-labels"} <= recorded.keys()
    if source.folder is not None and not has_split(source, "test"):
        if request.opens_test:
            raise _without_test(source)
        return {}
    if seen and request.data_dir is None:
        return {}
    return test_counts(source).sha256


def _without_test(source: Source) -> DataError:
    try:
        find_file(source, "test-images")
        find_file(source, "test-labels")
    except DataError as error:
        return DataError(f"{error}, or leave the test split out: `study run --no-evaluate`")
    raise AssertionError(source)


def keep_place(settings: StudySettings, files: StudyFiles) -> None:
    """Write what a study learned of its data: a new place, and digests of test files that were not there before. The
    model that it shipped learns the place, too."""
    if not files.exists() or load_settings(files.settings).dataset == settings.dataset:
        return
    save_settings(settings, files.settings)
    described = files.model / "model.json"
    if described.is_file():
        write_json(described, read_json(described) | {"dataset": settings.dataset.for_model()})
