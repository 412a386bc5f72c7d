"""A search's ways simulated hundreds of times on what trials showed: proposals, rungs and pruning, one against another.

    python benchmarks/surrogate.py --record 60 [--family mlp] [--seeds 0-5] [--sampler tpe]    # trains
    python benchmarks/surrogate.py --fit [--family mlp]           # how well it tells what it has not seen
    python benchmarks/surrogate.py [--family mlp] [--ways "program,one of 3"] [--searches 24] [--workers 2]
    python benchmarks/surrogate.py --table                        # prints what is recorded

One search differs from the next by 0.35 points of its finalist, so that two ways of searching take some fifty real ones
a side to be told apart by 0.2. `--record` trains the trials of searches without a pruner: each goes to the top rung, on
the part of the images that a default study's trials learn from, in the ladder of its 116 worker-seconds. From these a
surrogate learns log-errors at the three rungs by configuration: Gaussian processes (five minutes), whose residuals in
cross-validation are what a configuration has of its own, by its identity. The program's own driver, sampler and pruner
then search over it, with the rungs' seconds charged and none waited for. What a search hands over is judged by the
surrogate's error at the top rung, the better of two, as the retraining tells; the trial itself reads it with the noise
of one run and 10,000 images. The test split is not read.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import json
import math
import random
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import optuna
import torch
from _data import default_space, dev_data, parallel
from _rows import RECORDED, Rows, machine
from live import Task, settings_of
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution, IntDistribution
from rungs import Charged
from scipy.stats import spearmanr
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.model_selection import KFold

from study.execution.executors import InProcessExecutor
from study.execution.jobs import Event, Finished, Job, OnRung, Outcome, RungMetrics, Validation
from study.records.paths import StudyFiles
from study.records.settings import N_STARTUP_TRIALS, Ladder
from study.records.trial import TrialRecord, Trials
from study.retraining.candidates import choose_candidates
from study.search import choosing, family, leaders, tpe
from study.search.choosing import Chooser
from study.search.driver import Search
from study.search.family import FamilySearch
from study.search.storage import open_storage, storage_url
from study.search.turns import Limits
from study.seeds import derive_seed
from study.space.parameters import Parameter
from study.space.points import identity
from study.space.sampling import sample
from study.stages.ladder import choose_ladder
from study.training import loop

SECONDS = 116.0  # worker-seconds of a family in a default study, where a processor trains at such speeds
SPEED = {"mlp": 24_000.0, "cnn": 9_000.0}  # examples a second
IMAGES = 12_000  # of 40,000
N_TRAIN = 40_000
OVERHEAD = 0.05  # seconds of a trial beside training
NOISE = 0.04  # standard deviation of log-error between runs of one configuration, beside what 10,000 images make
SPEED_SHARE = 0.5  # the program's
KEY = ("family", "way", "seed")

Array = NDArray[np.float64]
Config = Mapping[str, Any]


# --- recording -----------------------------------------------------------------------------------------------------


def ladder_of(name: str) -> Ladder:
    ladder = choose_ladder(N_TRAIN, SPEED[name], SECONDS)
    return ladder.model_copy(update={"equal": "seconds", "images": IMAGES})


def row_of(record: TrialRecord, sampler: str, seed: int) -> dict[str, Any]:
    return {
        "family": record.family,
        "sampler": sampler,
        "seed": seed,
        "number": record.number,
        "state": record.state,
        "scale": record.rung_scale,
        "held": record.held_seconds,
        "rungs": [
            [rung.examples, round(rung.accuracy, 5), round(rung.nll_scaled, 5), rung.training_seconds]
            for rung in record.rungs
        ],
        "config": dict(record.config),
    }


def record(name: str, n_trials: int, sampler: str, seed: int, out: Path) -> None:
    """A search whose trials all go to the top rung."""
    torch.set_num_threads(1)
    loop.time = SimpleNamespace(perf_counter=time.thread_time)  # type: ignore[attr-defined]  # seconds of training
    data, _ = dev_data()

    def note(ended: TrialRecord) -> None:
        with out.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row_of(ended, sampler, seed)) + "\n")
        print(name, sampler, seed, ended.number, ended.value, flush=True)

    beside = {"pruner": "none", "sampler": sampler, "surrogate": False, "neighbours": sampler == "tpe"}
    with Charged(data) as executor, opened(name, ladder_of(name), seed, **beside) as search:
        search.run(executor, Limits(n_trials=n_trials), lambda _, ended: None if ended is None else note(ended))


@contextlib.contextmanager
def opened(name: str, ladder: Ladder, seed: int, **changes: Any) -> Iterator[Search]:
    """A search of one family in a folder of its own."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    known = SimpleNamespace(n_classes=10, train=range(N_TRAIN), validation=range(10_000), mean=0.13, std=0.31)
    with tempfile.TemporaryDirectory() as folder:
        files = StudyFiles(Path(folder) / name)
        files.root.mkdir()
        storage = open_storage(storage_url(files, None))
        task = Task(name, "program", seed, SECONDS, 0.0)
        settings = settings_of(task, files, known, ladder).model_copy(update=changes)  # type: ignore[arg-type]
        yield Search(files, settings, storage, Trials())
        storage.engine.dispose()


_space = functools.cache(default_space)


# --- the surrogate -------------------------------------------------------------------------------------------------


def features(config: Config, name: str) -> list[float]:
    """Each parameter on the scale that it is drawn on, from 0 to 1, choices one of n; a parameter that a configuration
    does not have lies in the middle. Of one that is repeated the first, the last and the mean."""
    found: list[float] = []
    for one in _space(name).parameters:
        has = one.active(config) and config.get(one.key) is not None
        if one.kind == "categorical":
            found += [float(has and config[one.key] == choice) for choice in one.choices]
        elif one.repeat:
            values = [_scaled(value, one) for value in config[one.key]]
            found += [values[0], values[-1], sum(values) / len(values)]
        else:
            found.append(_scaled(config[one.key], one) if has else 0.5)
    return found


def _scaled(value: float, one: Parameter) -> float:
    low, high, value = (math.log(it) if one.log else float(it) for it in (one.low, one.high, value))
    return (value - low) / (high - low)


@dataclass(frozen=True)
class Surrogate:
    """Log-errors at the rungs: `model` tells the top one and the steps between rungs, `spread` is the covariance of
    what it does not know of a configuration."""

    name: str
    rungs: tuple[int, ...]
    models: list[GaussianProcessRegressor]
    spread: Array
    known: dict[str, Array] = field(default_factory=dict)

    def log_errors(self, config: Config) -> Array:
        """At each rung, with what is the configuration's own."""
        key = identity(dict(config))
        if key not in self.known:
            x = np.array([features(config, self.name)])
            found = np.array([model.predict(x)[0] for model in self.models])
            seed = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16)
            own = np.random.default_rng(seed).multivariate_normal(np.zeros(len(found)), self.spread)
            self.known[key] = np.minimum(found + own, math.log(0.9))
        return self.known[key]


def load(paths: Sequence[Path]) -> list[dict[str, Any]]:
    lines = [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
    most = max(len(line["rungs"]) for line in lines)
    return [line for line in lines if len(line["rungs"]) == most and line["state"] == "COMPLETE"]


def targets(rows: Sequence[dict[str, Any]]) -> Array:
    return np.log(1 - np.array([[rung[1] for rung in row["rungs"]] for row in rows]) + 1e-4)


def fitted(x: Array, y: Array) -> GaussianProcessRegressor:
    n = x.shape[1]
    kernel = ConstantKernel(1.0) * Matern(np.full(n, 2.0), (0.2, 50.0), nu=2.5) + WhiteKernel(0.05, (1e-3, 1.0))
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):  # that a parameter plays no part
        return GaussianProcessRegressor(kernel, normalize_y=True, random_state=0).fit(x, y)


def cross_validated(x: Array, y: Array, folds: int = 5) -> Array:
    """Predictions of rows by a model that has not seen them."""
    found = np.zeros_like(y)
    for train, test in KFold(folds, shuffle=True, random_state=0).split(x):
        for rung in range(y.shape[1]):
            found[test, rung] = fitted(x[train], y[train, rung]).predict(x[test])
    return found


def surrogate_of(name: str, paths: Sequence[Path]) -> Surrogate:
    rows = load(paths)
    x, y = np.array([features(row["config"], name) for row in rows]), targets(rows)
    told = cross_validated(x, y)
    good = told[:, -1] <= np.median(told[:, -1])  # of bad ones it knows less, and nobody needs to
    spread = np.cov((y - told)[good].T) - np.diag(np.full(y.shape[1], NOISE**2))
    rungs = tuple(rung[0] for rung in rows[0]["rungs"])
    return Surrogate(name, rungs, [fitted(x, y[:, rung]) for rung in range(y.shape[1])], spread)


def print_fit(name: str, paths: Sequence[Path]) -> None:
    rows = load(paths)
    x, y = np.array([features(row["config"], name) for row in rows]), targets(rows)
    found = cross_validated(x, y)
    good = y[:, -1] <= np.quantile(y[:, -1], 0.25)
    print(f"{name}: {len(rows)} trials, log-errors told by a model that has not seen them")
    for rung in range(y.shape[1]):
        for who, some in (("all", np.full(len(y), True)), ("best quarter", good)):
            a, b = y[some, rung], found[some, rung]
            print(
                f"  rung {rung + 1}, {who}: sd {a.std():.2f}, left {np.sqrt(np.mean((a - b) ** 2)):.2f}, rank "
                f"correlation {spearmanr(a, b)[0]:.2f}; with the top rung {spearmanr(a, y[some, -1])[0]:.2f}"
            )
    best = np.argsort(y[:, -1])[:8]
    for place in best:
        print(f"  {100 * (1 - np.exp(y[place, -1])):.2f} % {json.dumps(rows[place]['config'])}")


# --- searches ------------------------------------------------------------------------------------------------------


class Simulated(InProcessExecutor):
    """One worker that trains nothing: a job has what the surrogate says of its configuration, and is charged the
    seconds of its rungs."""

    def __init__(self, surrogate: Surrogate) -> None:
        self._surrogate, self._held = surrogate, dict[str, float]()
        super().__init__(1, self._pretend)

    def _pretend(self, job: Job, on_rung: OnRung) -> Outcome:
        known, rng = self._surrogate.log_errors(job.config), np.random.default_rng(job.seed)
        own = NOISE * rng.standard_normal()
        assert job.equal_seconds is not None  # as in a study with a budget
        rungs, seconds = job.equal_seconds.examples, 0.0
        for place, examples in enumerate(rungs):
            seconds = examples / SPEED[self._surrogate.name]
            self._held[job.id] = OVERHEAD + seconds
            error = min(0.9, math.exp(own + float(_between(examples, self._surrogate.rungs, known))))
            n_read = 10_000 if place == len(rungs) - 1 else 1111
            seen = rng.binomial(n_read, error) / n_read
            validation = Validation(1 - seen, 3 * seen, 3 * seen, 1.0)
            if not on_rung(examples, RungMetrics(seen, 0.0, seconds, validation)):
                break
        return Outcome(training_seconds=seconds, rung_scale=1.0)

    def next_event(self, timeout: float | None = None) -> Event | None:
        event = super().next_event(timeout)
        return replace(event, held_seconds=self._held[event.job.id]) if isinstance(event, Finished) else event

    def running(self) -> dict[str, float]:
        return {job: self._held.get(job, 0.0) for job in super().running()}


def _between(examples: int, rungs: Sequence[int], known: Array) -> float:
    """Log-error after so many examples; beyond the rungs as it went between the last two, half as fast above them."""
    at, places = math.log(examples), np.log(rungs)
    if at < places[0]:
        return float(known[0] + (known[1] - known[0]) / (places[1] - places[0]) * (at - places[0]))
    if at > places[-1]:
        return float(known[-1] + 0.5 * (known[-1] - known[-2]) / (places[-1] - places[-2]) * (at - places[-1]))
    return float(np.interp(at, places, known))


@dataclass(frozen=True)
class Way:
    """What differs from the program without its surrogate; or its `own` way, with it. Of the ladder the rungs as shares
    of the top one, how many go on, and how many times as long the top one is; so many draws at random; the share of the
    later ones that is near the best so many, with numbers moved by so much of their range, drawn anew where it is None;
    the share of trials that TPE takes for good ones; the share of proposals that a forest chooses, as SMAC does, by
    `kappa` standard deviations below what it expects."""

    shares: tuple[float, ...] | None = None
    factor: int | None = None
    top: float = 1.0
    startup: int = N_STARTUP_TRIALS
    near: float = 0.5
    best: int = 3
    moved: float | None = None
    good: float = 0.1
    forest: float = 0.0
    kappa: float = 1.0
    own: bool = False


WAYS: dict[str, Way] = {
    "program": Way(own=True),
    "neighbours": Way(),
    "forest": Way(forest=1.0, near=0.0),
    "forest by mean": Way(forest=1.0, near=0.0, kappa=0.0),
    "half forest": Way(forest=0.5, near=0.5),
    "TPE alone": Way(near=0.0),
    "all near the best": Way(near=1.0),
    "3 of 4 near": Way(near=0.75),
    "near the best 1": Way(best=1),
    "near the best 6": Way(best=6),
    "moved by a fifth": Way(moved=0.2),
    "a quarter is good": Way(good=0.25),
    "16 at random": Way(startup=16),
    "two rungs": Way(shares=(1 / 3, 1.0)),
    "one of 3": Way(factor=3),
    "one of 10": Way(factor=10),
    "half as long": Way(top=0.5),
    "twice as long": Way(top=2.0),
}


def neighbour_of(way: Way, chooser: Chooser, one: FamilySearch, draw: int) -> Mapping[str, Any]:
    """In place of the program's."""
    rng = random.Random(derive_seed(chooser._settings.seed, one.name, draw, "neighbour"))
    if way.forest and one.counted >= way.startup and rng.random() < way.forest:
        return forested(way, one, rng)
    if one.counted < way.startup or rng.random() >= way.near:
        return {}
    best = one.leaders._best[: way.best]
    if not best:
        return {}
    return changed(rng.choice(best), 1, lambda: way.moved, rng)


def changed(parent: TrialRecord, n: int, spread: Callable[[], float | None], rng: random.Random) -> Mapping[str, Any]:
    """The parameters of a trial with `n` of them changed: a choice is another one, a number is moved, or left out to be
    drawn anew."""
    ranges = {name: leaders._range_of(text) for name, text in parent.distributions.items()}
    open_ranges = sorted(name for name, its in ranges.items() if not its.single())
    kept = dict(parent.parameters)
    for name in rng.sample(open_ranges, min(n, len(open_ranges))):
        its, now = ranges[name], kept.pop(name)
        if isinstance(its, CategoricalDistribution):
            kept[name] = rng.choice([choice for choice in its.choices if choice is not None and choice != now])
        elif (moved := spread()) is not None:
            kept[name] = _moved(now, its, moved, rng)
    return kept


class _Drawing:
    """Answers suggestions with what is given where it can be, else at random, and keeps what was asked for."""

    def __init__(self, given: Mapping[str, Any], rng: random.Random) -> None:
        self._given, self._rng = given, rng
        self.drawn: dict[str, Any] = {}

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> Any:
        drawn = math.exp(self._rng.uniform(math.log(low), math.log(high))) if log else self._rng.uniform(low, high)
        return self._take(name, drawn)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> Any:
        drawn = math.exp(self._rng.uniform(math.log(low), math.log(high))) if log else self._rng.uniform(low, high)
        return self._take(name, min(high, max(low, round(drawn))))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._take(name, self._rng.choice(list(choices)))

    def _take(self, name: str, drawn: Any) -> Any:
        self.drawn[name] = self._given.get(name, drawn)
        return self.drawn[name]


CANDIDATES = 400
PARENTS = 10


def forested(way: Way, one: FamilySearch, rng: random.Random) -> Mapping[str, Any]:
    """Of many changes of the best trials, and of draws at random, the one that a forest grown on all trials expects
    most of at the top rung."""
    records = [record for record in one.records if record.rungs and record.counted]
    x, y = [], []
    for record in records:
        for place, rung in enumerate(record.rungs):
            x.append([*features(record.config, one.name), place])
            y.append(math.log(1 - rung.accuracy + 1e-4))
    forest = ExtraTreesRegressor(30, min_samples_leaf=2, max_features=0.5, random_state=rng.randrange(2**31))
    forest.fit(np.array(x), np.array(y))
    top = len(one.settings.ladder.examples) - 1
    pool = one.leaders._best[:PARENTS]
    candidates = []
    for number in range(CANDIDATES):
        kept = changed(rng.choice(pool), 1 + number % 3, lambda: 0.2 if rng.random() < 0.5 else 1.0, rng)
        drawing = _Drawing(kept, rng)
        config = sample(one.space, drawing)
        candidates.append((drawing.drawn, config))
    seen = np.array([[*features(config, one.name), top] for _, config in candidates])
    each = np.array([tree.predict(seen) for tree in forest.estimators_])
    score = each.mean(0) - way.kappa * each.std(0)
    return candidates[int(np.argmin(score))][0]


def _moved(now: Any, its: Any, spread: float, rng: random.Random) -> Any:
    low, high, at = (math.log(it) if its.log else float(it) for it in (its.low, its.high, now))
    new = min(high, max(low, rng.gauss(at, spread * (high - low))))
    new = math.exp(new) if its.log else new
    new = min(its.high, max(its.low, new))
    return round(new) if isinstance(its, IntDistribution) else new


@contextlib.contextmanager
def patched(way: Way) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for module in (choosing, family, tpe):
            stack.enter_context(mock.patch.object(module, "N_STARTUP_TRIALS", way.startup))
        stack.enter_context(mock.patch.object(tpe, "default_gamma", lambda n: min(math.ceil(way.good * n), 25)))
        stack.enter_context(
            mock.patch.object(Chooser, "neighbour", lambda chooser, one, draw: neighbour_of(way, chooser, one, draw))
        )
        yield


def searched(task: tuple[str, int], surrogate: Surrogate) -> dict[str, Any]:
    """A row: the error of what is handed over in %, and how many trials there were and went to the top."""
    name, seed = task
    way, ladder = WAYS[name], ladder_of(surrogate.name)
    top = way.top * ladder.examples[-1]
    shares = way.shares or [examples / ladder.examples[-1] for examples in ladder.examples]
    ladder = ladder.model_copy(
        update={
            "examples": tuple(round(share * top) for share in shares),
            "reduction_factor": way.factor or ladder.reduction_factor,
        }
    )
    with (
        patched(way),
        Simulated(surrogate) as executor,
        opened(surrogate.name, ladder, seed, surrogate=way.own) as search,
    ):
        search.run(executor, Limits(SECONDS), lambda *_: None)
        trials = search.records.counted
    chosen = choose_candidates(trials, 2, speed_share=SPEED_SHARE)[surrogate.name]
    best = min(float(surrogate.log_errors(trial.config)[-1]) for trial in chosen)
    found = {"error": round(100 * math.exp(best), 4), "trials": len(trials), "complete": len(trials.completed)}
    return {"family": surrogate.name, "way": name, "seed": seed, **found}


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    for name in dict.fromkeys(row["family"] for row in rows):
        mine = [row for row in rows if row["family"] == name]
        base = {row["seed"]: row["error"] for row in mine if row["way"] == "neighbours"}
        print(f"{name}: accuracy at the top rung of what is handed over, %")
        for way in dict.fromkeys(row["way"] for row in mine):
            its = [row for row in mine if row["way"] == way]
            errors = np.array([row["error"] for row in its])
            apart = np.array([base[row["seed"]] - row["error"] for row in its if row["seed"] in base])
            se = apart.std(ddof=1) / math.sqrt(len(apart)) if len(apart) > 1 else 0.0
            trials, complete = (np.mean([row[key] for row in its]) for key in ("trials", "complete"))
            print(
                f"{way:<32} {100 - errors.mean():.2f}, sd {errors.std(ddof=1):.2f}, worst in ten "
                f"{100 - np.quantile(errors, 0.9):.2f}; less neighbours {apart.mean():+.2f} ± {se:.2f} "
                f"({len(its)} searches); {trials:.0f} trials, {complete:.0f} complete"
            )


def seeds_in(text: str) -> Sequence[int]:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description="A search simulated on what trials showed.")
    parser.add_argument("--record", type=int, help="train the trials of searches, so many each")
    parser.add_argument("--fit", action="store_true", help="how well the surrogate tells what it has not seen")
    parser.add_argument("--family", default="mlp")
    parser.add_argument("--seeds", type=seeds_in, default=range(4), help="of the searches that are recorded")
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--searches", type=int, default=24)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--trials", type=Path, nargs="*", help="files of recorded trials")
    parser.add_argument("--out", type=Path, default=RECORDED / "surrogate.csv")
    parser.add_argument("--table", action="store_true", help="only print what is recorded")
    options = parser.parse_args()
    paths = options.trials or [RECORDED / f"surrogate_{options.family}.jsonl"]
    if options.record:
        for seed in options.seeds:
            record(options.family, options.record, options.sampler, seed, paths[0])
        return
    print(machine())
    if options.fit:
        print_fit(options.family, paths)
        return
    rows = Rows(options.out, KEY)
    wanted = [(way, seed) for seed in range(options.searches) for way in options.ways.split(",")]
    missing = [(way, seed) for way, seed in wanted if not rows.has(options.family, way, seed)]
    if missing and not options.table:
        surrogate = surrogate_of(options.family, paths)
        for row in parallel(missing, functools.partial(searched, surrogate=surrogate), options.workers):
            rows.add(row)
    print_table(rows.all())


if __name__ == "__main__":
    main()
