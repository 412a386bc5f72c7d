"""torchvision's data sets: downloaded into a cache when they are not there."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import torch

from study.data import idx
from study.data.groups import checked_groups
from study.data.raw import RawSplit, content_sha256
from study.data.source import Source, Split
from study.errors import DataError

DIGITS = tuple("0123456789")
_FAULTS = (OSError, RuntimeError, ValueError, EOFError, AssertionError, IndexError)


def cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "digit-study"
    except RuntimeError:  # a user without a name and a home, as in many containers
        raise DataError(
            "there is no home folder to keep downloaded data sets in: set XDG_CACHE_HOME to a folder that can be "
            "written, or name a folder with the files with --data-dir"
        ) from None


def class_names(source: Source) -> tuple[str, ...] | None:
    """Those that torchvision has for a known data set; None if they are the labels."""
    if source.known is None or not source.known.named_classes:
        return None
    import torchvision.datasets as sets

    return tuple(getattr(sets, source.known.class_name).classes)


def download(source: Source, split: Split) -> RawSplit:
    """DataError with the way out where it cannot be had, or is not what was recorded."""
    try:
        raw = _from_torchvision(source, split, cache_dir(), download=True)
    except _FAULTS as error:
        raise DataError(
            f"data set {source.name} cannot be had in {cache_dir()} ({_cause(error)}); go online, or name a folder "
            f"with its files: --dataset {source.name} --data-dir DIR"
        ) from None
    for role, digest in raw.sha256.items():
        if source.sha256.get(role, digest) != digest:
            raise DataError(
                f"data set {source.name}: sha256 of {role} is {digest}, recorded was {source.sha256[role]}; remove "
                f"{cache_dir()} to download it again"
            )
    return raw


def read_usps(source: Source, split: Split, path: Path) -> RawSplit:
    """The split in USPS's own file, `usps.bz2` or `usps.t.bz2`, at `path`."""
    try:
        raw = _from_torchvision(source, split, path.parent, download=False)
    except _FAULTS as error:
        reason = f"cannot be read as USPS's file ({_cause(error)})"
        raise DataError(f"{path}: {reason}; restore it from its source") from None
    return raw


def _cause(error: Exception) -> str:
    return str(error).splitlines()[0][:160] if str(error) else type(error).__name__


def _from_torchvision(source: Source, split: Split, root: Path, *, download: bool) -> RawSplit:
    import torchvision.datasets as sets

    assert source.known is not None
    # QMNIST has its own word for a split; train=False would give the first sixth of its test split only.
    part = "test50k" if split == "test" and source.known.skipped else split
    which = {"what": part} if source.known.class_name == "QMNIST" else {"train": split == "train"}
    with contextlib.redirect_stdout(sys.stderr):
        data = getattr(sets, source.known.class_name)(str(root), download=download, **source.known.arguments, **which)
    return _checked(source, split, data)


def _checked(source: Source, split: Split, data: Any) -> RawSplit:
    images = torch.as_tensor(data.data).to(torch.uint8)  # [N, H, W]
    targets = torch.as_tensor(data.targets).to(torch.int64)
    labels = targets[:, 0].contiguous() if targets.ndim == 2 else targets  # QMNIST's table
    groups = checked_groups(targets[:, idx.WRITER].numpy(), source.name) if _has_writers(targets) else None
    classes = class_names(source) or DIGITS
    if len(images) != len(labels) or not 0 <= int(labels.min()) <= int(labels.max()) < len(classes):
        raise DataError(
            f"data set {source.name}: {len(images)} images, {len(labels)} labels from {int(labels.min())} to "
            f"{int(labels.max())}; expected equal counts and labels 0 to {len(classes) - 1}; remove {cache_dir()}"
        )
    upright = images.transpose(1, 2).contiguous() if source.transposed else images
    digests = {f"{split}-images": content_sha256(upright), f"{split}-labels": content_sha256(labels.to(torch.uint8))}
    return RawSplit(upright, labels, classes, digests, groups)


def _has_writers(targets: torch.Tensor) -> bool:
    return targets.ndim == 2 and targets.shape[1] > idx.WRITER
