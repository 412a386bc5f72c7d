"""Whose turn it is: which family a free worker gets its next trial from, and when there is none."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

from study.execution.executors import Executor
from study.search.family import FamilySearch, Sums

FEW_WORKERS = 2
MANY_WORKERS = 16  # fewer leave the time to do everything for each trial by itself


@dataclass(frozen=True)
class Limits:
    """When a search ends. `allowance` is in worker-seconds for each family, `given` and `proposed` the same for what is
    given to it apart from its search, before that and while it runs, `deadline` on the monotonic clock."""

    allowance: float | None = None
    n_trials: int | None = None
    deadline: float | None = None
    given: float | None = None
    proposed: float | None = None

    def are_over(self, ahead: float = 0.0) -> bool:
        """Whether the deadline has come, or comes within so many seconds."""
        return self.deadline is not None and time.monotonic() + ahead >= self.deadline

    def seconds_of(self, family: FamilySearch) -> float | None:
        """Worker-seconds that a family's trials may take."""
        return {"found": self.allowance, "given": self.given, "proposed": self.proposed}[family.kind]


def next_family(families: Iterable[FamilySearch], limits: Limits, executor: Executor) -> FamilySearch | None:
    """The one with the most left, what is given before what is searched; None if none may go on."""
    left = [(family, _committed(family, limits, executor)) for family in families if _has_trials(family, limits)]
    left = [(family, seconds) for family, seconds in left if seconds < _allowed(family, limits)]
    left = [(family, seconds) for family, seconds in left if family.is_given] or left
    if limits.are_over() or not left:
        return None
    if limits.allowance is None:
        # Without a limit of time the turn must not depend on a clock: reruns are identical.
        return min(left, key=lambda one: one[0].counted + len(one[0].flights))[0]
    # What a first trial costs is not known while it waits: then the family with fewer trials goes first.
    return min(left, key=lambda one: (one[1], len(one[0].flights)))[0]


def _allowed(family: FamilySearch, limits: Limits) -> float:
    seconds = limits.seconds_of(family)
    return math.inf if seconds is None else seconds


def _has_trials(family: FamilySearch, limits: Limits) -> bool:
    """Whether there is something left to be tried, whatever it costs."""
    if family.is_given:
        return bool(family.proposals)
    if family.stopped or family.is_whole:
        return False
    return limits.n_trials is None or family.counted + len(family.flights) < limits.n_trials


def _committed(family: FamilySearch, limits: Limits, executor: Executor) -> float:
    """Worker-seconds spent and in flight, and for jobs just started what such a trial has cost so far; 0 where nothing
    has a limit."""
    if limits.allowance is None and limits.seconds_of(family) is None:
        return 0.0
    committed = family.sums.committed + family.typical_seconds * (family.n_trials - family.sums.n_trials)
    if committed + _grown(family, executor) < _allowed(family, limits):
        return committed
    return _sum_up(family, executor).committed


def are_beyond(family: FamilySearch, limits: Limits, executor: Executor, seconds: float) -> bool:
    """Whether so many more are beyond what the family's trials may take."""
    allowed = _allowed(family, limits)
    if family.sums.so_far + _grown(family, executor) + seconds < allowed or allowed == math.inf:
        return False
    return _sum_up(family, executor).so_far + seconds >= allowed


def _grown(family: FamilySearch, executor: Executor) -> float:
    """By how much its sums have grown at most since they were made, endless where they are to be made anew. To add up
    what a thousand workers hold at each report and for each proposal took half of a trial's cost: for a second their
    sum grows by no more than the second of each."""
    age = time.monotonic() - family.sums.since
    return executor.n_workers * age if executor.n_workers > MANY_WORKERS and age < 1.0 else math.inf


def _sum_up(family: FamilySearch, executor: Executor) -> Sums:
    running, typical = executor.running(), family.typical_seconds
    held = [running.get(job_id, flight.held_seconds) for job_id, flight in family.flights.items()]
    family.sums = Sums(
        since=time.monotonic(),
        n_trials=family.n_trials,
        so_far=family.spent + sum(held),
        committed=family.spent + sum(max(seconds, typical) for seconds in held),
    )
    return family.sums
