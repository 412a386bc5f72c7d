"""A study's own copy of a folder of pictures: decoded once, and from then on a folder of IDX files like any other."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from study.data.folder import form_of, has_split
from study.data.pictures import copy_as_idx, has_pictures, listing
from study.data.source import Source, Split, absolute
from study.errors import DataError, ResumeError
from study.records.paths import StudyFiles, prepare_results_folder
from study.records.settings import DatasetSettings, Decoded

_SPLITS: tuple[Split, ...] = ("train", "test")


def has_own_form(source: Source) -> bool:
    """Whether a user's own pictures or arrays are meant, which may lack a test part."""
    return source.folder is not None and form_of(source) != "idx"


def is_folder_of_pictures(source: Source) -> bool:
    return source.folder is not None and form_of(source) == "pictures"


def origin_of(folder: Path) -> Decoded:
    return Decoded(folder=absolute(folder), listing=_listing(folder))


def make_copy(folder: Path, files: StudyFiles) -> list[str]:
    """Decode a new study's pictures into its folder; says what was done to them. An error leaves nothing behind."""
    prepare_results_folder(files.root)
    try:
        return _decode(folder, files.pictures, _SPLITS)
    except BaseException:
        drop_copy(files)
        raise


def drop_copy(files: StudyFiles) -> None:
    """Take back what `make_copy` wrote for a study that did not come to be."""
    shutil.rmtree(files.pictures, ignore_errors=True)
    if not any(files.root.iterdir()):
        files.root.rmdir()


def complete_copy(
    asked: Path | None, recorded: DatasetSettings, files: StudyFiles
) -> tuple[DatasetSettings, list[str]]:
    """Decode again what is lost of the copy, and a test part that was not there before; what the study then knows of
    its pictures, and what to say. ResumeError if `asked`, the folder that the user names, holds other pictures,
    DataError if nothing is left of them."""
    assert recorded.decoded is not None
    folder = asked or Path(recorded.decoded.folder)
    there = _listing(folder)
    if asked is not None:
        _check_same(folder, recorded.decoded.listing, there)
    own = Source(recorded.name, files.pictures)
    missing = tuple(split for split in _SPLITS if not has_split(own, split))
    notes = _decode(folder, files.pictures, tuple(split for split in missing if split in there))
    if not has_split(own, "train"):
        raise DataError(
            f"{files.pictures}, this study's copy of its pictures, is gone, and so are those in {folder}: give their "
            "new place with --data-dir"
        )
    decoded = Decoded(
        folder=absolute(folder) if there else recorded.decoded.folder, listing=recorded.decoded.listing | there
    )
    return recorded.model_copy(update={"decoded": decoded}), notes


def _decode(folder: Path, place: Path, splits: tuple[Split, ...]) -> list[str]:
    return [note for split in splits if has_pictures(folder, split) for note in copy_as_idx(folder, split, place)]


def _listing(folder: Path) -> dict[str, str]:
    return {split: listing(folder, split) for split in _SPLITS if has_pictures(folder, split)}


def _check_same(folder: Path, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    for split, digest in before.items():
        if now.get(split, digest) != digest or (split == "train" and split not in now):
            raise ResumeError(
                f"{folder / split}: not the pictures that this study was created with: leave out --data-dir to go on "
                "with its own copy of those, or start another with --name"
            )
