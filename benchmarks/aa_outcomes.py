"""False alarms and power of the comparison of two finalists, from what real networks got right.

    nice python benchmarks/aa_outcomes.py --record --workers 1    # 20 configurations x 8 seeds: 15 min on a free core
    python benchmarks/aa_outcomes.py [--studies 2000]             # simulates from what is recorded: two minutes

`--record` trains the first 20 random configurations of the bundled space under 8 seeds each, for half an epoch of
40,000 images, and keeps which of the 10,000 validation and of the 10,000 dev-test images each run gets right, packed
as bits in recorded/outcomes_<family>.npz. A killed recording goes on with the same command. The test split is never
read. So short runs spread more from seed to seed than a study's: the comparison has more to bear, and searches of the
same space, of ten configurations here, end further apart.

A simulated study replays selection: it draws configurations, a seed of each for the search and newly drawn validation
images, hands the best three over, ranks them by another seed, and reads the finalist under three further seeds on the
dev-test images. No seed serves twice. Its lines:

    same configuration   the finalist against itself under three other seeds: p < 0.05 is a false alarm
    other search         the finalist of an independent search of the same space: how often luck alone is "better"
    0.1, 0.2, 0.3        two configurations whose means over all seeds are so many points apart (± 0.03): power

Images: "fixed" keeps the recorded ones, so that only seeds vary. "bootstrap" draws them with repeats; an image drawn
twice brings one flip of a network twice, which the standard error cannot know, so that rates of false alarms come out
too high and power too low. The truth lies between for power; for the same configuration, where difficulty cancels,
"fixed" is it.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _data import build_model, dev_data, parallel, precision, random_configs
from _rows import RECORDED
from numpy.typing import NDArray

from study.errors import TrainingError
from study.records.files import replacing
from study.seeds import derive_seed
from study.statistics.intervals import mcnemar_exact, wilson
from study.statistics.over_seeds import compare_finalists
from study.training.config import training_config
from study.training.loop import TrainingData, fit, predict_logits
from study.training.schedule import Schedule

N_CONFIGS, N_SEEDS = 20, 8
FULL = 20_000  # examples of a run
CANDIDATES, FINAL_SEEDS = 3, 3
DRAWN = 15  # configurations that a simulated search tries
MISSING, DONE, FAILED = 0, 1, 2
_ALL_BUT_ONE = 10_000  # a stride: `fit` looks at one validation image, all are read once at the end

Bits = NDArray[np.bool_]


@dataclass
class Outcomes:
    """Correctness bool [configurations, seeds, images] on validation and the dev-test slice, and each run's state."""

    validation: Bits
    dev_test: Bits
    states: NDArray[np.uint8]

    @classmethod
    def empty(cls, configs: int, seeds: int, n_validation: int, n_dev_test: int) -> Outcomes:
        sizes = ((configs, seeds, n) for n in (n_validation, n_dev_test))
        return cls(*(np.zeros(size, dtype=bool) for size in sizes), np.zeros((configs, seeds), dtype=np.uint8))

    @classmethod
    def load(cls, path: Path) -> Outcomes:
        with np.load(path) as found:
            parts = [np.unpackbits(found[name], axis=-1).astype(bool) for name in ("validation", "dev_test")]
            validation, dev_test = (bits[..., :n] for bits, n in zip(parts, found["images"], strict=True))
            return cls(validation, dev_test, found["states"])

    def save(self, path: Path) -> None:
        packed = {name: np.packbits(getattr(self, name), axis=-1) for name in ("validation", "dev_test")}
        images = np.array([self.validation.shape[-1], self.dev_test.shape[-1]])
        with replacing(path) as part, part.open("wb") as stream:
            np.savez_compressed(stream, images=images, states=self.states, **packed)

    def usable(self) -> Outcomes:
        """The configurations of which every seed was trained to its end."""
        whole = (self.states == DONE).all(axis=1)
        return Outcomes(self.validation[whole], self.dev_test[whole], self.states[whole])


# --- recording -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    family: str
    number: int
    seed_index: int
    config: dict[str, Any]
    examples: int = FULL


def train(task: Task, data: TrainingData, dev_test: torch.Tensor) -> tuple[Task, list[Bits] | None]:
    """Which validation and dev-test images one run gets right; None if it fails."""
    seed = derive_seed(task.seed_index, task.family, task.number, "outcome")
    model, config = build_model(task.config, seed), training_config(task.config)
    steps = max(1, round(task.examples / config.batch_size))
    try:
        schedule = Schedule((steps,), (steps,), (_ALL_BUT_ONE,))
        fit(model, data, config, schedule, lambda *_: True, seed=seed, precision=precision())
        parts = (data.validation, dev_test)
        answers = [torch.from_numpy(predict_logits(model, data, part, precision()).argmax(axis=1)) for part in parts]
    except TrainingError:
        return task, None
    return task, [(seen == data.labels[part]).numpy() for seen, part in zip(answers, parts, strict=True)]


def tasks(family: str, states: NDArray[np.uint8]) -> Iterator[Task]:
    """What is missing, one configuration after another."""
    for number, config in enumerate(random_configs(family, len(states), seed=1)):
        for seed_index in range(states.shape[1]):
            if states[number, seed_index] == MISSING:
                yield Task(family, number, seed_index, config)


def record(family: str, path: Path, workers: int) -> None:
    data, dev_test = dev_data()
    outcomes = Outcomes.load(path) if path.exists() else None
    if outcomes is None:
        outcomes = Outcomes.empty(N_CONFIGS, N_SEEDS, len(data.validation), len(dev_test))
    run = functools.partial(train, data=data, dev_test=dev_test)
    for task, right in parallel(list(tasks(family, outcomes.states)), run, workers):
        add(outcomes, task, right)
        outcomes.save(path)
        print(f"{family} #{task.number} seed {task.seed_index}: {_accuracy(right)}", flush=True)


def add(outcomes: Outcomes, task: Task, right: list[Bits] | None) -> None:
    place = task.number, task.seed_index
    outcomes.states[place] = FAILED if right is None else DONE
    if right is not None:
        outcomes.validation[place], outcomes.dev_test[place] = right


def _accuracy(right: list[Bits] | None) -> str:
    return "failed" if right is None else " / ".join(f"{100 * part.mean():.2f} %" for part in right)


# --- simulated studies ----------------------------------------------------------------------------------------------


def search(outcomes: Outcomes, configs: NDArray[Any], rng: np.random.Generator) -> tuple[int, NDArray[Any]]:
    """A search over some configurations, with newly drawn validation images: its finalist, and the finalist's seeds
    that neither the search nor the ranking has used."""
    n_seeds, n = outcomes.validation.shape[1:]
    order = rng.permuted(np.tile(np.arange(n_seeds), (len(configs), 1)), axis=1)
    weights = rng.multinomial(n, np.full(n, 1 / n)).astype(np.float64)
    scores = outcomes.validation[configs, order[:, 0]] @ weights
    best = np.argsort(-scores, kind="stable")[:CANDIDATES]
    fresh = outcomes.validation[configs[best], order[best, 1]] @ weights
    finalist = best[int(fresh.argmax())]
    return int(configs[finalist]), order[finalist, 2:]


@dataclass
class Rates:
    """How often p < 0.05, over how many studies, and how many images told two named networks apart."""

    alarms: int = 0
    studies: int = 0
    discordant: int = 0

    def add(self, a: Bits, b: Bits) -> None:
        self.alarms += compare_finalists(a, b).p_value < 0.05
        self.discordant += mcnemar_exact(a[0], b[0]).discordant
        self.studies += 1

    def line(self, name: str, images: str) -> str:
        low, high = wilson(self.alarms, self.studies)
        rate = f"{100 * self.alarms / self.studies:>7.1f}   {100 * low:.1f} to {100 * high:.1f}"
        return f"{name:<20}{images:<11}{self.studies:>8}{self.discordant / self.studies:>12.0f}{rate}"


def drawn_images(n: int, images: str, rng: np.random.Generator) -> NDArray[Any]:
    return np.arange(n) if images == "fixed" else rng.integers(0, n, n)


def same_configuration(outcomes: Outcomes, images: str, studies: int, seed: int = 0) -> Rates:
    rng, rates = np.random.default_rng([seed, 1]), Rates()
    for _ in range(studies):
        configs = rng.choice(len(outcomes.states), min(DRAWN, len(outcomes.states)), replace=False)
        finalist, free = search(outcomes, configs, rng)
        index = drawn_images(outcomes.dev_test.shape[-1], images, rng)
        seeds = (free[:FINAL_SEEDS], free[FINAL_SEEDS : 2 * FINAL_SEEDS])
        rates.add(*(outcomes.dev_test[finalist, part][:, index] for part in seeds))
    return rates


def other_search(outcomes: Outcomes, images: str, studies: int, seed: int = 0) -> Rates:
    """Two searches over different configurations."""
    rng, rates = np.random.default_rng([seed, 2]), Rates()
    half = min(DRAWN, len(outcomes.states) // 2)
    for _ in range(studies):
        shuffled = rng.permutation(len(outcomes.states))
        found = [search(outcomes, part, rng) for part in (shuffled[:half], shuffled[half : 2 * half])]
        index = drawn_images(outcomes.dev_test.shape[-1], images, rng)
        rates.add(*(outcomes.dev_test[finalist, free[:FINAL_SEEDS]][:, index] for finalist, free in found))
    return rates


def power(
    outcomes: Outcomes, gap: float, images: str, studies: int, seed: int = 0, most: float = 0.0003
) -> Rates | None:
    """Pairs of configurations whose mean accuracies over all seeds differ by `gap` within `most`; None without any."""
    means = outcomes.dev_test.mean(axis=(1, 2))
    pairs = [(a, b) for a, b in permutations(range(len(means)), 2) if abs(means[a] - means[b] - gap) <= most]
    if not pairs:
        return None
    rng, rates = np.random.default_rng([seed, 3]), Rates()
    for _ in range(studies):
        index = drawn_images(outcomes.dev_test.shape[-1], images, rng)
        seeds = (rng.permutation(outcomes.states.shape[1])[:FINAL_SEEDS] for _ in range(2))
        pair = pairs[int(rng.integers(len(pairs)))]
        rates.add(*(outcomes.dev_test[config, part][:, index] for config, part in zip(pair, seeds, strict=True)))
    return rates


def print_table(family: str, outcomes: Outcomes, studies: int) -> None:
    usable = outcomes.usable()
    done, wanted = int((outcomes.states != MISSING).sum()), outcomes.states.size
    print(f"{family}: {len(usable.states)} configurations with all seeds; {done} of {wanted} runs recorded")
    if len(usable.states) < 2 * CANDIDATES:
        print("too few to simulate from; record more with --record")
        return
    spread = 100 * float(np.sqrt(usable.dev_test.mean(axis=2).var(axis=1, ddof=1).mean()))
    best = 100 * float(usable.dev_test.mean(axis=(1, 2)).max())
    print(f"best mean accuracy {best:.2f} %, standard deviation between seeds {spread:.3f} points")
    print(f"{'truth':<20}{'images':<11}{'studies':>8}{'discordant':>12}{'p<.05 %':>7}   95 % interval")
    for images in ("fixed", "bootstrap"):
        print(same_configuration(usable, images, studies).line("same configuration", images), flush=True)
        print(other_search(usable, images, studies).line("other search", images), flush=True)
        for gap in (0.001, 0.002, 0.003):
            name, rates = f"{100 * gap:.1f} points apart", power(usable, gap, images, studies)
            print(rates.line(name, images) if rates else f"{name:<20}no pair of configurations is", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="cnn")
    parser.add_argument("--record", action="store_true", help="train what is missing")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread that train")
    parser.add_argument("--studies", type=int, default=2000, help="simulated studies a line")
    options = parser.parse_args()
    path = RECORDED / f"outcomes_{options.family}.npz"
    if options.record:
        record(options.family, path, options.workers)
    if not path.exists():
        raise SystemExit(f"{path} is missing; record it first with --record")
    print_table(options.family, Outcomes.load(path), options.studies)


if __name__ == "__main__":
    main()
