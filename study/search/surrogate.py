"""A Gaussian process that learns from a search's trials, and what it proposes.

The process predicts the log-error of a configuration at each rung, from those of all trials at the rungs that they came
to: so the many that were pruned say something of the top rung, too (a matrix of what rungs have in common, times a
kernel of configurations: Bonilla et al. 2007, "Multi-task Gaussian Process Prediction"). Of many changes of the best
trials and of draws at random it proposes what lies lowest some standard deviations below what is expected at the top
rung. Expected improvement, which is less bold, went on sampling beside the first good trial (`benchmarks/README.md`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController

from study.records.trial import Scalar, TrialRecord
from study.search.encoding import Encoding, Rows
from study.space.parameters import SearchSpace

MOST_TRIALS = 256  # that it looks at: half of them the best, the others the newest
_MOST_FITTED = 128  # that the kernel is fitted to: workers wait for it, half a second for so many
_BOLDNESS = (1.0, 2.0, 4.0)  # standard deviations, one of these for each proposal
_WORST_ERROR = 0.5  # how much worse a trial was does not matter
_PARENTS = 10
_N_DRAWN = 100
_N_CHANGED = 300
_ROUNDS = 3  # of changes of the best of the changed
_KEPT = 30
_MOST_CHANGES = 3
_GROWTH = 1.1  # of how many trials there are, before the kernel is fitted anew
_STEPS = 60
_JITTER = 1e-4
_LOG_WEIGHTS = -10.0, 7.0
_OWN = 0.15  # about what a trial's log-error has of its own: its seed, and how few images it was read on

Array = NDArray[np.float64]


class _Seen(NamedTuple):
    """Log-errors, and of which trial and rung each is; columns of the trials' configurations."""

    columns: Array
    trials: NDArray[np.int64]
    rungs: NDArray[np.int64]
    log_errors: Array


@dataclass(frozen=True)
class _Kernel:
    """How much each key weighs in the distance between two configurations; the mean log-error at each rung; and two
    covariances of rungs, as lower triangles: of what alike configurations have in `common`, and of what a single trial
    has of its `own`."""

    weights: Array
    common: Array
    own: Array
    means: Array

    @classmethod
    def first(cls, n_keys: int, seen: _Seen, n_rungs: int) -> _Kernel:
        common, own = 0.5 * np.eye(n_rungs), 0.1 * np.eye(n_rungs)
        common[:, 0], own[:, 0] = 0.5, 0.1
        at = [seen.log_errors[seen.rungs == rung] for rung in range(n_rungs)]
        means = np.array([found.mean() if len(found) else seen.log_errors.min() for found in at])
        return cls(np.full(n_keys, 0.5), common, own, means)

    @property
    def flat(self) -> Array:
        lower = np.tril_indices(len(self.means))
        return np.concatenate([np.log(self.weights), self.common[lower], self.own[lower], self.means])

    def like(self, flat: Array) -> _Kernel:
        n_keys, n_rungs = len(self.weights), len(self.means)
        lower = np.tril_indices(n_rungs)
        n = len(lower[0])
        triangles = np.zeros((2, n_rungs, n_rungs))
        triangles[0][lower], triangles[1][lower] = flat[n_keys : n_keys + n], flat[n_keys + n : n_keys + 2 * n]
        common, own = triangles
        return _Kernel(np.exp(flat[:n_keys]), common, own, flat[n_keys + 2 * n :])


def _apart(a: Array, b: Array) -> Array:
    """Squared distances between all rows of both."""
    squared: Array = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.maximum(squared, 0.0)


def _matern(squared: Array) -> tuple[Array, Array]:
    """Matérn's kernel of 5/2 by squared distances, and its derivative."""
    d = np.sqrt(5 * squared)
    falling = np.exp(-d)
    return (1 + d + d * d / 3) * falling, -5 / 6 * (1 + d) * falling


def _covariance(alike: Array, common: Array, own: Array, seen: _Seen) -> Array:
    """[seen, seen] of configurations that are so much `alike`, [seen, seen]."""
    rungs = np.ix_(seen.rungs, seen.rungs)
    found: Array = alike * common[rungs] + (seen.trials[:, None] == seen.trials) * own[rungs]
    found[np.diag_indices_from(found)] += _JITTER
    return found


class _Loss:
    """Of what was seen, and of how far a kernel lies from what such kernels are, the negative log-likelihood."""

    def __init__(self, seen: _Seen, groups: NDArray[np.int64], first: _Kernel) -> None:
        self._seen, self._first = seen, first
        keys = range(len(first.weights))
        self._apart = np.stack([_apart(mine, mine) for mine in (seen.columns[:, groups == k] for k in keys)])
        self._same = seen.trials[:, None] == seen.trials
        self._is_of = np.eye(len(seen.columns))[seen.trials]  # [seen, trials]
        self._at = np.eye(len(first.means))[seen.rungs]  # [seen, rungs]

    def __call__(self, flat: Array) -> tuple[float, Array]:
        """With its derivatives."""
        kernel, seen = self._first.like(flat), self._seen
        trials, rungs = np.ix_(seen.trials, seen.trials), np.ix_(seen.rungs, seen.rungs)
        alike, slope = _matern(np.tensordot(kernel.weights, self._apart, 1))
        common, own = kernel.common @ kernel.common.T, kernel.own @ kernel.own.T
        factor = cho_factor(_covariance(alike[trials], common, own, seen), lower=True, check_finite=False)
        left = seen.log_errors - kernel.means[seen.rungs]
        solved = cho_solve(factor, left, check_finite=False)
        loss = 0.5 * left @ solved + np.log(np.diag(factor[0])).sum()
        each = 0.5 * (cho_solve(factor, np.eye(len(left)), check_finite=False) - np.outer(solved, solved))
        by_trial = self._is_of.T @ (each * common[rungs]) @ self._is_of * slope
        d_weights = kernel.weights * np.tensordot(self._apart, by_trial, 2)
        d_common = 2 * (self._at.T @ (each * alike[trials]) @ self._at) @ kernel.common
        d_own = 2 * (self._at.T @ (each * self._same) @ self._at) @ kernel.own
        d_means = -self._at.T @ solved
        prior, more = self._prior(kernel)
        lower = np.tril_indices(len(kernel.means))
        found = np.concatenate([d_weights, d_common[lower], d_own[lower], d_means]) + more
        return float(loss + prior), found

    @staticmethod
    def _prior(kernel: _Kernel) -> tuple[float, Array]:
        """Most keys matter little, errors fall from rung to rung, and all rungs have much in common."""
        w, common, own, means = kernel.weights, kernel.common, kernel.own, kernel.means
        off, size = np.log(np.linalg.norm(own, axis=1) / _OWN), (own**2).sum(axis=1)
        apart, fall = common - 0.5 * (np.arange(len(means)) == 0), np.diff(means) + 0.5
        scale = np.where(np.arange(len(means)) == 0, 2.0, 4.0)
        lower = np.tril_indices(len(means))
        loss = 0.05 * (1 / w + w).sum() + 2 * (off**2).sum() + (scale * np.tril(apart) ** 2).sum() + 2 * (fall**2).sum()
        d_means = np.zeros_like(means)
        d_means[1:] += 4 * fall
        d_means[:-1] -= 4 * fall
        d_own = 4 * (off / size)[:, None] * own
        more = [0.05 * (w - 1 / w), (2 * scale * apart)[lower], d_own[lower], d_means]
        return float(loss), np.concatenate(more)


class _Process:
    """A kernel's process, given what was seen."""

    def __init__(self, kernel: _Kernel, seen: _Seen, groups: NDArray[np.int64]) -> None:
        self._kernel, self._rungs = kernel, seen.rungs
        self._scale = np.sqrt(kernel.weights)[groups]
        self._columns = seen.columns[seen.trials] * self._scale
        self._common = kernel.common @ kernel.common.T
        alike, _ = _matern(_apart(self._columns, self._columns))
        covariance = _covariance(alike, self._common, kernel.own @ kernel.own.T, seen)
        self._factor = cho_factor(covariance, lower=True, check_finite=False)
        self._solved = cho_solve(self._factor, seen.log_errors - kernel.means[seen.rungs], check_finite=False)

    def at_the_top(self, columns: Array) -> tuple[Array, Array]:
        """Expected log-error at the top rung, and the standard deviation of what is expected of it."""
        apart = _apart(columns * self._scale, self._columns)
        shared = _matern(apart)[0] * self._common[-1][self._rungs]
        told = solve_triangular(self._factor[0], shared.T, lower=True, check_finite=False)
        variance = self._common[-1, -1] - (told**2).sum(axis=0)
        return self._kernel.means[-1] + shared @ self._solved, np.sqrt(np.maximum(variance, 1e-9))


class Surrogate:
    """One family's, over a ladder of `n_rungs`."""

    def __init__(self, space: SearchSpace, n_rungs: int) -> None:
        self._encoding, self._n_rungs = Encoding(space), n_rungs
        self._threads = ThreadpoolController()
        self._kernel: _Kernel | None = None
        self._n_fitted = 0

    def proposal(
        self, records: Sequence[TrialRecord], flying: Sequence[Mapping[str, Scalar]], seed: int
    ) -> dict[str, Scalar]:
        """Parameters of a configuration, by Optuna's names; none where no trial has told anything, or numbers fail.
        `records` are in the order in which they ended; what is `flying` counts as if it had come to the top rung with
        what is expected of it."""
        known = [one for one in records if one.counted and (one.rungs or _failed(one))]
        n_fitted = _fitted_at(len(known))
        if not self._encoding.n_slots or not any(one.rungs for one in known[:n_fitted]):
            return {}
        rng = np.random.default_rng(seed)
        with self._threads.limit(limits=1), suppress(np.linalg.LinAlgError):  # the cores are the workers'
            if n_fitted != self._n_fitted:
                self._kernel, self._n_fitted = None, n_fitted
                self._kernel = self._fitted(known[:n_fitted])
            if self._kernel is None:  # numbers failed
                return {}
            known = _looked_at(known)
            rows = self._encoding.rows([one.parameters for one in known], rng)
            seen = self._told(known, rows)
            process = self._process(seen)
            if flying:
                more = self._encoding.seen(self._encoding.rows(flying, rng))
                process = self._process(_with(seen, more, process.at_the_top(more)[0], self._n_rungs - 1))
            expected, _ = process.at_the_top(seen.columns)
            row = self._lowest(process, rows[np.argsort(expected)[:_PARENTS]], rng)
            return self._encoding.parameters(row)
        return {}

    def _told(self, known: Sequence[TrialRecord], rows: Rows) -> _Seen:
        top = self._n_rungs - 1
        told = [
            (trial, rung, math.log(min(_WORST_ERROR, 1 - one.accuracy) + 1e-4))  # which may be nan
            for trial, record in enumerate(known)
            for rung, one in enumerate(record.rungs[: self._n_rungs])
        ]
        failed = [trial for trial, record in enumerate(known) if _failed(record) and len(record.rungs) <= top]
        told += [(trial, top, math.log(_WORST_ERROR)) for trial in failed]
        trials, rungs, log_errors = zip(*told, strict=True)
        return _Seen(self._encoding.seen(rows), np.array(trials), np.array(rungs), np.array(log_errors))

    def _fitted(self, known: Sequence[TrialRecord]) -> _Kernel:
        known = _looked_at(known, _MOST_FITTED)
        rows = self._encoding.rows([one.parameters for one in known], np.random.default_rng(0))
        seen, groups = self._told(known, rows), self._encoding.groups
        first = _Kernel.first(int(groups.max()) + 1, seen, self._n_rungs)
        loss = _Loss(seen, groups, first)
        bounds = [*[_LOG_WEIGHTS] * len(first.weights), *[(None, None)] * (len(first.flat) - len(first.weights))]
        found = minimize(loss, first.flat, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS})
        return first.like(found.x)

    def _process(self, seen: _Seen) -> _Process:
        assert self._kernel is not None
        return _Process(self._kernel, seen, self._encoding.groups)

    def _lowest(self, process: _Process, parents: Rows, rng: np.random.Generator) -> Array:
        """The row of the most promising of many configurations, near the parents and anywhere."""
        encoding, boldness = self._encoding, rng.choice(_BOLDNESS)

        def best(rows: Rows, n: int) -> Rows:
            expected, spread = process.at_the_top(encoding.seen(rows))
            found: Rows = rows[np.argsort(expected - boldness * spread)[:n]]
            return found

        chosen = parents[rng.integers(len(parents), size=_N_CHANGED)]
        changes = rng.integers(1, 1 + _MOST_CHANGES, _N_CHANGED)
        rows = np.concatenate([rng.random((_N_DRAWN, encoding.n_slots)), encoding.changed(chosen, changes, rng)])
        for _ in range(_ROUNDS):
            kept = best(rows, _KEPT)
            chosen = kept[(len(kept) * rng.random(_N_CHANGED) ** 2).astype(int)]
            changes = rng.integers(1, _MOST_CHANGES, _N_CHANGED)  # one less at most, by now
            rows = np.concatenate([kept, encoding.changed(chosen, changes, rng)])
        lowest: Array = best(rows, 1)[0]
        return lowest


def _fitted_at(n: int) -> int:
    """Of how many trials, the first ones, the kernel is fitted where there are `n`: whoever goes on with a search has
    the kernel of whoever was interrupted."""
    fitted = following = min(n, 1)
    while following <= n:
        fitted, following = following, max(following + 1, int(_GROWTH * following))
    return fitted


def _with(seen: _Seen, columns: Array, log_errors: Array, rung: int) -> _Seen:
    n, more = len(seen.columns), len(columns)
    return _Seen(
        np.concatenate([seen.columns, columns]),
        np.concatenate([seen.trials, np.arange(n, n + more)]),
        np.concatenate([seen.rungs, np.full(more, rung)]),
        np.concatenate([seen.log_errors, log_errors]),
    )


def _failed(record: TrialRecord) -> bool:
    return record.state == "FAIL"


def _looked_at(records: Sequence[TrialRecord], most: int = MOST_TRIALS) -> list[TrialRecord]:
    if len(records) <= most:
        return list(records)
    good = [one for one in records if one.rungs and not _failed(one)]
    best = sorted(good, key=lambda one: (-len(one.rungs), *one.rank, one.number))[: most // 2]
    numbers = {one.number for one in best}
    return best + [one for one in records if one.number not in numbers][-(most - len(best)) :]
