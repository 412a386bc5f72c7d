"""The search driver: asks, hands out, records and tells. It alone touches the storage.

Workers are answered from memory. A trial that ends is in the storage and in trials.jsonl before it is shown; its start
and its reports are stored with it, or about a second after they happened, five where workers are many.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from optuna.storages import RDBStorage
from optuna.trial import TrialState

from study.errors import FamilyStoppedError, Interrupted, ResultsError, StorageAwayError, StudyError
from study.execution.executors import Executor
from study.execution.jobs import Died, Event, Finished, Job, Report
from study.execution.nodes import Node, node_of
from study.interrupts import shielded
from study.records.collecting import uncollected
from study.records.paths import StudyFiles
from study.records.settings import StudySettings
from study.records.trial import Rung, TrialRecord, Trials, append_trials, written
from study.search.agreement import record_of
from study.search.ahead import Ahead, Pace
from study.search.choosing import Chooser
from study.search.drawing import start_drawing
from study.search.family import End, FamilySearch, Flight, Proposal
from study.search.given import proposal
from study.search.lock import Guard, at_once
from study.search.mirror import Mirror
from study.search.parts import open_parts
from study.search.proposed import Proposals
from study.search.storage import fail_uncounted
from study.search.tables import damage_explained
from study.search.turns import FEW_WORKERS, MANY_WORKERS, Limits, are_beyond, next_family
from study.seeds import derive_seed
from study.space.points import identity
from study.training.schedule import HeldOut, Schedule

MAX_ATTEMPTS = 3  # a trial whose worker died this often under a living driver fails by its own cause
_POLL_SECONDS = 0.25
_BEYOND_THE_BUDGET = "stopped at a rung: most of the way to the next one lay beyond the budget of the search"
_WRITE_SECONDS = 1.0  # how far what is seen of running trials may lag behind
_MANY_WRITE_SECONDS = 5.0  # the same with many workers: rows of trials that run took much of the driver's time
_TOGETHER_SECONDS = 0.25  # how long a trial that ended may wait for others, while some of many workers wait

_SAMPLED = Proposal({}, "sampled")

Observer = Callable[["Search", TrialRecord | None], None]


class Search:
    """All families' searches over one executor. `observe(search, record)` is called after each recorded trial, and
    with None about four times a second while nothing ends. `held_out` are the images that validate its trials, where
    the workers' data have others."""

    @uncollected()
    def __init__(
        self,
        files: StudyFiles,
        settings: StudySettings,
        storage: RDBStorage,
        records: Trials,
        guard: Guard = at_once,
        held_out: HeldOut | None = None,
    ) -> None:
        self.storage = storage
        self._files = files
        self._settings = settings
        self._held_out = held_out
        self._mirror = Mirror(storage, guard)
        self._written = self._written_whole = time.monotonic()
        self._n_unwritten = 0  # trials that ended and are still to be written
        with damage_explained():
            opened = open_parts(files, settings, storage, self._mirror, records)
        self.families = {family.name: family for family in opened if family.kind == "found"}
        # Beside each family's search, where what is given is kept apart, before the search and while it runs.
        self.given = {family.name: family for family in opened if family.kind == "given"}
        self.proposed = {family.name: family for family in opened if family.kind == "proposed"}
        self._proposals = Proposals(files, settings, self.records)
        self._chooser = Chooser(settings)
        self._pace = Pace(time.monotonic())
        self._n_workers: Callable[[], int] = lambda: 1  # of the executor that runs it, where they come and go
        self.limits = Limits()
        self._nodes: Callable[[], Sequence[Node]] = tuple  # of the executor that runs it
        self._ahead: Ahead | None = None  # where the driver could not keep up

    @property
    def _all(self) -> list[FamilySearch]:
        return [*self.families.values(), *self.given.values(), *self.proposed.values()]

    @property
    def _are_many(self) -> bool:
        return self._n_workers() > MANY_WORKERS

    @property
    def _in_haste(self) -> bool:
        """Whether there is no time for what takes long; two workers have it."""
        return self._are_many or (self._n_workers() > FEW_WORKERS and self._pace.was_busy)

    @property
    def records(self) -> Trials:
        return Trials(record for family in self._all for record in family.records)

    def run(self, executor: Executor, limits: Limits, observe: Observer) -> None:
        """Search until the limits are reached or no family can go on. FamilyStoppedError if one gave up, or has nothing
        but failures to show."""
        self.limits, self._nodes = limits, executor.nodes
        self._n_workers = lambda: executor.n_workers
        self._pace = Pace(time.monotonic())
        try:
            self._loop(executor, observe)
        except StorageAwayError:  # here or in a search beside: it was waited for, and the next command sweeps
            raise
        except BaseException as error:
            reason = str(error) if isinstance(error, StudyError | Interrupted) else type(error).__name__
            with contextlib.suppress(ResultsError):  # why the search ends matters more; the next command sweeps
                self._abandon(executor, f"interrupted: {reason}")
            raise
        finally:
            if self._ahead is not None:
                self._ahead.close()
        if failures := [failure for family in self.families.values() if (failure := family.failure) is not None]:
            raise FamilyStoppedError("; ".join(failures))

    def _loop(self, executor: Executor, observe: Observer) -> None:
        waiting: Event | None = None
        while True:
            self._fill(executor)
            if not any(family.flights for family in self._all):
                return
            began = time.monotonic()
            event = waiting or executor.next_event(_POLL_SECONDS)
            now = time.monotonic()
            if self._pace.is_busy(now, now - began) and self._are_many:
                self._draw_ahead()
            self._handle(executor, event)
            if self.limits.are_over():
                self._withdraw(executor)
            waiting = executor.next_event(0.0) if self._n_unwritten and self._are_many else None
            lag = _MANY_WRITE_SECONDS if self._are_many else _WRITE_SECONDS
            for record in self._write_if_due(lag, is_idle=waiting is None) or [None]:
                observe(self, record)

    def _handle(self, executor: Executor, event: Event | None) -> None:
        if isinstance(event, Report):
            self._report(executor, event)
        elif isinstance(event, Finished):
            self._finish(event)
        elif isinstance(event, Died):
            self._death(event)

    def _write_if_due(self, lag: float, *, is_idle: bool) -> list[TrialRecord | None]:
        """Write what ended, at once or, where others of many workers wait for an answer, soon: a write for many trials
        takes little longer than for one; and what else there is after `lag` seconds. Returns what is to be shown."""
        now = time.monotonic()
        whole = now - self._written_whole >= lag
        if not whole and not (self._n_unwritten and (is_idle or now - self._written >= _TOGETHER_SECONDS)):
            return []
        return [record for record in self._write(whole) if record.ending != "withdrawn"]

    def _fill(self, executor: Executor) -> None:
        """Keep every worker busy and one proposal ready: what is given first, then from the family with the most
        left."""
        self._take_proposed()
        if self._ahead is not None:
            self._ahead.look(self.families)
        while sum(len(family.flights) for family in self._all) - self._n_unwritten <= executor.n_workers:
            family = next_family(self._all, self.limits, executor)
            if family is None:
                return
            with shielded():
                executor.submit(self._ask(family))

    def _draw_ahead(self) -> None:
        """Let a process beside this one draw: two fifths of what a trial costs it. One that was lost stays away."""
        if self._ahead is None and self._settings.sampler == "tpe":
            terms = Ahead.terms(self._settings, self.families)
            self._ahead = Ahead(start_drawing(terms), self._chooser.neighbour)

    def _take_proposed(self) -> None:
        """A damaged file does not end a search that runs: whoever proposes next or asks for the status is told."""
        with contextlib.suppress(ResultsError):
            for name, found in self._proposals.new().items():
                if (family := self.proposed.get(name)) is not None:
                    family.proposals.extend(proposal(one, family.space, "proposed") for one in found)

    def _ask(self, family: FamilySearch) -> Job:
        proposal = family.proposals.popleft() if family.proposals else _SAMPLED
        ahead = self._ahead.take(family) if self._ahead is not None and proposal == _SAMPLED else None
        draw = ahead.draw if ahead is not None else family.next_draw if proposal.draw is None else proposal.draw
        family.next_draw = max(family.next_draw, draw + 1)
        if proposal.config is not None:
            trial, config = self._mirror.ask(family.study), proposal.config
        else:
            one = ahead or self._chooser.choose(family, proposal, draw, in_haste=self._in_haste)
            trial, config = self._mirror.ask(family.study, one), one.config
        purpose = "trial" if family.kind == "found" else family.kind
        seed = derive_seed(self._settings.seed, family.name, draw, purpose) if proposal.seed is None else proposal.seed
        proposal = replace(proposal, parameters=dict(trial.params), draw=draw, seed=seed)
        number = self._mirror.number_of(trial)
        same = identity(config)
        flight = Flight(trial, number, proposal, same, family.first_seed(same))
        for key, value in (
            ("role", proposal.role),
            ("draw", draw),
            ("seed", seed),
            ("attempt", proposal.attempt),
            ("config", config),
            ("further_seed_of", flight.further_seed_of),
        ):
            if value is not None:
                trial.set_user_attr(key, value)
        job_id = f"{family.name}/{number}"
        family.flights[job_id] = flight
        ladder = family.settings.ladder
        return Job(
            job_id,
            config,
            seed,
            Schedule.rungs(ladder.examples, config["batch_size"]),
            held_out=self._held_out,
            images=ladder.images,
            equal_seconds=family.equal_seconds,
        )

    def _family_of(self, job_id: str) -> FamilySearch:
        """The family, or what is given to it, that has a trial in flight."""
        return next(family for family in self._all if job_id in family.flights)

    def _report(self, executor: Executor, event: Report) -> None:
        family = self._family_of(event.job.id)
        flight, ladder = family.flights[event.job.id], family.settings.ladder
        step = ladder.examples[len(flight.rungs)]
        seen = event.metrics.validation
        assert seen is not None  # trials learn from the training part alone
        with shielded():
            seconds = round(event.metrics.training_seconds, 3)
            flight.rungs.append(Rung(step, seen.accuracy, seen.nll_scaled, seen.temperature, seconds))
            if ladder.equal == "seconds":
                flight.rung_scale = round(event.examples / step, 3)
            flight.trial.report(seen.accuracy, step)
            if step != ladder.examples[-1]:
                flight.stop = self._reason_to_stop(executor, family, flight)
        executor.answer(event.job, flight.stop is None)

    def _reason_to_stop(self, executor: Executor, family: FamilySearch, flight: Flight) -> End | None:
        # What is given is what draws are measured against, and a warm start that pays in long runs starts slowly.
        if flight.proposal.role == "sampled" and flight.trial.should_prune():
            return End("pruned", f"pruned at {family.settings.ladder.in_words(flight.rungs[-1].examples)}")
        half = flight.seconds_to_next_rung(family.settings.ladder) / 2
        if self.limits.are_over(ahead=half) or are_beyond(family, self.limits, executor, half):
            return End("budget", _BEYOND_THE_BUDGET)
        return None

    def _finish(self, event: Finished) -> None:
        family = self._family_of(event.job.id)
        flight = family.flights[event.job.id]
        outcome = {key: value for key, value in asdict(event.outcome).items() if value is not None}
        if flight.stop is not None:  # what its worker did until it heard of that, or failed in, is no part of it
            state, end = TrialState.PRUNED, flight.stop
            outcome["training_seconds"] = flight.rungs[-1].training_seconds
        elif event.reason is not None:
            state, end = TrialState.FAIL, End("failed", event.reason)
        else:
            state, end = TrialState.COMPLETE, End("complete")
        self._tell(family, event, state, end, outcome)

    def _death(self, event: Died) -> None:
        family = self._family_of(event.job.id)
        proposal = family.flights[event.job.id].proposal
        deaths = proposal.deaths + (event.lost is None)
        again = deaths < MAX_ATTEMPTS
        if again:
            family.proposals.appendleft(replace(proposal, attempt=proposal.attempt + 1, deaths=deaths))
        end = End("interrupted" if again else "failed", f"its worker died ({event.cause})")
        scale = family.flights[event.job.id].rung_scale
        outcome = {} if scale is None else {"rung_scale": scale}
        self._tell(family, event, TrialState.FAIL, end, outcome, counted=not again)

    def _tell(
        self,
        family: FamilySearch,
        event: Finished | Died,
        state: TrialState,
        end: End,
        outcome: dict[str, Any],
        counted: bool = True,
    ) -> None:
        """End a trial; it is recorded with the next write, and only then shown."""
        flight = family.flights[event.job.id]
        node = node_of(event.worker, self._nodes())
        known = {"held_seconds": round(event.held_seconds, 3), "worker": event.worker, "node": node}
        known |= outcome | {"rungs": tuple(flight.rungs), "ending": end.ending}
        if end.reason:
            known["reason"] = end.reason
        if not counted:
            known["counted"] = False
        with shielded():
            self._note(flight, known)
            value = flight.rungs[-1].accuracy if state == TrialState.COMPLETE else None
            self._mirror.tell(flight.trial, value, state)
            flight.held_seconds, flight.ended = event.held_seconds, state
            self._n_unwritten += 1
        if counted:
            family.failures_in_a_row = family.failures_in_a_row + 1 if state == TrialState.FAIL else 0

    def _note(self, flight: Flight, known: Mapping[str, Any]) -> None:
        """Keep what is known of a trial, by the names of its record, with the trial."""
        for key, value in written(known, self._settings.format_version).items():
            flight.trial.set_user_attr(key, value)

    def _write(self, whole: bool = True) -> list[TrialRecord]:
        """Store what is due, then add the trials that ended to trials.jsonl; returns their records. Unless it is the
        `whole`, reports of trials that go on wait."""
        with shielded():
            written = self._mirror.write(reports=whole)
            records = [record_of(trial, name.rpartition("/")[2]) for name, trial in written]
            if records:
                append_trials(self._files.trials_jsonl, records, self._settings.format_version)
            for record in records:
                self._family_of(f"{record.family}/{record.number}").add(record)
            self._n_unwritten = 0
        self._written = time.monotonic()
        self._written_whole = self._written if whole else self._written_whole
        return records

    def _withdraw(self, executor: Executor) -> None:
        with shielded():
            for job in executor.withdraw():
                flight = self._family_of(job.id).flights[job.id]
                self._drop(flight, End("withdrawn", "withdrawn: the search ended before it began"))

    def _drop(self, flight: Flight, end: End) -> None:
        fail_uncounted(flight.trial.storage, flight.trial._trial_id, end.ending, end.reason or "")
        flight.ended = TrialState.FAIL
        self._n_unwritten += 1

    def _abandon(self, executor: Executor, reason: str) -> None:
        """The command is ending: mark what is in flight. It is tried again by the next command, uncounted."""
        running = executor.running()
        with shielded():
            for family in self._all:
                for job_id, flight in family.flights.items():
                    if flight.ended is None:  # else it was its recording that failed
                        self._note(flight, {"held_seconds": round(running.get(job_id, 0.0), 3)})
                        self._drop(flight, End("interrupted", reason))
            self._write()
