"""Which images belong together, as those of one writer do: read from a file, kept on one side of a split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from study.errors import DataError

Indices = NDArray[np.int64]
_LONGEST = 24  # characters of a line that an error shows


def read_groups(path: Path, images: int) -> Indices:
    """The group of each image, int64 [images], from a text file with one integer a line. DataError for another count,
    for a line that is no integer, and for a single group."""
    try:
        lines = path.read_text(encoding="ascii").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); expected one integer a line") from None
    if lines[-1] == "":
        lines.pop()
    if len(lines) != images:
        raise DataError(f"{path}: {len(lines)} lines for {images} images; expected one integer a line, one an image")
    return checked_groups([_integer(path, number, line) for number, line in enumerate(lines, 1)], path)


def _integer(path: Path, number: int, line: str) -> int:
    try:
        value = int(line)
    except ValueError:
        value = 1 << 63
    if not -(1 << 63) <= value < 1 << 63:
        raise DataError(f"{path} line {number}: {line[:_LONGEST]!r}, expected an integer: the image's group")
    return value


def checked_groups(names: list[int] | NDArray[np.integer], place: Path | str) -> Indices:
    """As int64 [N]. DataError for one group alone."""
    groups = np.asarray(names, dtype=np.int64)
    if len(np.unique(groups)) < 2:
        raise DataError(
            f"{place}: every image is in one group; expected at least two, as intervals are clustered by them"
        )
    return groups


def order_of(seed: int, sixth: int) -> tuple[np.random.Generator, int]:
    """What permutes the images of a split whose validation part is that sixth, counted from 0, and which of the six it
    is in that order."""
    order, turn = divmod(sixth, 6)
    return np.random.default_rng(np.random.SeedSequence((seed, order) if order else seed)), turn


def split_by_groups(
    labels: NDArray[np.int64], groups: Indices, seed: int, fraction: float, sixth: int = 0
) -> tuple[Indices, Indices]:
    """(train, validation) indices, each sorted: about `fraction` of the examples of each class, no group on both sides.
    The same for the same arguments. DataError where the groups are too few, or too large, for that.

    Groups are taken for validation in random order as long as each brings the counts of the classes nearer to their
    shares and leaves an example of each class to train on. For the next sixth those that were taken stand last.
    """
    names, of = np.unique(groups, return_inverse=True)
    classes, class_of = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(names), len(classes)))
    np.add.at(counts, (of, class_of), 1)
    rng, turn = order_of(seed, sixth)
    order = rng.permutation(len(names))
    for _ in range(turn):
        taken = _taken(counts, order, fraction)
        order = np.concatenate([order[~taken[order]], order[taken[order]]])
    taken = _taken(counts, order, fraction)
    if not taken.any():
        raise DataError(f"{len(names)} groups of training images are too few, or too large, to hold out {fraction:.0%}")
    return np.flatnonzero(~taken[of]), np.flatnonzero(taken[of])


def _taken(counts: NDArray[np.float64], order: Indices, fraction: float) -> NDArray[np.bool_]:
    """Which groups validate, of which `counts` [G, C] has the examples by class, looked at in this order."""
    total = counts.sum(axis=0)
    wanting, taken = total * fraction, np.zeros(len(counts), dtype=bool)
    for group in order:
        nearer = ((wanting - counts[group]) ** 2).sum() < (wanting**2).sum()
        if nearer and (counts[taken].sum(axis=0) + counts[group] < total).all():
            taken[group] = True
            wanting -= counts[group]
    return taken
