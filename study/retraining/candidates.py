"""Which trials of the searches are trained again. Pure functions of their records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from study.space.points import identity

_LEAST_ERROR: float = 1e-4  # an image of ten thousand: what no error is taken to be less than


def rank_key(record: Mapping[str, Any]) -> tuple[float, float]:
    """Smaller is better: validation error, ties by temperature-scaled NLL."""
    return 1.0 - record["value"], record["nll"]


def rank_trials(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """A family's trials, best first: completed ones by rank, then those that were pruned by how far they came."""
    pruned = (r for r in records if r["state"] == "PRUNED" and r["rungs"])
    return [*sorted(_completed(records), key=rank_key), *sorted(pruned, key=lambda r: (-r["examples"], *rank_key(r)))]


def choose_candidates(
    records: Sequence[Mapping[str, Any]], n: int, *, speed_share: float
) -> dict[str, list[Mapping[str, Any]]]:
    """Up to `n` trials of each family that has any, to be trained again, each another configuration; the best trial
    over all families is one. A configuration that was tried under several seeds stands for its best trial.

    Trials were compared after equal examples. Where runs will get equal seconds, a network twice as fast sees twice the
    examples in them: completed trials are chosen by the error that each can expect then. `speed_share` is how much of
    the fall seen in the search is taken to go on, from 0, for runs of equal examples, to 1.
    """
    best, chosen = best_trial(records), {}
    for family in {record["family"]: None for record in records}:
        trials = [record for record in records if record["family"] == family]
        ranked = _distinct(rank_trials(trials))
        if speed_share:
            slope = speed_share * error_slope(trials)
            order = sorted(_completed(ranked), key=lambda r: _error(r["value"]) * _seconds_per_example(r) ** slope)
            ranked = [*order, *ranked[len(order) :]]
        if best in ranked[n:]:
            ranked = [*ranked[: n - 1], best]
        if ranked:
            chosen[family] = ranked[:n]
    return chosen


def _distinct(ranked: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first trial of each configuration."""
    firsts: dict[str, Mapping[str, Any]] = {}
    for record in ranked:
        firsts.setdefault(identity(record["config"]), record)
    return list(firsts.values())


def error_slope(records: Sequence[Mapping[str, Any]]) -> float:
    """b in error ~ examples^-b, from 0 to 1: the median over a family's completed trials between their last two rungs;
    0 where none has two. About the first epoch it is 0.5 to 0.6 (benchmarks/recorded/pool.csv), and later less."""
    slopes = []
    for record in _completed(records):
        if len(record["rungs"]) > 1:
            before, last = record["rungs"][-2:]
            fall = math.log(_error(before["accuracy"]) / _error(last["accuracy"]))
            slopes.append(fall / math.log(last["examples"] / before["examples"]))
    return min(1.0, max(0.0, float(np.median(slopes)))) if slopes else 0.0


def _completed(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [record for record in records if record["state"] == "COMPLETE"]


def _error(accuracy: float) -> float:
    return 1.0 - accuracy + _LEAST_ERROR


def _seconds_per_example(record: Mapping[str, Any]) -> float:
    return max(1e-3, float(record["training_seconds"])) / float(max(1, record["examples"]))


def best_trial(records: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The best trial over all families: of those that completed if any did."""
    leaders = [rank_trials([r for r in records if r["family"] == f])[:1] for f in {r["family"] for r in records}]
    leading = [leader[0] for leader in leaders if leader]
    return min(_completed(leading) or leading, key=rank_key, default=None)
