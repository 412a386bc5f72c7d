"""How long the runs of a retraining take, played through in the order in which they are made."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from study.records.settings import RetrainSettings

_RETRAIN_MARGIN = 0.97  # the slowest candidate is planned for, which leaves room for validation and drift
RunSeconds = Mapping[str, Sequence[float]]  # by family


def wall_of_runs(seconds: Mapping[str, float], retrain: RetrainSettings, n_workers: int) -> float:
    """Wall-clock to plan for a retraining of one search whose runs take so many `seconds` in each family."""
    candidates = {family: [run] * (retrain.candidates * retrain.candidate_seeds) for family, run in seconds.items()}
    finals = {family: [run] * retrain.final_seeds for family, run in seconds.items()}
    return _makespan(candidates, finals, n_workers) / _RETRAIN_MARGIN


def fits(candidates: RunSeconds, finals: RunSeconds, seconds: float, n_workers: int) -> bool:
    """Whether runs of so many seconds end within `seconds` of wall-clock."""
    return _makespan(candidates, finals, n_workers) <= _RETRAIN_MARGIN * seconds


def _makespan(candidates: RunSeconds, finals: RunSeconds, n_workers: int) -> float:
    """Wall-clock of all runs on `n_workers` in the order in which they are made: candidates first, since a family's
    final runs wait for all of its own; among each the longest first."""
    waiting = [(True, run, family) for family, runs in candidates.items() for run in runs]  # (is a candidate, …)
    left = {family: len(runs) for family, runs in candidates.items()}
    waiting += [(False, run, family) for family, runs in finals.items() if not left[family] for run in runs]
    running: list[tuple[float, str, bool]] = []
    now = 0.0
    while waiting or running:
        waiting.sort()
        while waiting and len(running) < n_workers:
            candidate, run, family = waiting.pop()
            heapq.heappush(running, (now + run, family, candidate))
        now, family, candidate = heapq.heappop(running)
        if candidate:
            left[family] -= 1
            if left[family] == 0:
                waiting += [(False, run, family) for run in finals[family]]
    return now
