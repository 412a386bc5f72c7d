"""What a longer run on digits by other hands does for a study's network. Three minutes on one core.

    python benchmarks/hands.py results/mnist [--times 2] [--own] [--images 1000] [--seed 1]

The configuration of the shipped trial's candidate run, which was not trained on validation images, is trained anew on
`--times` as many examples, with the augmentation "hands" in place of its own, or with `--own` as it is. Validation
images before and after: clean, under the corruptions of the robustness ladder, apart by whether training showed such,
and as read by way of `study predict` from pictures drawn by other hands. The study is left as it was.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from _data import build_model
from strangers import candidate_of_shipped
from torch import Tensor, nn

from study.data.augment import to_float
from study.data.datasets import load_train, pixel_statistics, split_as_before
from study.errors import StudyError
from study.evaluation.corruptions import LADDER, corrupted
from study.evaluation.test_set import load_run, logits_of
from study.inference.bundle import load_bundle
from study.inference.hands import read_hands
from study.inference.predictor import Predictor
from study.records.paths import StudyFiles
from study.records.run import Run
from study.records.settings import load_settings
from study.training.config import training_config
from study.training.loop import TrainingData, fit
from study.training.schedule import Schedule

LIKE_TRAINED = ("gaussian blur", "shot noise", "impulse noise", "shear", "scale", "rotate", "translate", "dotted line")
STRENGTH = 0.6


def data_of(files: StudyFiles) -> TrainingData:
    dataset = load_settings(files.settings).dataset
    whole = load_train(dataset.name, Path(dataset.data_dir) if dataset.data_dir else None)
    train, validation = split_as_before(whole, dataset.split_seed, dataset.split_sha256, dataset.sixth)
    parts = torch.from_numpy(train), torch.from_numpy(validation)
    return TrainingData(whole.images, whole.labels, *parts, *pixel_statistics(whole.images.numpy()[train]), 10)


def longer(run: Run, data: TrainingData, steps: int, own: bool, seed: int) -> nn.Module:
    """A network of the run's configuration that learned for so many steps."""
    hands = {"augmentation": "hands", "augmentation_strength": STRENGTH}
    model = build_model({"family": run.record.family, **run.config}, seed)
    config, schedule = training_config({**run.config, **({} if own else hands)}), Schedule((steps,), (steps,))
    fit(model, data, config, schedule, lambda *_: True, seed=seed, precision=run.record.precision)
    return model.eval()


def right(model: nn.Module, run: Run, x: Tensor, labels: Tensor) -> float:
    return 100 * float((logits_of(model, x, run.record).argmax(axis=1) == labels.numpy()).mean())


def by_kind(model: nn.Module, run: Run, x: Tensor, labels: Tensor) -> dict[str, float]:
    """Accuracy in percent by kind of corruption, the mean over its levels."""
    return {
        one.kind: float(np.mean([right(model, run, corrupted(x, one, level), labels) for level in one.levels]))
        for one in LADDER
    }


def mean_of(found: Mapping[str, float], kinds: Iterable[str]) -> float:
    return float(np.mean([found[kind] for kind in kinds]))


def show(name: str, model: nn.Module, run: Run, files: StudyFiles, data: TrainingData, n_images: int) -> None:
    images, labels = data.images[data.validation], data.labels[data.validation]
    kinds = by_kind(model, run, to_float(images[:n_images]), labels[:n_images])
    new = [kind for kind in kinds if kind not in LIKE_TRAINED]
    style = [one.kind for one in LADDER if one.group == "MNIST-C style"]
    shipped = load_bundle(files.model)
    own = {"mean": run.record.mean, "std": run.record.std, "on_black": run.record.on_black}
    reader = Predictor(model, shipped.description.model_copy(update=own), shipped.second_reader)
    hands = read_hands(reader, images.numpy(), labels.numpy(), count=1200, seed=7)
    guessed = hands.evidence.logits.argmax(axis=1) == hands.labels
    print(
        f"{name:7} clean {right(model, run, images, labels):.2f}  all kinds {mean_of(kinds, kinds):.1f}  MNIST-C style "
        f"{mean_of(kinds, style):.1f}  like trained {mean_of(kinds, LIKE_TRAINED):.1f}  never trained "
        f"{mean_of(kinds, new):.1f}  drawn hands {100 * guessed.mean():.1f}"
    )
    print("        " + ", ".join(f"{kind} {value:.0f}" for kind, value in kinds.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder of a study, such as results/mnist")
    parser.add_argument("--times", type=float, default=2.0)
    parser.add_argument("--own", action="store_true", help="the run's own augmentation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--images", type=int, default=1000, help="validation images to corrupt")
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = StudyFiles(options.study)
    try:
        described = load_bundle(files.model).description
        name = candidate_of_shipped(files, int((described.model_extra or {})["trial"]), described.family)
        data = data_of(files)
        before, run = load_run(files.run(name))
    except StudyError as error:
        raise SystemExit(f"hands.py: {error}") from None
    show("before", before, run, files, data, options.images)
    start = time.process_time()
    steps = round(options.times * run.record.steps)
    after = longer(run, data, steps, options.own, options.seed)
    print(f"{steps} steps: {time.process_time() - start:.0f} s of one core")
    show("after", after, run, files, data, options.images)


if __name__ == "__main__":
    main()
