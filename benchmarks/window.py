"""Whether TPE chooses as well when it looks at the newest of the worse trials alone.

    python benchmarks/window.py [--trials 2500] [--seeds 10] [--families cnn mlp] [--table]

The landscape is one that this program met: extremely randomised trees, fitted to the logit of the dev-test accuracy
of the full runs that pool.py recorded, over the family's bundled space. A value that TPE sees has the noise of a
reading of 10,000 validation images. Trials run one after the other, none is pruned. All ways of a seed go on from the
same 1,000 trials, up to which the window of a study leaves nothing out. Every 500 trials a row has the landscape's
true value of the trial with the best reading (`chosen`), the highest that any trial had (`highest`), the median of the
last 500 (`drawn`), and how long a proposal took. Rows are added to recorded/window.csv; a killed script goes on.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import statistics
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from _rows import RECORDED, Rows, machine
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.feature_extraction import DictVectorizer
from sklearn.model_selection import cross_val_predict

from study.records.settings import SAMPLER_WINDOW
from study.search.history import History
from study.search.samplers import make_sampler
from study.space.sampling import find_space, sample

WINDOWS: tuple[int | None, ...] = (None, SAMPLER_WINDOW)
BEFORE = 1_000  # trials that all ways have in common
N_IMAGES, N_TREES = 10_000, 100
EVERY = 500
FIGURES = ("chosen", "highest", "drawn")


class Landscape:
    """Accuracy by configuration; `fit` is the rank correlation of predictions for configurations not fitted to."""

    def __init__(self, family: str) -> None:
        with (RECORDED / "pool.csv").open() as lines:
            rows = [row for row in csv.DictReader(lines) if row["family"] == family and row["way"] == "whole"]
        longest = max(rows, key=lambda row: int(row["rung"]))["rung"]
        accuracy = {int(row["number"]): float(row["dev_test"] or 0.1) for row in rows if row["rung"] == longest}
        text = (RECORDED / f"pool_{family}_configs.jsonl").read_text()
        configs = {config["number"]: config for config in map(json.loads, text.splitlines())}
        numbers = sorted(accuracy.keys() & configs.keys())
        self._features = DictVectorizer(sparse=False)
        x = self._features.fit_transform([_flat(configs[number]) for number in numbers])
        y = np.array([_logit(accuracy[number]) for number in numbers])
        self._forest = _Forest(ExtraTreesRegressor(N_TREES, random_state=0).fit(x, y))
        expected = cross_val_predict(ExtraTreesRegressor(N_TREES, random_state=0), x, y, cv=10)
        self.fit = float(np.corrcoef(np.argsort(np.argsort(expected)), np.argsort(np.argsort(y)))[0, 1])

    def accuracy(self, config: Mapping[str, Any]) -> float:
        logit = self._forest.predict(self._features.transform([_flat(config)])[0])
        return float(1 / (1 + np.exp(-logit)))


class _Forest:
    """All trees of an ensemble as one table: one prediction takes a hundredth of what scikit-learn's own does."""

    def __init__(self, trees: ExtraTreesRegressor) -> None:
        parts = [one.tree_ for one in trees.estimators_]
        self._roots = np.cumsum([0, *(part.node_count for part in parts[:-1])])
        self._feature = np.concatenate([part.feature for part in parts])
        self._threshold = np.concatenate([part.threshold for part in parts])
        self._value = np.concatenate([part.value[:, 0, 0] for part in parts])
        self._children = np.stack(
            [
                np.concatenate([getattr(part, side) + root for part, root in zip(parts, self._roots, strict=True)])
                for side in ("children_left", "children_right")
            ]
        )

    def predict(self, x: NDArray[np.float64]) -> float:
        nodes, x = self._roots, x.astype(np.float32)  # as the trees compare
        while (inner := self._feature[nodes] >= 0).any():
            is_right = x[self._feature[nodes]] > self._threshold[nodes]
            nodes = np.where(inner, self._children[is_right.astype(int), nodes], nodes)
        return float(self._value[nodes].mean())


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the trees see: scales that are drawn as logarithms as such, lists by their length and mean."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if key in ("number", "family"):
            continue
        if isinstance(value, list):
            flat |= {f"{key} n": len(value), f"{key} mean": float(np.mean(value)) if value else 0.0}
        elif isinstance(value, bool) or not isinstance(value, int | float):
            flat[key] = str(value)
        else:
            flat[key] = float(np.log(value)) if key in ("learning_rate", "weight_decay") and value > 0 else value
    return flat


def _logit(accuracy: float) -> float:
    inside = min(max(accuracy, 0.02), 0.9999)
    return float(np.log(inside / (1 - inside)))


class Search:
    """One way of searching a landscape; `study` holds what was tried so far. Any of those `in_flight` ends next."""

    def __init__(self, landscape: Landscape, family: str, window: int | None, seed: int, in_flight: int = 1) -> None:
        self.study = optuna.create_study(direction="maximize")
        self.true: list[float] = []
        self.took = 0.0
        self._landscape, self._window, self._seed = landscape, window, seed
        self._space, self._history = find_space(family), History()
        self._in_flight, self._ends = in_flight, np.random.default_rng(seed)
        self._flights: list[optuna.Trial] = []

    def go_on(self, n_trials: int) -> None:
        """Up to so many trials in all."""
        while len(self.true) < n_trials:
            self._ask()
            if len(self._flights) == self._in_flight:
                self._tell(self._flights.pop(self._ends.integers(self._in_flight)))

    def _ask(self) -> None:
        self.study.sampler = make_sampler("tpe", self._seed, "", len(self.true), self._history, self._window)
        begun = time.process_time()
        trial = self.study.ask()
        config = sample(self._space, trial)
        self.took += time.process_time() - begun
        self.true.append(self._landscape.accuracy(config))
        self._flights.append(trial)

    def _tell(self, trial: optuna.Trial) -> None:
        true = self.true[trial.number]
        noise = np.random.default_rng([self._seed, trial.number]).normal()
        deviation = (true * (1 - true) / N_IMAGES) ** 0.5
        self.study.tell(trial, true + deviation * noise)

    def after(self, other: Search) -> Search:
        """Go on from what another has tried."""
        self.study.add_trials(other.study.get_trials(deepcopy=False))
        self.true = list(other.true)
        return self

    @property
    def row(self) -> dict[str, Any]:
        return {
            "trials": len(self.true),
            "chosen": self.true[self.study.best_trial.number],
            "highest": max(self.true),
            "drawn": statistics.median(self.true[-EVERY:]),
            "ms_a_proposal": round(1e3 * self.took / EVERY, 1),
        }


def search(rows: Rows, landscape: Landscape, family: str, seed: int, n_trials: int) -> None:
    """All ways of one seed that have no row yet."""
    missing = [window for window in WINDOWS if not rows.has(family, window or "all", seed, n_trials)]
    if not missing:
        return
    common = Search(landscape, family, None, seed)
    common.go_on(BEFORE)
    for window in missing:
        one = Search(landscape, family, window, seed).after(common)
        for trials in range(BEFORE + EVERY, n_trials + 1, EVERY):
            one.took = 0.0
            one.go_on(trials)
            if not rows.has(family, window or "all", seed, trials):
                rows.add(
                    {"family": family, "window": window or "all", "seed": seed}
                    | one.row
                    | {"fit": round(landscape.fit, 3), "machine": machine()}
                )


def table(rows: Rows) -> None:
    """Points against the whole history, mean and standard error over pairs of one seed, at each number of trials."""
    found = {(row["family"], str(row["window"]), row["seed"], row["trials"]): row for row in rows.all()}
    pairs = sorted((family, trials, window, seed) for family, window, seed, trials in found)
    for (family, trials, window), group in itertools.groupby(pairs, key=lambda key: key[:3]):
        seeds = [seed for *_, seed in group if (family, "all", seed, trials) in found]
        if window == "all" or len(seeds) < 2:
            continue
        ours = [(found[family, window, seed, trials], found[family, "all", seed, trials]) for seed in seeds]
        cells = [difference([100 * (one[name] - whole[name]) for one, whole in ours]) for name in FIGURES]
        ms = [statistics.mean(row["ms_a_proposal"] for row in column) for column in zip(*ours, strict=True)]
        print(f"| {family} | {trials} | {window} | {len(seeds)} | {' | '.join(cells)} | {ms[0]:.0f} / {ms[1]:.0f} |")


def difference(points: Sequence[float]) -> str:
    return f"{statistics.mean(points):+.3f} ± {statistics.stdev(points) / len(points) ** 0.5:.3f}"


def asked(about: str | None, n_trials: int, n_seeds: int) -> argparse.Namespace:
    """What the command line says; Optuna is told to be quiet."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=n_trials)
    parser.add_argument("--seeds", type=int, default=n_seeds)
    parser.add_argument("--families", nargs="+", default=["cnn", "mlp"])
    parser.add_argument("--table", action="store_true", help="print what is recorded and stop")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # grouped TPE
    return parser.parse_args()


def main() -> None:
    args = asked(__doc__, 2_500, 10)
    rows = Rows(RECORDED / "window.csv", ("family", "window", "seed", "trials"))
    if args.table:
        table(rows)
        return
    landscapes = {family: Landscape(family) for family in args.families}
    for seed, family in itertools.product(range(args.seeds), args.families):
        search(rows, landscapes[family], family, seed, args.trials)
    table(rows)


if __name__ == "__main__":
    main()
