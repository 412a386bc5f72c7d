"""How a study's winner reads strangers' pictures, by kind, and what it refuses. Three minutes on one core.

    python benchmarks/strangers.py results/mnist [--run cnn-t9-seed0] [--per-kind 100] [--seed 0] [--fashion DIR]
    python benchmarks/strangers.py results/mnist --pictures DIR
    python benchmarks/strangers.py results/mnist --test

Digits are validation images. The model shipped in `model/` has trained on them, so its place is taken by the candidate
run of the same trial, which has not; temperature, threshold and all else come from `model/`. With --test they are test
images, and the shipped model itself reads them: for the last table, once; the look is added to the study's seal and the
table kept in test/strangers.json. --fashion is a folder with Fashion-MNIST's IDX files: clothes that nobody drew for
this program. --pictures is a folder of pictures that people made, read by the shipped model: index.csv with the columns
file, label, class (those of "handwritten" are read), kind and source, and the files in pictures/. The drawing of
strangers is that of tests/inference/strangers.py, so it runs from a checkout.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import io
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from _causes import read_causes
from _looks import look_at_test
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import roc_auc_score

from study.data.datasets import Dataset, load_train, split_as_before
from study.data.opening import open_gray
from study.errors import StudyError
from study.evaluation.test_set import load_run
from study.inference.abstain import Evidence, probabilities, strangeness
from study.inference.answer import Prediction
from study.inference.bundle import load_bundle
from study.inference.fitting import box_of, centre, fit
from study.inference.ink import otsu
from study.inference.predictor import Predictor
from study.inference.refusal import NO_DIGIT, measure_refusals
from study.records.files import write_json
from study.records.paths import StudyFiles, done_runs
from study.records.run import read_record
from study.records.settings import load_settings

DRAWINGS = Path(__file__).resolve().parent.parent / "tests" / "inference"
SIDES = (28, 300)  # pixels of pictures without a digit


@dataclass(frozen=True)
class Row:
    """Shares: `right` of all pictures, whether answered or not; `wrong` of wrong answers that were given."""

    kind: str
    right: float
    abstained: float
    wrong: float


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
        record = read_record(files.run(name))
        if (record.trial, record.family, record.role) == (trial, family, "candidate"):
            return name
    raise StudyError(f"{files.runs}: no candidate run of {family} trial {trial}; name one with --run")


def unseen_digits(files: StudyFiles) -> Dataset:
    """The validation images."""
    dataset = load_settings(files.settings).dataset
    data = load_train(dataset.name, Path(dataset.data_dir) if dataset.data_dir else None)
    _, validation = split_as_before(data, dataset.split_seed, dataset.split_sha256, dataset.sixth)
    return Dataset(data.name, data.images[validation], data.labels[validation], data.classes, data.sha256)


def candidate_predictor(files: StudyFiles, run: str | None) -> tuple[Predictor, str]:
    shipped = load_bundle(files.model)
    described = shipped.description
    extra = described.model_extra or {}
    name = run or candidate_of_shipped(files, int(extra["trial"]), described.family)
    model, read = load_run(files.run(name))
    update = {"mean": read.record.mean, "std": read.record.std, "on_black": read.record.on_black}
    own = described.model_copy(update=update)
    return Predictor(model, own, shipped.second_reader), name


def shipped_predictor(files: StudyFiles) -> tuple[Predictor, str]:
    predictor = Predictor.load(files.model)
    return predictor, str((predictor.description.model_extra or {})["run"])


def read(predictor: Predictor, pictures: Iterable[bytes]) -> list[Prediction]:
    return predictor.predict(Image.open(io.BytesIO(picture)) for picture in pictures)


def row(kind: str, answers: Sequence[Prediction], labels: NDArray[np.int64]) -> Row:
    right = np.array([answer.digit for answer in answers]) == labels
    answered = np.array([answer.status == "ok" for answer in answers])
    return Row(kind, float(right.mean()), float(1 - answered.mean()), float((answered & ~right).mean()))


def strangers_rows(
    predictor: Predictor, images: NDArray[np.uint8], labels: NDArray[np.int64], seed: int
) -> Iterator[Row]:
    """The digits as they are, each kind of stranger's picture, and the mean over the kinds."""
    kinds = drawing("strangers")
    yield row("as MNIST has them", predictor.predict(list(images)), labels)
    rows = []
    for kind in kinds.KINDS:
        rows.append(row(kind, read(predictor, kinds.strangers(images, kind, seed)), labels))
        yield rows[-1]
    means = [float(np.mean([getattr(one, name) for one in rows])) for name in ("right", "abstained", "wrong")]
    yield Row("all kinds", *means)


def print_strangers(rows: Iterable[Row]) -> list[Row]:
    print(f"{'kind':24} {'right %':>7} {'abstain %':>10} {'wrong answer %':>15}")
    shown = []
    for one in rows:
        print(f"{one.kind:24} {100 * one.right:7.1f} {100 * one.abstained:10.1f} {100 * one.wrong:15.1f}", flush=True)
        shown.append(one)
    return shown


def print_refusals(predictor: Predictor, digits: Dataset, per_kind: int, seed: int, fashion: Path | None) -> None:
    found = measure_refusals(predictor, digits.images.numpy(), digits.labels.numpy(), per_kind, SIDES, seed)
    if fashion is not None:
        clothes = load_train("fashion", fashion).images[:per_kind].numpy()
        abstained = float(np.mean([answer.status != "ok" for answer in predictor.predict(list(clothes))]))
        found.append({"picture": "Fashion-MNIST", "abstained": abstained, "wrong": 1 - abstained})
    print(f"\n{'picture':28} {'abstain %':>10} {'wrong answer %':>15}")
    for one in found:
        print(f"{one['picture']:28} {100 * one['abstained']:10.1f} {100 * one['wrong']:15.1f}")


def doubts(predictor: Predictor, pictures: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[np.float64]]:
    """How strange each picture is [N], and how unsure its answer."""
    pixels = np.stack([one.pixels for one in predictor.predict(pictures, segment=False) if one.pixels is not None])
    second = predictor.second_reader
    likelihoods = None if second is None else second(torch.from_numpy(pixels)).numpy()
    evidence, described = Evidence(pixels, predictor.logits(pixels), likelihoods), predictor.description
    p = probabilities(evidence, described.abstention, described.temperature)
    return {"strange": strangeness(evidence, described.abstention), "unsure": 1 - p.max(axis=1)}


def auroc(of_digits: NDArray[np.float64], of_others: NDArray[np.float64]) -> float:
    """How often another picture has the larger doubt than a digit, of all pairs; a draw is half."""
    is_other = np.repeat([False, True], [len(of_digits), len(of_others)])
    return float(roc_auc_score(is_other, np.concatenate([of_digits, of_others])))


def print_auroc(predictor: Predictor, digits: Dataset, per_kind: int, seed: int, fashion: Path | None) -> None:
    images = digits.images.numpy()
    known = doubts(predictor, list(images[:: max(1, len(images) // 1000)]))
    others = {}
    for number, (kind, draw) in enumerate(NO_DIGIT.items()):
        rng = np.random.default_rng((seed, number))
        sides = rng.integers(*SIDES, per_kind, endpoint=True)
        others[kind] = [draw(rng, images, int(side)) for side in sides]
    if fashion is not None:
        others["Fashion-MNIST"] = list(load_train("fashion", fashion).images[:per_kind].numpy())
    print(f"\n{'AUROC against digits, %':28} {'strange':>10} {'unsure':>10}")
    for kind, pictures in others.items():
        found = doubts(predictor, pictures)
        print(f"{kind:28}" + "".join(f" {100 * auroc(known[name], found[name]):10.1f}" for name in known))


def print_causes(predictor: Predictor, digits: Dataset, count: int, seed: int) -> None:
    print(f"\n{'cause':38} {'pictures':>8} {'right %':>8} {'left open %':>12} {'wrong answer %':>15}")
    for one in read_causes(predictor, digits.images.numpy(), digits.labels.numpy(), count, seed):
        shares = f"{100 * one.right:8.1f} {100 * one.open:12.1f} {100 * one.wrong:15.1f}"
        print(f"{one.cause} {one.kind:36} {one.pictures:8} {shares}")


@dataclass(frozen=True)
class Found:
    """How N pictures that people made were read, and their sources."""

    kinds: NDArray[np.str_]
    sources: NDArray[np.str_]
    answered: NDArray[np.bool_]
    right: NDArray[np.bool_]
    plain: NDArray[np.bool_]

    def of(self, kind: str) -> Found:
        chosen = self.kinds == kind
        return Found(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


def plain_recipe(path: Path) -> NDArray[np.uint8]:
    """Grey, inverted where the border is bright, Otsu, box to 20 x 20, centre of mass: [28, 28]."""
    gray = open_gray(path).gray
    border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
    ink = 1 - gray if border.mean() > 0.5 else gray
    ink = np.where(ink >= otsu(ink), ink, 0)
    left, top, right, bottom = box_of(ink > 0)
    return centre(fit(ink[top:bottom, left:right]))


def print_pictures(predictor: Predictor, folder: Path) -> None:
    with (folder / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows = [row for row in rows if row["class"] == "handwritten"]
    paths = [folder / "pictures" / row["file"] for row in rows]
    labels = np.array([int(row["label"]) for row in rows])
    answers = predictor.predict(paths)
    assert len(answers) == len(rows), "a picture of one digit was read as a row"
    guesses = np.array([answer.digit for answer in answers])
    plain = predictor.logits(np.stack([plain_recipe(path) for path in paths])).argmax(axis=1)
    found = Found(
        kinds=np.array([row["kind"] for row in rows]),
        sources=np.array([row["source"] for row in rows]),
        answered=np.array([answer.status == "ok" for answer in answers]),
        right=guesses == labels,
        plain=plain == labels,
    )
    print(
        f"\n{'kind':48} {'n':>4} {'sources':>7} {'right':>16} {'wrong':>5} {'open':>5} {'best guess':>10} {'plain':>6}"
    )
    for kind in [*sorted(set(found.kinds), key=lambda kind: -(found.kinds == kind).sum()), "all"]:
        print(_counted(kind, found if kind == "all" else found.of(kind)))
    for path, answer, label in zip(paths, answers, labels, strict=True):
        if answer.status != "ok" or answer.digit != label:
            print(f"  {path.name}: {answer.status} {answer.digit}, {answer.probability:.3f} {answer.reason or ''}")


def _counted(kind: str, found: Found) -> str:
    answered_right = found.answered & found.right
    low, high = clustered_interval(answered_right, found.sources)
    share = f"{100 * answered_right.mean():.1f} ({100 * low:.0f}-{100 * high:.0f})"
    wrong, left_open = int((found.answered & ~found.right).sum()), int((~found.answered).sum())
    counts = f"{len(found.right):4} {len(set(found.sources)):7} {share:>16} {wrong:5} {left_open:5}"
    return f"{kind:48} {counts} {int(found.right.sum()):10} {int(found.plain.sum()):6}"


def clustered_interval(right: NDArray[np.bool_], sources: NDArray[np.str_]) -> tuple[float, float]:
    """95 % interval of a share by 2,000 drawings of whole sources: pictures of one hand are alike."""
    _, which = np.unique(sources, return_inverse=True)
    counts, good = np.bincount(which), np.bincount(which, weights=right)
    drawn = np.random.default_rng(0).integers(0, len(counts), (2000, len(counts)))
    low, high = np.quantile(good[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [0.025, 0.975])
    return float(low), float(high)


def drawn(digits: Dataset, count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    chosen = np.random.default_rng(seed).choice(len(digits), min(count, len(digits)), replace=False)
    return digits.images[chosen].numpy(), digits.labels[chosen].numpy()


def on_test(files: StudyFiles, per_kind: int, seed: int) -> None:
    """The last table: test digits, the shipped model, once."""
    predictor, name = shipped_predictor(files)
    result = files.test / "strangers.json"
    command = shlex.join(["python", *sys.argv])
    settings = load_settings(files.settings)
    digits = look_at_test(files, settings, name, "strangers' pictures of test digits", command, result)
    print(f"{name}, {per_kind} test digits a kind, threshold {predictor.threshold:.4f}\n")
    rows = print_strangers(strangers_rows(predictor, *drawn(digits, per_kind, seed), seed))
    write_json(result, {"run": name, "per_kind": per_kind, "seed": seed, "rows": [asdict(one) for one in rows]})


def on_validation(files: StudyFiles, options: argparse.Namespace) -> None:
    predictor, name = candidate_predictor(files, options.run)
    digits = unseen_digits(files)
    print(f"{name}, {options.per_kind} validation digits a kind, threshold {predictor.threshold:.4f}\n")
    print_strangers(strangers_rows(predictor, *drawn(digits, options.per_kind, options.seed), options.seed))
    print_refusals(predictor, digits, options.per_kind, options.seed, options.fashion)
    print_auroc(predictor, digits, options.per_kind, options.seed, options.fashion)
    print_causes(predictor, digits, options.per_kind, options.seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder of a study, such as results/mnist")
    parser.add_argument("--run", help="candidate run to read with (default: one of the shipped trial)")
    parser.add_argument("--per-kind", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fashion", type=Path, metavar="DIR", help="Fashion-MNIST's IDX files, to be refused")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="pictures that people made, and their index.csv")
    parser.add_argument("--test", action="store_true", help="the last table: test digits, once")
    options = parser.parse_args()
    try:
        if options.test:
            on_test(StudyFiles(options.study), options.per_kind, options.seed)
        elif options.pictures:
            print_pictures(shipped_predictor(StudyFiles(options.study))[0], options.pictures)
        else:
            on_validation(StudyFiles(options.study), options)
    except StudyError as error:
        raise SystemExit(f"strangers.py: {error}") from None


if __name__ == "__main__":
    main()
