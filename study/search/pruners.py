"""Pruners by name, on a ladder's rungs."""

from __future__ import annotations

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.trial import FrozenTrial

from study.records.settings import Ladder, PrunerName


class AshaPruner(BasePruner):
    """Asynchronous successive halving (Li et al. 2020, arXiv:1810.05934): at each rung a trial goes on if it is in the
    top 1/reduction_factor of the values recorded there so far, the best one always.

    Optuna's SuccessiveHalvingPruner keeps rung values in attributes that a repeated trial would inherit and that count
    for interrupted trials too; this one reads the reports themselves and leaves uncounted trials out.
    """

    def __init__(self, reduction_factor: int) -> None:
        self._reduction_factor = reduction_factor

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None:
            return False
        value = trial.intermediate_values[step]
        others = [
            other.intermediate_values[step]
            for other in study.get_trials(deepcopy=False)
            if other.number != trial.number
            and step in other.intermediate_values
            and other.user_attrs.get("counted", True)
        ]
        better = sum(1 for other in others if other > value)
        return better >= max(1, (len(others) + 1) // self._reduction_factor)


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
