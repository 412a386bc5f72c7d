"""Pruners by name, on a ladder's rungs."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Sequence

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.trial import FrozenTrial

from study.records.settings import Ladder, PrunerName


class AshaPruner(BasePruner):
    """Asynchronous successive halving (Li et al. 2020, arXiv:1810.05934): at each rung a trial goes on if it is in the
    top 1/reduction_factor of the values recorded there so far, the best one always.

    Optuna's SuccessiveHalvingPruner keeps rung values in attributes that a repeated trial would inherit and that count
    for interrupted trials too; this one reads the reports themselves and leaves uncounted trials out. Those of finished
    trials are kept sorted, so that ten thousand of them cost a report no more than ten: a pruner is of one study.
    """

    def __init__(self, reduction_factor: int) -> None:
        self._reduction_factor = reduction_factor
        self._rungs: defaultdict[int, list[float]] = defaultdict(list)  # by step, of finished trials, rising
        self._unfinished: set[int] = set()  # numbers of those trials seen so far that had not finished
        self._n_seen = 0

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None:
            return False
        value = trial.intermediate_values[step]
        trials = study.get_trials(deepcopy=False)
        self._look_at(trials)
        finished = self._rungs[step]
        running = [
            other.intermediate_values[step]
            for number in self._unfinished
            if number != trial.number and step in (other := trials[number]).intermediate_values and _counts(other)
        ]
        better = len(finished) - bisect.bisect_right(finished, value) + sum(1 for other in running if other > value)
        n_others = len(finished) + len(running)
        return better >= max(1, (n_others + 1) // self._reduction_factor)

    def _look_at(self, trials: Sequence[FrozenTrial]) -> None:
        """Keep the reports of the trials that have finished since the last look."""
        self._unfinished.update(range(self._n_seen, len(trials)))
        self._n_seen = len(trials)
        for number in [number for number in self._unfinished if trials[number].state.is_finished()]:
            self._unfinished.remove(number)
            if _counts(trials[number]):
                for step, value in trials[number].intermediate_values.items():
                    bisect.insort(self._rungs[step], value)


def _counts(trial: FrozenTrial) -> bool:
    return bool(trial.user_attrs.get("counted", True))


def make_pruner(name: PrunerName, ladder: Ladder) -> BasePruner:
    """A pruner over reports whose step is the rung's number of examples."""
    if name == "asha":
        return AshaPruner(ladder.reduction_factor)
    if name == "hyperband":
        return HyperbandPruner(
            min_resource=ladder.examples[0],
            max_resource=ladder.examples[-1],
            reduction_factor=ladder.reduction_factor,
        )
    if name == "median":
        return MedianPruner(n_startup_trials=5, n_warmup_steps=0)
    return NopPruner()
