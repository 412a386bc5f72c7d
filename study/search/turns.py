"""Whose turn it is: which family a free worker gets its next trial from, and when there is none."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from study.search.family import FamilySearch


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


Running = Mapping[str, float]  # seconds so far of the jobs that workers have, by job


def next_family(families: Iterable[FamilySearch], limits: Limits, running: Running) -> FamilySearch | None:
    """The one with the most left, what is given before what is searched; None if none may go on."""
    open_families = [family for family in families if _may_ask(family, limits, running)]
    open_families = [family for family in open_families if family.is_given] or open_families
    if limits.are_over() or not open_families:
        return None
    if limits.allowance is None:
        # Without a limit of time the turn must not depend on a clock: reruns are identical.
        return min(open_families, key=lambda family: family.counted + len(family.flights))
    # What a first trial costs is not known while it waits: then the family with fewer trials goes first.
    return min(open_families, key=lambda family: (_committed(family, running), len(family.flights)))


def _may_ask(family: FamilySearch, limits: Limits, running: Running) -> bool:
    if family.is_given:
        return bool(family.proposals) and _has_seconds(family, limits, running)
    if family.stopped or family.is_whole:
        return False
    if limits.n_trials is not None and family.counted + len(family.flights) >= limits.n_trials:
        return False
    return _has_seconds(family, limits, running)


def _has_seconds(family: FamilySearch, limits: Limits, running: Running) -> bool:
    allowed = limits.seconds_of(family)
    return allowed is None or _committed(family, running) < allowed


def _committed(family: FamilySearch, running: Running) -> float:
    """Worker-seconds spent and in flight, and for jobs just started what such a trial has cost so far."""
    typical = family.spent / len(family.records) if family.records else 0.0
    held = (running.get(job_id, flight.held_seconds) for job_id, flight in family.flights.items())
    return family.spent + sum(max(seconds, typical) for seconds in held)


def seconds_so_far(family: FamilySearch, running: Running) -> float:
    """Worker-seconds of its trials that ended and of those that workers have."""
    return family.spent + sum(running.get(job_id, flight.held_seconds) for job_id, flight in family.flights.items())
