"""How long runs that are trained side by side will still take."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

# Of all seconds expected: so much weight has the expectation against what the runs took so far.
_PRIOR = 0.05


@dataclass
class _Run:
    expected: float  # seconds
    after: frozenset[str]  # the runs that it waits for
    began: float | None = None
    seen: float = 0.0  # when its share was last heard of
    share: float = 0.0  # of it that is done
    taken: float = 0.0  # seconds from its beginning until then
    ended: bool = False


class Pace:
    """Runs by name, each with the seconds that it is expected to take; what they take corrects the expectation."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._runs: dict[str, _Run] = {}

    def expect(self, name: str, seconds: float, after: Iterable[str] = ()) -> None:
        self._runs[name] = _Run(seconds, frozenset(after))

    def begin(self, name: str) -> None:
        run = self._runs[name]
        run.began, run.share = self._clock(), 0.0

    def reached(self, name: str, share: float) -> None:
        run = self._runs[name]
        if run.began is not None:
            run.share, run.seen = min(1.0, share), self._clock()
            run.taken = run.seen - run.began

    def end(self, name: str) -> None:
        self.reached(name, 1.0)
        self._runs[name].ended = True

    def left(self, n_workers: int) -> float:
        """Seconds of wall-clock until all runs have ended, on so many workers: those that others wait for first, among
        them the longest first."""
        ended = {name for name, run in self._runs.items() if run.ended}
        left = {name: self._left_of(run) for name, run in self._runs.items() if not run.ended}
        running = [(seconds, name) for name, seconds in left.items() if self._runs[name].began is not None]
        heapq.heapify(running)
        waiting = sorted(
            left.keys() - {name for _, name in running}, key=lambda n: (bool(self._runs[n].after), -left[n])
        )
        now = 0.0
        while True:
            for name in [name for name in waiting if self._runs[name].after <= ended][: n_workers - len(running)]:
                waiting.remove(name)
                heapq.heappush(running, (now + left[name], name))
            if not running:
                return now
            now, name = heapq.heappop(running)
            ended.add(name)

    def _left_of(self, run: _Run) -> float:
        seconds = run.expected * self._slowness * (1 - run.share)
        return seconds if run.began is None else max(0.0, seconds - (self._clock() - max(run.began, run.seen)))

    @property
    def _slowness(self) -> float:
        """How many times as long as expected the runs take."""
        prior = _PRIOR * sum(run.expected for run in self._runs.values())
        taken = sum(run.taken for run in self._runs.values())
        expected = sum(run.expected * run.share for run in self._runs.values() if run.began is not None)
        return (taken + prior) / (expected + prior) if expected + prior > 0 else 1.0
