"""The trials of one study as TPE looks at them, kept from one proposal to the next."""

from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.search_space.group_decomposed import _SearchSpaceGroup
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

Numbers: TypeAlias = NDArray[np.int_]
Values: TypeAlias = NDArray[np.float64]
_Rank: TypeAlias = tuple[int, float, float, int]  # smaller is better; the last is the trial's number


class History:
    """Parameters of the trials as columns, a row each in the order of their numbers, and the finished ones best first.

    TPESampler looks at every trial for each group of parameters of each proposal: half a second with ten thousand.
    """

    def __init__(self) -> None:
        self.n_rows = 0
        self._columns: dict[str, Values] = {}  # by parameter, NaN where a trial has none
        self._is_alive = np.zeros(64, bool)  # neither failed nor without a state that counts
        self._ranks: list[_Rank] = []
        self._unfinished: set[int] = set()
        self._distributions: dict[str, BaseDistribution] = {}
        self._branches: dict[frozenset[str], FrozenTrial] = {}  # the first trial of each set of parameters
        self._groups: _SearchSpaceGroup | None = None
        # Of proposals to come, drawn from what is known here: how many, and their parameters by group.
        self.n_ahead = 0
        self.ahead: dict[tuple[str, ...], deque[dict[str, Any]]] = {}
        # What was drawn jointly for a trial to come, by its number: while it runs TPE counts what its branch has not,
        # too.
        self.joint: dict[int, Mapping[str, Any]] = {}

    @property
    def n_finished(self) -> int:
        """How many trials are complete or pruned."""
        return len(self._ranks)

    @property
    def n_running(self) -> int:
        """How many trials of those known have not ended."""
        return len(self._unfinished)

    def plan_ahead(self, n: int) -> None:
        """So many proposals are to come of what is known now."""
        self.n_ahead, self.ahead = n, {}

    def update(self, study: optuna.Study, n: int) -> None:
        """Take note of what has become of the study's first `n` trials."""
        trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
        sign = 1.0 if study.direction == StudyDirection.MINIMIZE else -1.0
        for number in sorted([*self._unfinished, *range(self.n_rows, n)]):
            if trials[number].state.is_finished():
                self._finish(trials[number], sign)
            elif number >= self.n_rows:
                self._begin(trials[number])
        self.n_rows = max(self.n_rows, n)

    def split(self, n_better: int, window: int | None) -> tuple[Numbers, Numbers]:
        """Numbers, rising, of the best trials, and of the others that are not failed: those that run included, no more
        than the newest `window`."""
        better = np.array(sorted(rank[-1] for rank in self._ranks[:n_better]), int)
        is_worse = self._is_alive[: self.n_rows].copy()
        is_worse[better] = False
        worse = np.flatnonzero(is_worse)
        return better, worse if window is None else worse[-window:]

    def observations(self, numbers: Numbers, names: Sequence[str]) -> dict[str, Values]:
        """Of these trials those that have all these parameters, a column each, in Optuna's internal representation."""
        none = np.full(len(numbers), np.nan)
        columns = [self._columns[name][numbers] if name in self._columns else none for name in names]
        have_all = ~np.isnan(columns).any(axis=0)
        return {name: column[have_all] for name, column in zip(names, columns, strict=True)}

    @property
    def groups(self) -> _SearchSpaceGroup:
        """The parameters, apart by which of them occur together in finished trials."""
        if self._groups is None:
            self._groups = _SearchSpaceGroup()
            for first in sorted(self._branches.values(), key=lambda trial: trial.number):
                self._groups.add_distributions(first.distributions)
        return self._groups

    def _begin(self, trial: FrozenTrial) -> None:
        self._unfinished.add(trial.number)
        joint = self.joint.pop(trial.number, {})
        if trial.state == TrialState.RUNNING:
            self._distributions |= trial.distributions
            self._write_row(trial.number, {**joint, **trial.params})

    def _finish(self, trial: FrozenTrial, sign: float) -> None:
        self._unfinished.discard(trial.number)
        if trial.state == TrialState.FAIL:
            self._grow(trial.number)
            self._is_alive[trial.number] = False
            return
        bisect.insort(self._ranks, _rank(trial, sign))
        branch = frozenset(trial.distributions)
        first = self._branches.get(branch)
        if first is None or first.number > trial.number:
            self._branches[branch] = trial
            self._distributions |= trial.distributions
            self._groups = None
        self._write_row(trial.number, trial.params)

    def _write_row(self, number: int, params: Mapping[str, Any]) -> None:
        self._grow(number)
        self._is_alive[number] = True
        for column in self._columns.values():
            column[number] = np.nan
        for name, value in params.items():
            if name not in self._columns:
                self._columns[name] = np.full(len(self._is_alive), np.nan)
            self._columns[name][number] = self._distributions[name].to_internal_repr(value)

    def _grow(self, number: int) -> None:
        more = len(self._is_alive)
        if number < more:
            return
        self._is_alive = np.append(self._is_alive, np.zeros(more, bool))
        self._columns = {name: np.append(column, np.full(more, np.nan)) for name, column in self._columns.items()}
        self._grow(number)


def _rank(trial: FrozenTrial, sign: float) -> _Rank:
    """Complete trials by their value, then pruned ones by how far they came and their value there."""
    if trial.state == TrialState.COMPLETE:
        assert trial.value is not None
        return 0, 0.0, sign * trial.value, trial.number
    if not trial.intermediate_values:
        return 1, 1.0, 0.0, trial.number
    step, value = max(trial.intermediate_values.items())
    return 1, -step, math.inf if math.isnan(value) else sign * value, trial.number
