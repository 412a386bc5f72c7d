"""How a study's winner reads digits that touch, strings of digits and whole sheets, drawn from validation digits.

    python benchmarks/strings.py results/mnist [--run cnn-t9-seed0] [--count 150] [--seed 0]

Pairs are pushed together until they touch; strings of 2 to 8 digits likewise, with gaps between some of them; sheets
are rows that climb or fall a little, in ink of different darkness. A picture counts as right where every digit is read,
in order, whether the answers are given or left open. The network that reads has not been trained on these digits.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from strangers import candidate_predictor, unseen_digits

from study.errors import StudyError
from study.inference.predictor import Predictor
from study.records.paths import StudyFiles

Digits = NDArray[np.uint8]
Rng = np.random.Generator
ZOOM = 3


def enlarged(digit: Digits) -> Digits:
    """The digit's box, three times as large."""
    rows, columns = np.flatnonzero(digit.max(1) > 60), np.flatnonzero(digit.max(0) > 60)
    box = digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    size = (box.shape[1] * ZOOM, box.shape[0] * ZOOM)
    return np.asarray(Image.fromarray(box).resize(size, Image.Resampling.BICUBIC))


def pushed(planes: Digits, right: Digits, rng: Rng, overlap: int) -> Digits:
    """Bright ink, [K, h, w] to [K + 1, H, W]: one digit a plane, the right one moved until `overlap` of its pixels lie
    on the others' ink."""
    left = planes.max(axis=0)
    height = 3 * max(len(left), len(right)) // 2
    width = left.shape[1] + right.shape[1] + 4
    base, top = np.zeros((len(planes) + 1, height, width), np.uint8), (height - len(left)) // 2
    base[:-1, top : top + len(left), : left.shape[1]] = planes
    flat = base.max(axis=0)
    at = (height - len(right)) // 2 + int(rng.integers(-6, 7))
    at = min(max(at, 0), height - len(right))
    for x in range(left.shape[1], left.shape[1] // 3, -1):
        under = flat[at : at + len(right), x : x + right.shape[1]]
        if int(((under > 128) & (right > 128)).sum()) >= overlap:
            break
    base[-1, at : at + len(right), x : x + right.shape[1]] = right
    columns = np.flatnonzero(base.any(axis=(0, 1)))
    return base[:, :, : columns[-1] + 1]


def string(parts: Sequence[Digits], rng: Rng, touching: float) -> Digits:
    """The digits side by side, one a plane: [K, H, W]."""
    made = parts[0][None]
    for part in parts[1:]:
        if rng.random() < touching:
            made = pushed(made, part, rng, int(rng.integers(2, 12)))
        else:
            made = beside(made, part, int(rng.integers(6, 25)))
    return made


def beside(planes: Digits, right: Digits, gap: int) -> Digits:
    height, before = max(planes.shape[1], len(right)), planes.shape[2]

    def tall(plane: Digits) -> Digits:
        spare = height - plane.shape[1]
        return np.pad(plane, ((0, 0), (spare // 2, spare - spare // 2), (0, 0)))

    left = np.pad(tall(planes), ((0, 1), (0, 0), (0, gap + right.shape[1])))
    left[-1:, :, before + gap :] = tall(right[None])
    return left


def on_paper(ink: Digits) -> Digits:
    return np.asarray(245 - np.pad(ink, 25).astype(np.float32) * 0.85, np.uint8)


def sheet(digits: Digits, rows: int, columns: int, rng: Rng) -> Digits:
    pitch = 110
    page = np.zeros((rows * pitch + 60, columns * pitch + 60), np.float32)
    slope = rng.uniform(-0.2, 0.2)
    for i, digit in enumerate(digits):
        part = enlarged(digit) * rng.uniform(0.45, 1.0)
        x = 30 + (i % columns) * pitch + int(rng.integers(0, 20))
        y = 30 + (i // columns) * pitch + int(rng.integers(0, 12)) + int(slope * pitch * (i % columns) / columns)
        y = min(max(y, 0), page.shape[0] - part.shape[0])
        place = page[y : y + part.shape[0], x : x + part.shape[1]]
        place[:] = np.maximum(place, part[:, : place.shape[1]])
    return np.asarray(245 - page * 0.85, np.uint8)


def right(predictor: Predictor, picture: Digits, labels: Sequence[int], segment: bool | None) -> tuple[bool, int, int]:
    """Whether the whole picture is right; answers given, and the wrong ones among them."""
    answers = predictor.predict([picture], segment=segment)
    found = [answer.digit for answer in answers]
    given = [i for i, answer in enumerate(answers) if answer.status == "ok"]
    same = len(found) == len(labels)
    wrong = sum(1 for i in given if not same or found[i] != labels[i])
    return found == list(labels), len(given), wrong


def measure(predictor: Predictor, images: Digits, labels: NDArray[np.int64], count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)

    def chosen(n: int) -> tuple[list[Digits], list[int]]:
        at = rng.integers(0, len(images), n)
        return [enlarged(images[i]) for i in at], labels[at].tolist()

    print(f"{'picture':44} {'right %':>8} {'answers given':>14} {'wrong among them':>17}")
    kinds: list[tuple[str, int, int, float, bool | None]] = [
        ("one digit, --segment", 1, 1, 0.0, True),
        ("two that touch, --segment", 2, 2, 1.0, True),
        ("2 to 6, all touch, --segment", 2, 6, 1.0, True),
        ("3 to 8, all touch, --segment", 3, 8, 1.0, True),
        ("3 to 8, a third touch, --segment", 3, 8, 0.33, True),
        ("3 to 8, a third touch, by itself", 3, 8, 0.33, None),
        ("3 to 8, none touch, by itself", 3, 8, 0.0, None),
    ]
    for name, low, high, touching, segment in kinds:
        scores = []
        for _ in range(count):
            parts, names = chosen(int(rng.integers(low, high + 1)))
            scores.append(right(predictor, on_paper(string(parts, rng, touching).max(axis=0)), names, segment))
        show(name, scores)
    for rows, columns, asked in ((4, 6, None), (10, 10, None), (20, 25, True)):
        at = rng.integers(0, len(images), rows * columns)
        page = sheet(images[at], rows, columns, rng)
        answers = predictor.predict([page], segment=asked)
        found = [answer.digit for answer in answers]
        same = len(found) == len(at)
        good = int((np.array(found) == labels[at]).sum()) if same else 0
        print(f"a sheet of {rows} x {columns}: {len(found)} records, {good} right, last row {answers[-1].row}")


def show(name: str, scores: list[tuple[bool, int, int]]) -> None:
    share = 100 * np.mean([score[0] for score in scores])
    print(f"{name:44} {share:8.1f} {sum(s[1] for s in scores):14} {sum(s[2] for s in scores):17}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder of a study, such as results/mnist")
    parser.add_argument("--run", help="candidate run to read with (default: one of the shipped trial)")
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    try:
        files = StudyFiles(options.study)
        predictor, name = candidate_predictor(files, options.run)
        print(name)
        digits = unseen_digits(files)
        measure(predictor, digits.images.numpy(), digits.labels.numpy(), options.count, options.seed)
    except StudyError as error:
        raise SystemExit(f"strings.py: {error}") from None


if __name__ == "__main__":
    main()
