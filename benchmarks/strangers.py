"""How a study's winner reads strangers' pictures, by kind, and what it refuses. About two minutes on one core.

    python benchmarks/strangers.py results/mnist [--run cnn-t9-seed0] [--per-kind 100] [--seed 0]

Digits are validation images. The model shipped in `model/` has trained on them, so by default its place is taken by the
candidate run of the same trial, which has not; temperature, threshold and all else come from `model/`. The drawing is
that of tests/inference/strangers.py and nondigits.py, so it runs from a checkout.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from study.config import load_settings
from study.data.datasets import load_train, stratified_split
from study.evaluation.test_set import load_run, read_meta
from study.inference.bundle import load_bundle
from study.inference.predictor import Prediction, Predictor
from study.results import StudyFiles, done_runs

DRAWINGS = Path(__file__).resolve().parent.parent / "tests" / "inference"
BLURS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)


def drawing(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DRAWINGS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def candidate_of_shipped(files: StudyFiles, trial: int, family: str) -> str:
    """A finished candidate run of the shipped trial: it was trained without the validation images."""
    for name in done_runs(files):
        meta = read_meta(files.run(name))
        if (meta.trial, meta.family, meta.role) == (trial, family, "candidate"):
            return name
    raise SystemExit(f"{files.runs}: no candidate run of {family} trial {trial}; name one with --run")


def make_predictor(files: StudyFiles, run: str | None) -> tuple[Predictor, str]:
    shipped = load_bundle(files.model)
    described = shipped.description
    extra = described.model_extra or {}
    name = run or candidate_of_shipped(files, int(extra["trial"]), described.family)
    model, meta = load_run(files.run(name))
    own = described.model_copy(update={"mean": meta.mean, "std": meta.std})
    return Predictor(model, own), name


def validation_digits(files: StudyFiles, count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    dataset = load_settings(files.settings).dataset
    data = load_train(dataset.name, Path(dataset.data_dir) if dataset.data_dir else None)
    _, validation = stratified_split(data.labels, dataset.split_seed)
    chosen = np.random.default_rng(seed).choice(validation, count, replace=False)
    return data.images[chosen].numpy(), data.labels[chosen].numpy()


def read(predictor: Predictor, pictures: Iterable[bytes]) -> list[Prediction]:
    return predictor.predict(Image.open(io.BytesIO(picture)) for picture in pictures)


def row(name: str, answers: list[Prediction], labels: NDArray[np.int64]) -> tuple[int, int, int]:
    right = [a.digit == y for a, y in zip(answers, labels, strict=True)]
    answered = [a.status == "ok" for a in answers]
    wrong = sum(o and not r for o, r in zip(answered, right, strict=True))
    n = len(answers)
    print(f"{name:24} {100 * sum(right) / n:7.1f} {100 * (1 - sum(answered) / n):10.1f} {100 * wrong / n:15.1f}")
    return sum(right), n - sum(answered), wrong


def strangers_table(predictor: Predictor, images: NDArray[np.uint8], labels: NDArray[np.int64], seed: int) -> None:
    kinds = drawing("strangers")
    print(f"{'kind':24} {'right %':>7} {'abstain %':>10} {'wrong answer %':>15}")
    row("as MNIST has them", predictor.predict(list(images)), labels)
    rows = [row(kind, read(predictor, kinds.strangers(images, kind, seed)), labels) for kind in kinds.KINDS]
    total = len(rows) * len(labels)
    sums = [100 * sum(column) / total for column in zip(*rows, strict=True)]
    print(f"{'all kinds':24} {sums[0]:7.1f} {sums[1]:10.1f} {sums[2]:15.1f}\n")


def refusal_table(predictor: Predictor, images: NDArray[np.uint8], labels: NDArray[np.int64], seed: int) -> None:
    kinds = drawing("nondigits")
    print(f"{'no digit':24} {'abstain %':>10}")
    for number, (kind, draw) in enumerate(kinds.KINDS.items()):
        rng = np.random.default_rng((seed, number))
        answers = predictor.predict(draw(rng, images) for _ in range(len(images)))
        print(f"{kind:24} {100 * np.mean([a.status == 'abstain' for a in answers]):10.1f}")
    print(f"\n{'digits':24} {'right %':>7} {'abstain %':>10} {'wrong answer %':>15}")
    row("clean", predictor.predict(list(images)), labels)
    row("inverted", predictor.predict(list(255 - images)), labels)
    for sigma in BLURS:
        blurred = [ndimage.gaussian_filter(image.astype(np.float32), sigma) for image in images]
        row(f"blurred, sigma {sigma} px", predictor.predict(np.round(b).astype(np.uint8) for b in blurred), labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder of a study, such as results/mnist")
    parser.add_argument("--run", help="candidate run to read with (default: one of the shipped trial)")
    parser.add_argument("--per-kind", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    files = StudyFiles(options.study)
    predictor, name = make_predictor(files, options.run)
    print(f"{name}, {options.per_kind} validation digits a kind, threshold {predictor.threshold:.4f}\n")
    images, labels = validation_digits(files, options.per_kind, options.seed)
    strangers_table(predictor, images, labels, options.seed)
    refusal_table(predictor, images, labels, options.seed)


if __name__ == "__main__":
    main()
