"""Pruners by name, on a ladder's rungs."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Mapping, Sequence

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.trial import FrozenTrial

from study.records.settings import Ladder, PrunerName

_IN_FLIGHT = 16  # trials, for each of which all that are in flight may be looked at one report later


class AshaPruner(BasePruner):
    """Asynchronous successive halving (Li et al. 2020, arXiv:1810.05934): at each rung a trial goes on if it is in the
    top 1/reduction_factor of the values recorded there so far, the best one always.

    Optuna's SuccessiveHalvingPruner keeps rung values in attributes that a repeated trial would inherit and that count
    for interrupted trials too; this one reads the reports themselves and leaves uncounted trials out. They are kept
    sorted, so that ten thousand trials cost a report no more than ten: a pruner is of one study, and is asked at every
    report below the top.
    """

    def __init__(self, reduction_factor: int) -> None:
        self._reduction_factor = reduction_factor
        self._rungs: defaultdict[int, list[float]] = defaultdict(list)  # by step, of all trials that count, rising
        # By number, as they were last seen, and the reports that were noted then: a trial's own may become more.
        self._unfinished: dict[int, tuple[FrozenTrial, dict[int, float]]] = {}
        self._n_seen = 0
        self._n_since = 0  # reports since all that had not ended were looked at

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None:
            return False
        self._look_at(study.get_trials(deepcopy=False), trial.number)
        values = self._rungs[step]  # its own among them
        better = len(values) - bisect.bisect_right(values, trial.intermediate_values[step])
        return better >= max(1, len(values) // self._reduction_factor)

    def _look_at(self, trials: Sequence[FrozenTrial], reporting: int) -> None:
        """Take note of what was reported since the last look. A trial that has changed is another object.

        What a trial reported was noted then; it is looked at again to forget it where it turns out not to count. With
        a thousand in flight that took 7 % of the driver's time, so that then it happens at one report in some dozens.
        """
        self._n_since += 1
        looked_at = {reporting, *range(self._n_seen, len(trials))}
        if self._n_since > len(self._unfinished) // _IN_FLIGHT:
            self._n_since = 0
            looked_at |= {number for number, (trial, _) in self._unfinished.items() if trials[number] is not trial}
        self._n_seen = len(trials)
        for number in looked_at:
            trial = trials[number]
            _, noted = self._unfinished.pop(number, (trial, {}))
            if not _counts(trial):
                self._forget(noted)
                continue
            for step in trial.intermediate_values.keys() - noted.keys():
                bisect.insort(self._rungs[step], trial.intermediate_values[step])
            if not trial.state.is_finished():
                self._unfinished[number] = trial, dict(trial.intermediate_values)

    def _forget(self, reports: Mapping[int, float]) -> None:
        for step, value in reports.items():
            self._rungs[step].remove(value)


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
