"""One family's search as the driver holds it: what was proposed, what is in flight, what has been recorded."""

from __future__ import annotations

import itertools
import math
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import optuna
from optuna.trial import TrialState

from study.execution.jobs import EqualSeconds
from study.records.settings import N_STARTUP_TRIALS, FamilySettings, Ladder
from study.records.trial import Ending, Role, Rung, TrialRecord, Trials
from study.search.history import History
from study.search.leaders import Leaders
from study.search.tried import Tried
from study.space.parameters import Config, SearchSpace
from study.space.sampling import typical

MAX_FAILURES_IN_A_ROW = 5
Kind = Literal["found", "given", "proposed"]


@dataclass(frozen=True)
class Proposal:
    """Parameters that are given, not drawn: a warm start or a repeated trial. A `config` that is given as a whole may
    lie outside the space, and then has no parameters."""

    parameters: dict[str, Any]
    role: Role
    draw: int | None = None
    seed: int | None = None
    attempt: int = 1
    deaths: int = 0
    config: Config | None = None


class End(NamedTuple):
    """How and why a trial ends, the reason in words for people."""

    ending: Ending
    reason: str | None = None


@dataclass
class Flight:
    """A trial that a worker has, or will have next; `number` is the one that it is stored under."""

    trial: optuna.Trial
    number: int
    proposal: Proposal
    identity: str
    further_seed_of: int | None = None
    rungs: list[Rung] = field(default_factory=list)
    rung_scale: float | None = None  # where rungs take equal seconds, by what it reports
    stop: End | None = None
    held_seconds: float = 0.0  # by its worker, and how it ended: both while it waits to be written
    ended: TrialState | None = None

    def seconds_to_next_rung(self, ladder: Ladder) -> float:
        """At the speed so far. The last stretch is two thirds of a trial: one of a slow network, begun a moment before
        the end, took 10 seconds more than the 125 that its family was allowed in a default study."""
        last = self.rungs[-1]
        examples = next(seen for seen in ladder.examples if seen > last.examples)
        return last.training_seconds * (examples / last.examples - 1)


@dataclass(frozen=True)
class Sums:
    """Worker-seconds of a family's trials when they were last added up: of those that ended or run so far, and with
    what those in flight will take at least."""

    since: float = -math.inf  # on the monotonic clock
    n_trials: int = 0
    so_far: float = 0.0
    committed: float = 0.0


@dataclass
class FamilySearch:
    """One family's search: its Optuna study in memory and the stored one that is seen, what it has spent, and what is
    in flight. What is given to a study apart from its search has one of its own, in which nothing is drawn."""

    name: str
    space: SearchSpace
    settings: FamilySettings
    study: optuna.Study
    stored: optuna.Study
    records: list[TrialRecord]
    tried: Tried
    kind: Kind = "found"
    proposals: deque[Proposal] = field(default_factory=deque)
    flights: dict[str, Flight] = field(default_factory=dict)
    history: History = field(default_factory=History)
    failures_in_a_row: int = field(init=False)
    next_draw: int = field(init=False)
    # Sums over the records: the driver asks for them many times a trial.
    spent: float = field(init=False, default=0.0)
    counted: int = field(init=False, default=0)
    best: TrialRecord | None = field(init=False, default=None)
    leaders: Leaders = field(init=False, default_factory=Leaders)
    sums: Sums = field(init=False, default_factory=Sums)

    def __post_init__(self) -> None:
        self.failures_in_a_row = min(failures_at_the_end(Trials(self.records)), MAX_FAILURES_IN_A_ROW - 1)
        self.next_draw = 1 + max((record.draw for record in self.records if record.draw is not None), default=-1)
        for record in self.records:
            self._sum_up(record)

    @cached_property
    def equal_seconds(self) -> EqualSeconds | None:
        """How long its rungs take, where they take equal seconds."""
        ladder = self.settings.ladder
        return EqualSeconds(ladder.examples, typical(self.space)) if ladder.equal == "seconds" else None

    @property
    def is_given(self) -> bool:
        """Whether its configurations are given, before the search or while it runs, and none is drawn."""
        return self.kind != "found"

    def _sum_up(self, record: TrialRecord) -> None:
        if not self.is_given or record.role != "imported":  # which took its seconds in another study
            self.spent += record.held_seconds
        self.counted += record.counted
        self.best = Trials([record] if self.best is None else [self.best, record]).best
        self.leaders.add(record)

    @property
    def n_trials(self) -> int:
        """Those that ended and those in flight."""
        return len(self.records) + len(self.flights)

    @property
    def typical_seconds(self) -> float:
        """What one of its trials has cost so far."""
        return self.spent / len(self.records) if self.records else 0.0

    @property
    def may_be_drawn_ahead(self) -> bool:
        """Whether a proposal depends on nothing but the trials: neither on chance alone, as the first ones, nor on
        what is left of a small space."""
        return self.counted >= N_STARTUP_TRIALS and self.tried.n_points is None

    @property
    def stopped(self) -> bool:
        return self.failures_in_a_row >= MAX_FAILURES_IN_A_ROW

    @property
    def last_failure(self) -> str | None:
        """Why the family's last trial that failed by its own cause did so."""
        failed = [record for record in self.records if record.counted and record.state == "FAIL"]
        return failed[-1].reason if failed else None

    @property
    def in_flight(self) -> set[str]:
        """Identities of the configurations that workers have."""
        return {flight.identity for flight in self.flights.values()}

    @property
    def is_whole(self) -> bool:
        """Whether every configuration of a small space was tried or is in flight."""
        return self.tried.n_points is not None and self.tried.is_whole(self.in_flight)

    def add(self, record: TrialRecord) -> None:
        """Take a trial that ended out of flight and into the records."""
        del self.flights[f"{self.name}/{record.number}"]
        self.records.append(record)
        self.tried.add(record)
        self._sum_up(record)

    def first_seed(self, key: str) -> int | None:
        """Number of the trial whose configuration has this identity, too; None for a new configuration."""
        flying = (
            f.number
            for f in self.flights.values()
            if f.identity == key and f.further_seed_of is None and f.ended != TrialState.FAIL
        )
        first = self.tried.first(key)
        return first if first is not None else next(flying, None)

    @property
    def failure(self) -> str | None:
        """Why the family's search is no success, in one line with the way out; None if it is one."""
        if self.stopped:
            what = f"stopped after {MAX_FAILURES_IN_A_ROW} failures in a row; the last one"
        elif self.counted and all(record.state == "FAIL" for record in self.records):
            what = f"has no trial that did not fail, of {self.counted}; the last failure"
        else:
            return None
        return (
            f"family {self.name} {what}: {self.last_failure}; mend its cause, then try again with more trials, "
            "or start another study (--name) with another search space or without the family"
        )


def failures_at_the_end(records: Trials) -> int:
    """How many trials failed by their own cause since the last one that did not. A family that was stopped by them may
    try once more with every command, since its user may have mended the cause."""
    states = [record.state for record in records.counted]
    return sum(1 for _ in itertools.takewhile(lambda state: state == "FAIL", reversed(states)))


def owed(records: Iterable[TrialRecord], given: Sequence[Proposal] = ()) -> list[Proposal]:
    """What is to be proposed: interrupted trials first, then of what is `given` that which never got a draw: of warm
    starts and of configurations from files, each counted by itself, the first ones did."""
    known = list(records)
    finished = {record.draw for record in known if record.counted}
    latest = {record.draw: record for record in known if record.draw is not None}
    repeats = [repeat(record) for draw, record in sorted(latest.items()) if draw not in finished]
    begun = Counter(record.role for record in latest.values())
    kinds = [[one for one in given if one.role == role] for role in dict.fromkeys(one.role for one in given)]
    return [*repeats, *(one for kind in kinds for one in kind[begun[kind[0].role] :])]


def repeat(record: TrialRecord) -> Proposal:
    is_whole = record.role in ("given_file", "proposed") and not record.parameters
    config = dict(record.config) if is_whole else None
    return Proposal(dict(record.parameters), record.role, record.draw, record.seed, record.attempt + 1, config=config)
