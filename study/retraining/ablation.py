"""The ablation: each family's finalist under the other finalists' recipes, which parts what an architecture does from
how it was trained, then with one choice swapped at a time; on validation, under the same fresh seeds.

Every variant is trained on the training part for as long as the finalist's candidate runs were. The runs lie in
`ablation/`, so that an interrupted ablation keeps what is finished and a later one adds to it; their weights are not
kept. `ablation.json` holds the differences.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from study.errors import ResultsError
from study.execution.executors import Executor
from study.execution.jobs import Finished, Job
from study.records.files import write_json
from study.records.finalists import Candidate, read_finalists
from study.records.paths import RunFiles, StudyFiles
from study.records.run import read_metrics
from study.records.settings import StudySettings
from study.records.trial import TrialRecord, Trials, read_trials
from study.retraining.runs import Engine, plan_run
from study.retraining.train_all import train_all
from study.seeds import derive_seed
from study.space.grammar import parse_space
from study.space.parameters import SearchSpace
from study.space.sampling import swapped
from study.statistics.over_seeds import compare_finalists
from study.statistics.result import strict
from study.training.config import TRAINING_KEYS, completed

SEEDS = 3
RECIPE = "recipe"  # the name of a swap of all that says how a network is trained
Config = dict[str, Any]


@dataclass(frozen=True)
class Swap:
    """The finalist's configuration with `value` for `parameter`, or under the recipe of another finalist; `also` holds
    what had to change beside it, None where a key fell away. `parameter` is empty for the finalist itself."""

    family: str
    parameter: str
    value: Any
    place: int
    config: Config
    also: Mapping[str, Any]

    @property
    def stem(self) -> str:
        """The beginning of its runs' names; a choice may be any text, so its place in the space stands for it."""
        return f"{self.family}-{self.parameter}-{self.place}" if self.parameter else f"{self.family}-finalist"


def swaps_of(space: SearchSpace, config: Config, trials: Sequence[TrialRecord]) -> list[Swap]:
    """All swaps of one categorical choice of `config`, in the order in which they are worth their time: first every
    parameter's alternative that did best in the search, then its second best, and so on."""
    ranked = sorted(trials, key=lambda trial: -_score(trial))
    by_parameter = []
    active = [p for p in space.parameters if p.kind == "categorical" and p.active(config) and p.key in config]
    for key in dict.fromkeys(p.key for p in active):
        choices = next(p.choices for p in active if p.key == key)
        found = [
            _swap(space, config, key, place, value, ranked)
            for place, value in enumerate(choices)
            if not _holds(config[key], value)
        ]
        by_parameter.append(sorted(found, key=lambda swap: -_best_with(ranked, swap)))
    return [swap for turn in zip_longest(*by_parameter) for swap in turn if swap is not None]


def recipe_of(space: SearchSpace, config: Config, title: str, other: Config, place: int) -> Swap | None:
    """`config` trained as `other` is, whose finalist has the `title`; None where that is how it is trained already, or
    where the space has a choice of its own for which the other recipe's is none of the choices. Numbers are taken as
    they are: a range says where a search looks."""
    recipe = {key: value for key, value in other.items() if key in TRAINING_KEYS}
    changed = {key: value for key, value in config.items() if key not in TRAINING_KEYS} | recipe
    differing = [key for key in TRAINING_KEYS & (config.keys() | recipe.keys()) if config.get(key) != recipe.get(key)]
    if not differing or not all(
        p.contains(changed[p.key]) for p in space.parameters if p.kind == "categorical" and p.key in recipe
    ):
        return None
    return Swap(space.family, RECIPE, title, place, changed, {key: recipe.get(key) for key in sorted(differing)})


def _score(trial: TrialRecord) -> float:
    """Its value, or for one that reached no rung something below every value."""
    return -1.0 if trial.value is None else trial.value


def _best_with(ranked: Sequence[TrialRecord], swap: Swap) -> float:
    scores = (_score(trial) for trial in ranked if _holds(trial.config.get(swap.parameter), swap.value))
    return next(scores, -2.0)


def _holds(seen: Any, choice: Any) -> bool:
    """Whether a value, or every entry of a repeated one, is `choice`; True is not 1."""
    entries = seen if isinstance(seen, list) else [seen]
    return all(type(entry) is type(choice) and entry == choice for entry in entries)


def _swap(space: SearchSpace, config: Config, key: str, place: int, value: Any, ranked: Sequence[TrialRecord]) -> Swap:
    changed = swapped(space, config, key, value, [dict(trial.config) for trial in ranked])
    keys = [name for name in {**config, **changed} if name != key and config.get(name) != changed.get(name)]
    return Swap(space.family, key, value, place, changed, {name: changed.get(name) for name in keys})


@dataclass(frozen=True)
class _Family:
    name: str
    trial: int
    examples: int
    run_seconds: float  # of a candidate run of the finalist's configuration
    own: Swap
    swaps: Sequence[Swap]


class Ablation:
    """The swaps of a study's finalists over one executor. ResultsError before there are finalists."""

    def __init__(self, files: StudyFiles, settings: StudySettings, engine: Engine) -> None:
        self._files = files
        self._settings = settings
        self._engine = engine
        self._failed: dict[str, str] = {}
        finalists, trials = read_finalists(files.finalists), read_trials(files.trials_jsonl).counted
        chosen = {name: row.chosen for name, row in finalists.families.items() if row.chosen is not None}
        self._spaces = {
            name: parse_space(family.space, family.space_file) for name, family in settings.families.items()
        }
        self._configs = {
            name: completed(
                next(trial.config for trial in trials.of(name) if trial.number == one.trial), self._spaces[name]
            )
            for name, one in chosen.items()
        }
        self._families = [
            self._family(name, one, trials.of(name), {other: it.trial for other, it in chosen.items() if other != name})
            for name, one in chosen.items()
        ]
        if not self._families:
            raise ResultsError(f"{files.finalists} names no finalist; expected one at least: rerun `study retrain`")
        self.n_trained = 0  # runs of this call
        self.n_to_train = sum(1 for _ in self._jobs(math.inf, 1))

    def _family(self, name: str, finalist: Candidate, trials: Trials, others: Mapping[str, int]) -> _Family:
        config = self._configs[name]
        own = Swap(name, "", None, 0, config, {})
        seconds = statistics.fmean(read_metrics(self._files.run(run)).seconds for run in finalist.runs)
        space = self._spaces[name]
        recipes = (
            recipe_of(space, config, f"of {other} #{trial}", self._configs[other], place)
            for place, (other, trial) in enumerate(others.items())
        )
        swaps = [*(recipe for recipe in recipes if recipe is not None), *swaps_of(space, config, trials)]
        return _Family(name, finalist.trial, finalist.examples, seconds, own, swaps)

    def run(self, executor: Executor, seconds: float | None, tick: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Train what is not there yet, and write `ablation.json`. With `seconds`, a variant is begun only if it should
        end within them; what is left out is listed. Interrupted, it writes what is finished."""
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        jobs = self._jobs(deadline, executor.n_workers)
        try:
            train_all(executor, lambda: next(jobs, None), on_end=self._end, tick=tick)
        finally:
            found = self.result()
            write_json(self._files.ablation, found)
        return found

    def _jobs(self, deadline: float, n_workers: int) -> Iterator[Job]:
        """Runs in the order of their worth: finalists, then swap after swap, the families in turn."""
        turns = zip_longest(*([(family, swap) for swap in family.swaps] for family in self._families))
        own = [(family, family.own) for family in self._families]
        for family, swap in chain(own, (pair for turn in turns for pair in turn if pair is not None)):
            jobs = [job for seed in range(SEEDS) if (job := self._job(family, swap, seed)) is not None]
            if time.monotonic() + family.run_seconds * math.ceil(len(jobs) / n_workers) <= deadline:
                yield from jobs

    def _job(self, family: _Family, swap: Swap, index: int) -> Job | None:
        # The same seeds for every variant: the same initial draws where shapes agree, the same order of images.
        seed = derive_seed(self._settings.seed, family.name, index, f"ablation {family.trial}")
        return plan_run(
            self._run(swap, index),
            self._settings,
            self._engine,
            swap.config,
            family.examples,
            family=family.name,
            trial=family.trial,
            role="ablation",
            seed=seed,
            seed_index=index,
        )

    def _run(self, swap: Swap, index: int) -> RunFiles:
        return RunFiles(self._files.root / "ablation" / f"{swap.stem}-seed{index}")

    def _end(self, event: Finished) -> None:
        if event.reason is not None:
            self._failed[event.job.id] = event.reason
        self.n_trained += 1
        (self._files.root / "ablation" / event.job.id / "model.safetensors").unlink(missing_ok=True)

    def result(self) -> dict[str, Any]:
        """The content of ablation.json."""
        families = {family.name: self._row(family) for family in self._families}
        found: dict[str, Any] = strict(
            {"seeds": SEEDS, "n_validation": self._settings.dataset.n_validation, "families": families}
        )
        return found

    def _row(self, family: _Family) -> dict[str, Any]:
        own = self._correct(family, family.own)
        rows = [row for swap in family.swaps if (row := self._difference(family, swap, own)) is not None]
        told = {(row["parameter"], row["place"]) for row in rows}
        left = [swap for swap in family.swaps if (swap.parameter, swap.place) not in told]
        return {
            "trial": family.trial,
            "examples": family.examples,
            "accuracies": None if own is None else own.mean(axis=1),
            "rows": rows,
            "left_out": [{"parameter": swap.parameter, "value": swap.value} for swap in left],
            "seconds_left_out": SEEDS * family.run_seconds * len(left),
        }

    def _difference(self, family: _Family, swap: Swap, own: NDArray[np.bool_] | None) -> dict[str, Any] | None:
        """One swap's row, None for one that is not trained yet."""
        about = {
            "parameter": swap.parameter,
            "place": swap.place,
            "from": family.own.config.get(swap.parameter, "its own"),
            "value": swap.value,
            "also": dict(swap.also),
        }
        reason = next((self._failed[name] for name in self._names(swap) if name in self._failed), None)
        if reason is not None:
            return {**about, "failed": reason}
        correct = self._correct(family, swap)
        if own is None or correct is None:
            return None
        compared = compare_finalists(correct, own)
        numbers = {"difference": compared.difference, "se": compared.se, "interval95": compared.interval95}
        return {**about, "failed": None, "accuracies": correct.mean(axis=1), **numbers}

    def _names(self, swap: Swap) -> list[str]:
        return [self._run(swap, index).root.name for index in range(SEEDS)]

    def _correct(self, family: _Family, swap: Swap) -> NDArray[np.bool_] | None:
        """bool [SEEDS, validation images], None unless every one of these very runs is done."""
        if any(self._job(family, swap, index) is not None for index in range(SEEDS)):
            return None
        seeds = []
        for index in range(SEEDS):
            with np.load(self._run(swap, index).validation, allow_pickle=False) as arrays:
                seeds.append(arrays["logits"].argmax(axis=1) == arrays["labels"])
        return np.stack(seeds)
