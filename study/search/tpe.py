"""TPE over a history that is kept from one proposal to the next."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator
from optuna.samplers._tpe.sampler import default_gamma
from optuna.trial import FrozenTrial

from study.records.settings import N_STARTUP_TRIALS
from study.search.densities import draw, log_density
from study.search.history import History, Numbers

_IN_FLIGHT = 16  # trials, for each of which one more proposal is drawn at once


class KeptTPE(TPESampler):
    """Draws what `TPESampler(multivariate=True, group=True)` draws, for one ask of one study: the one that `history` is
    of. Where `window` is given, no more than so many of the newest worse trials shape the density that it avoids.

    Where many trials are in flight, some proposals are drawn at once from the same densities and kept in `history` for
    the next asks: each of them misses at most a sixteenth as many trials as are in flight, whose ends it misses anyway.

    It relies on how Optuna 5 samples; tests compare it with TPESampler itself.
    """

    def __init__(self, seed: int, history: History, window: int | None) -> None:
        # group: spaces with branches are sampled jointly within each branch.
        # constant_liar: what is drawn jointly would be stored for other programs; the history has it.
        super().__init__(
            seed=seed, multivariate=True, group=True, constant_liar=False, n_startup_trials=N_STARTUP_TRIALS
        )
        self._history = history
        self._window = window

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        history = self._history
        if not history.n_ahead:
            history.update(study, trial.number)
            history.plan_ahead(max(1, history.n_running // _IN_FLIGHT))
        history.n_ahead -= 1
        self._better, self._worse = history.split(default_gamma(history.n_finished), self._window)
        self._search_space_group = history.groups
        return {
            name: distribution
            for space in history.groups.search_spaces
            for name, distribution in sorted(space.items())
            if not distribution.single()
        }

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        joint = super().sample_relative(study, trial, search_space)
        self._history.joint[trial.number] = joint
        return joint

    def _sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space or self._history.n_finished < N_STARTUP_TRIALS:
            return {}
        drawn = self._history.ahead.setdefault(tuple(search_space), deque())
        if not drawn:
            drawn.extend(self._draw(search_space, 1 + self._history.n_ahead))
        return drawn.popleft()

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if self._history.n_finished < N_STARTUP_TRIALS:
            return self._random_sampler.sample_independent(study, trial, param_name, param_distribution)
        return self._draw({param_name: param_distribution}, 1)[0][param_name]

    def _draw(self, search_space: dict[str, BaseDistribution], n: int) -> list[dict[str, Any]]:
        """The best of some candidates, `n` times."""
        better, worse = (self._estimator(numbers, search_space) for numbers in (self._better, self._worse))
        mixture, rng, n_candidates = better._mixture_distribution, self._rng.rng, n * self._n_ei_candidates
        x = mixture.sample(rng, n_candidates) if n == 1 else draw(mixture, rng, n_candidates)
        number = np.float64 if n == 1 else np.float32
        gain = log_density(mixture, x, number) - log_density(worse._mixture_distribution, x, number)
        best = np.arange(n) * self._n_ei_candidates + gain.reshape(n, -1).argmax(axis=1)
        return [
            {name: one.to_external_repr(value) for (name, one), value in zip(search_space.items(), row, strict=True)}
            for row in x[best].tolist()
        ]

    def _estimator(self, numbers: Numbers, search_space: dict[str, BaseDistribution]) -> _ParzenEstimator:
        observations = self._history.observations(numbers, list(search_space))
        return _ParzenEstimator(observations, search_space, self._parzen_estimator_parameters)
