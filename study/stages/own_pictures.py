"""A study's own copy of a folder of pictures: decoded once, and from then on a folder of IDX files like any other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from study.data.folder import form_of, has_split
from study.data.pictures import copy_as_idx, has_pictures, listing
from study.data.source import Source, Split, absolute
from study.errors import DataError, ResumeError
from study.records.locking import require_free
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
    """Decode a new study's pictures into its folder, in the place of what a command that was killed left there; says
    what was done to them. An error leaves nothing behind. LockedError if another command creates the same study."""
    prepare_results_folder(files.root)
    require_free(files)
    with dropping_copy(files):
        _remove_copy(files)
        return _decode(folder, files.pictures, _SPLITS)


@contextlib.contextmanager
def dropping_copy(files: StudyFiles) -> Iterator[None]:
    """Take back what `make_copy` wrote if an error in the block says that the study does not come to be."""
    try:
        yield
    except BaseException:
        _remove_copy(files)
        for folder in (files.pictures, files.root):
            with contextlib.suppress(OSError):  # for what else lies there
                folder.rmdir()
        raise


def _remove_copy(files: StudyFiles) -> None:
    """The decoded files alone: pictures of the user's may lie there, too."""
    for path in files.pictures.glob("*-ubyte*"):
        path.unlink()


def complete_copy(
    asked: Path | None, recorded: DatasetSettings, files: StudyFiles
) -> tuple[DatasetSettings, list[str]]:
    """Decode again what is lost of the copy, and a test part that was not there before; what the study then knows of
    its pictures, with the folder's listing for what was decoded, and what to say. ResumeError if `asked`, the folder
    that the user names, holds other pictures, DataError if nothing is left of them."""
    assert recorded.decoded is not None
    folder = asked or Path(recorded.decoded.folder)
    there = _listing(folder)
    if asked is not None:
        _check_same(folder, recorded.decoded.listing, there)
    own = Source(recorded.name, files.pictures)
    missing = tuple(split for split in _SPLITS if split in there and not has_split(own, split))
    notes = _decode(folder, files.pictures, missing)
    if not has_split(own, "train"):
        raise DataError(
            f"{files.pictures}, this study's copy of its pictures, is gone, and so are those in {folder}: give their "
            "new place with --data-dir"
        )
    decoded = Decoded(
        folder=absolute(folder) if there else recorded.decoded.folder,
        listing=recorded.decoded.listing | {split: there[split] for split in missing},
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
