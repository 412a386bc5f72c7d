"""The weights of `study/inference/cutting.py`, learnt anew on digits that touch, drawn from validation digits.

    python benchmarks/cutting_weights.py results/mnist [--run cnn-t9-seed0] [--pairs 350] [--unlike 110]
        [--strings 90] [--singles 200] [--seed 0] [--check 150]

Each drawing knows which ink is whose, so it is known which pieces are right: those that are read as the digit and share
at least half of its and their ink. The weights are those of a conditional random field over the cuts: they maximise the
likelihood of all rows of right pieces among all ways to part the ink. They are learnt on drawings of every second
validation digit and checked on drawings of the others. What the program has was learnt by an earlier form of this
script on other drawings. Some ten minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import minimize
from strangers import candidate_predictor, unseen_digits
from strings import Digits, Rng, enlarged, on_paper, pushed, string

from study.data.opening import open_gray
from study.errors import StudyError
from study.inference.cutting import WEIGHTS, Floats, Ints, Ways, likeliest_way, sum_of_ways, ways_to_cut
from study.inference.fitting import Mask
from study.inference.grouping import Part
from study.inference.predictor import Predictor
from study.inference.preprocess import look_at
from study.records.paths import StudyFiles

MARGIN = 25  # pixels of `on_paper` around the ink
RIGHT = 0.5  # of a piece's and a digit's ink together that they share
RIDGE = 1e-4  # of the squared weights


@dataclass(frozen=True)
class Lesson:
    """A part of a drawing: its `ways`, None where it is too narrow to be cut, and its `digits` from left to right, with
    the pieces that are `right` for each, [N, K]."""

    ways: Ways | None
    digits: tuple[int, ...]
    right: Mask

    @property
    def rows(self) -> tuple[Ints, Ints, int]:
        """Of right pieces, the first for the first digit and so on: the ways of a larger graph, whose nodes are a cut
        after a number of digits. Edges [M, 2], which piece each is [M], and the last node."""
        assert self.ways is not None
        nodes = self.ways.last + 1
        number, piece = np.nonzero(self.right.T)
        edges = self.ways.edges[piece] + nodes * np.stack([number, number + 1], axis=1)
        return edges, piece, nodes * len(self.digits) + self.ways.last


def pair_of_unlike_sizes(digits: Sequence[Digits], rng: Rng) -> Digits:
    zoom = rng.uniform(0.5, 4 / 3)
    sizes = rng.uniform(0.85, 1.2, 2) * zoom
    left, right = (_scaled(digit, size) for digit, size in zip(digits, sizes, strict=True))
    return pushed(left[None], right, rng, int(rng.integers(2, round(45 * zoom**2))))


def _scaled(ink: Digits, factor: float) -> Digits:
    size = (max(3, round(ink.shape[1] * factor)), max(8, round(ink.shape[0] * factor)))
    return np.asarray(Image.fromarray(ink).resize(size, Image.Resampling.BICUBIC))


def drawings(images: Digits, labels: Ints, kind: str, count: int, rng: Rng) -> Iterator[tuple[Digits, list[int]]]:
    """Planes of bright ink [K, H, W], a digit each, and what they show."""
    low, high = {"pair": (2, 2), "unlike": (2, 2), "string": (2, 6), "single": (1, 1)}[kind]
    for _ in range(count):
        chosen = rng.integers(0, len(images), int(rng.integers(low, high + 1)))
        digits = [enlarged(images[i]) for i in chosen]
        planes = pair_of_unlike_sizes(digits, rng) if kind == "unlike" else string(digits, rng, 1.0)
        yield planes, labels[chosen].tolist()


def lessons_of(predictor: Predictor, planes: Digits, shown: Sequence[int]) -> list[Lesson]:
    """One for each part that is found in the drawing."""
    look = look_at(open_gray(on_paper(planes.max(axis=0))))
    padded = np.pad(planes, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)))
    size = look.opened.gray.shape[::-1]
    inks = np.stack([np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BOX)) > 100 for plane in padded])
    found = []
    for part in look.parts:
        left, top, right, bottom = part.box
        own = inks[:, top:bottom, left:right] & part.mask
        here = np.flatnonzero(own.sum(axis=(1, 2)) > 0.5 * inks.sum(axis=(1, 2)))
        ways = ways_to_cut(part, look.ink[top:bottom, left:right], predictor.read_pieces)
        digits = tuple(shown[int(i)] for i in here)
        found.append(Lesson(ways, digits, _right(ways, part, own[here], digits)))
    return found


def _right(ways: Ways | None, part: Part, inks: Mask, digits: Sequence[int]) -> Mask:
    if ways is None:
        return np.zeros((0, len(digits)), bool)
    shared = np.zeros((len(ways.parts), len(digits)))
    for i, piece in enumerate(ways.parts):
        left, top = piece.box[0] - part.box[0], piece.box[1] - part.box[1]
        own = inks[:, top : top + piece.height, left : left + piece.width] & piece.mask
        both = own.sum(axis=(1, 2))
        shared[i] = both / (piece.mask.sum() + inks.sum(axis=(1, 2)) - both)
    return np.asarray((shared >= RIGHT) & (ways.digits[:, None] == np.array(digits)))


def learnt(lessons: Sequence[Lesson]) -> Floats:
    """The likeliest weights, from lessons that can be read rightly at all."""
    taught = [(one.ways, one.rows) for one in lessons if one.ways is not None and one.digits]
    taught = [(ways, rows) for ways, rows in taught if np.isfinite(_sum(rows, np.zeros(len(ways.edges)))[0])]
    print(f"learnt on {len(taught)} of {len(lessons)} parts")

    def loss(weights: Floats) -> tuple[float, Floats]:
        value, slope = RIDGE * float(weights @ weights), 2 * RIDGE * weights
        for ways, rows in taught:
            scores = ways.looks @ weights
            of_all, all_pieces = sum_of_ways(ways.edges, scores, ways.last)
            of_right, right_pieces = _sum(rows, scores)
            value += (of_all - of_right) / len(taught)
            slope = slope + (ways.looks.T @ all_pieces - ways.looks[rows[1]].T @ right_pieces) / len(taught)
        return value, slope

    start = np.zeros(len(WEIGHTS))
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 60}).x)


def _sum(rows: tuple[Ints, Ints, int], scores: Floats) -> tuple[float, Floats]:
    edges, piece, last = rows
    return sum_of_ways(edges, scores[piece], last)


def is_read(lesson: Lesson, weights: Floats) -> bool:
    if lesson.ways is None:
        return len(lesson.digits) == 1
    best = likeliest_way(lesson.ways.edges, lesson.ways.looks @ weights, lesson.ways.last)
    return tuple(lesson.ways.digits[list(best)].tolist()) == lesson.digits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder of a study, such as results/mnist")
    parser.add_argument("--run", help="candidate run to read with (default: one of the shipped trial)")
    parser.add_argument("--pairs", type=int, default=350)
    parser.add_argument("--unlike", type=int, default=110, help="pairs of unlike sizes")
    parser.add_argument("--strings", type=int, default=90)
    parser.add_argument("--singles", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", type=int, default=150, help="drawings of each kind to check on")
    options = parser.parse_args()
    try:
        predictor, name = candidate_predictor(StudyFiles(options.study), options.run)
        digits = unseen_digits(StudyFiles(options.study))
    except StudyError as error:
        raise SystemExit(f"cutting_weights.py: {error}") from None
    images, labels = digits.images.numpy(), digits.labels.numpy()
    counts = {"pair": options.pairs, "unlike": options.unlike, "string": options.strings, "single": options.singles}
    print(name)
    rng = np.random.default_rng(options.seed)
    lessons = [
        lesson
        for kind, count in counts.items()
        for drawing in drawings(images[::2], labels[::2], kind, count, rng)
        for lesson in lessons_of(predictor, *drawing)
    ]
    weights = learnt(lessons)
    print("WEIGHTS =", np.round(weights, 2).tolist())
    check(predictor, images[1::2], labels[1::2], options, weights)


def check(
    predictor: Predictor, images: Digits, labels: NDArray[np.int64], options: argparse.Namespace, weights: Floats
) -> None:
    rng = np.random.default_rng((options.seed, 1))
    print(f"{'drawings of other digits':26} {'right, %':>9} {'with the program’s weights, %':>31}")
    for kind in ("pair", "unlike", "string", "single"):
        drawn = [lessons_of(predictor, *one) for one in drawings(images, labels, kind, options.check, rng)]
        shares = [100 * np.mean([all(is_read(one, w) for one in own) for own in drawn]) for w in (weights, WEIGHTS)]
        print(f"{kind:26} {shares[0]:9.1f} {shares[1]:31.1f}", flush=True)


if __name__ == "__main__":
    main()
