"""What of a family's search space was tried, and what is left of a small one."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from study.records.trial import TrialRecord
from study.space.parameters import SearchSpace
from study.space.points import Point, few_points, identity

_READ = ("COMPLETE", "PRUNED")  # states of a trial that says what its configuration is worth


class Tried:
    """Configurations by identity, from the records of the trials that count.

    A small space, which can be walked, is searched without paying for a configuration twice: what was tried or is in
    flight is not drawn again while another is left, and with the last of them the search ends.
    """

    def __init__(self, space: SearchSpace, seed: int, records: Iterable[TrialRecord]) -> None:
        points = few_points(space)
        self.n_points = None if points is None else len(points)
        # In random order: a grid that time cuts short is then a sample of the space, not a corner of it.
        self._left = {point.identity: point for point in _shuffled(points or [], seed)}
        self._first: dict[str, int] = {}
        for record in records:
            self.add(record)

    def add(self, record: TrialRecord) -> None:
        """Take note of a trial that ended."""
        if record.counted:
            key = identity(record.config)
            self._left.pop(key, None)
            if record.state in _READ:
                first = record.further_seed_of  # it may end before the first one does
                self._first.setdefault(key, record.number if first is None else first)

    def first(self, key: str) -> int | None:
        """Number of the first trial of the configuration of this identity, None if there is none that ended well."""
        return self._first.get(key)

    def is_left(self, config: Mapping[str, Any], in_flight: Collection[str]) -> bool:
        """Whether a configuration of a small space is still to be tried."""
        key = identity(config)
        return key in self._left and key not in in_flight

    def is_whole(self, in_flight: Collection[str]) -> bool:
        """Whether every configuration of a small space was tried, or is in flight."""
        return self.n_points is not None and self._left.keys() <= set(in_flight)

    def next(self, in_flight: Collection[str], like: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Parameters of a configuration that is left: the one that differs from `like` in the fewest, else the next."""
        left = [point for key, point in self._left.items() if key not in in_flight]
        return left[0].parameters if like is None else min(left, key=lambda p: _distance(p.parameters, like)).parameters


def _shuffled(points: list[Point], seed: int) -> list[Point]:
    return random.Random(seed).sample(points, len(points))


def _distance(a: Mapping[str, Any], b: Mapping[str, Any]) -> int:
    return sum(a.get(name) != b.get(name) for name in {*a, *b})
