"""The best trials of a search, and proposals beside them: one choice of one of them changed.

A sampler that has seen a few dozen trials of twenty parameters repeats what it took for good early on. Half of the
proposals change one thing at a time, as evolutionary searches do: Real et al. 2019 (arXiv:1802.01548), PriorBand
(arXiv:2306.12370).
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Mapping
from functools import lru_cache

from optuna.distributions import CategoricalDistribution, json_to_distribution

from study.records.trial import Scalar, TrialRecord

_range_of = lru_cache(json_to_distribution)  # thousands of trials have a few dozen between them
_FEWEST = 3
_MOST = 64
_IN_FLIGHT = 8  # for each of them: with a thousand workers the neighbours of three would often be the same ones


class Leaders:
    """The trials that came furthest on the ladder, by what they reached there; each another configuration."""

    def __init__(self) -> None:
        self._best: list[TrialRecord] = []

    def add(self, record: TrialRecord) -> None:
        """Take note of a trial that ended."""
        is_first = record.further_seed_of is None
        if record.rungs and record.counted and record.state != "FAIL" and is_first:
            bisect.insort(self._best, record, key=lambda one: (-len(one.rungs), *one.rank, one.number))
            del self._best[_MOST:]

    def neighbour(self, seed: int, n_in_flight: int = 0) -> Mapping[str, Scalar]:
        """The parameters of one of the best, but for one: a choice is another one, a number is left out, to be drawn.
        Empty where there is none, or nothing to change."""
        rng = random.Random(seed)
        best = self._best[: max(_FEWEST, n_in_flight // _IN_FLIGHT)]
        parent = rng.choice(best) if best else None
        ranges = {} if parent is None else {name: _range_of(text) for name, text in parent.distributions.items()}
        open_ranges = {name: its for name, its in ranges.items() if not its.single()}
        if parent is None or not open_ranges:
            return {}
        changed = rng.choice(sorted(open_ranges))
        kept = {name: value for name, value in parent.parameters.items() if name != changed}
        its, now = open_ranges[changed], parent.parameters[changed]
        if not isinstance(its, CategoricalDistribution):
            return kept
        return kept | {changed: rng.choice([one for one in its.choices if one is not None and one != now])}
