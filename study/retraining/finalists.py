"""Retraining: candidates under fresh seeds, then each family's finalist on train + validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from study.errors import StudyError
from study.execution.executors import Executor
from study.execution.jobs import Died, Finished, Job, Report, RungMetrics
from study.records.files import write_json
from study.records.paths import StudyFiles
from study.records.run import RunMetrics, RunRole, read_metrics
from study.records.settings import StudySettings
from study.records.trial import TrialRecord, Trials
from study.retraining.candidates import best_trial
from study.retraining.pace import Pace
from study.retraining.runs import Engine, RunLengths, plan_run
from study.seeds import derive_seed

MAX_ATTEMPTS = 3
_POLL_SECONDS = 0.25


class Watch(Protocol):
    """Where runs are mirrored for people to watch."""

    def begin(self, job: Job) -> None: ...
    def report(self, job: Job, examples: int, metrics: RungMetrics) -> None: ...
    def end(self, event: Finished, metrics: RunMetrics | None) -> None: ...
    def abandon(self, reason: str) -> None: ...


@dataclass
class _Family:
    name: str
    candidates: Trials
    examples: dict[int, int]  # of each run, by trial number: a finalist is trained as long as it was as a candidate
    runs: dict[int, list[str]] = field(default_factory=dict)  # by trial number
    waiting: set[str] = field(default_factory=set)
    finalist: int | None = None
    final_runs: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


Observer = Callable[["Retraining", str | None], None]


class Retraining:
    """All runs of the second stage over one executor. `observe(retraining, run)` is called after each finished run,
    and with None while waiting."""

    def __init__(
        self,
        files: StudyFiles,
        settings: StudySettings,
        candidates: Mapping[str, Trials],
        lengths: RunLengths,
        engine: Engine,
        watch: Watch,
    ) -> None:
        self._files = files
        self._settings = settings
        self._engine = engine
        self._watch = watch
        self.families = {
            name: _Family(name, chosen, {trial.number: n for trial, n in zip(chosen, lengths[name], strict=True)})
            for name, chosen in candidates.items()
        }
        self.n_runs = sum(
            len(family.candidates) * settings.retrain.candidate_seeds + settings.retrain.final_seeds
            for family in self.families.values()
        )
        self.n_done = 0
        self._pace = Pace()
        self._n_workers = 1
        self._pending: list[tuple[bool, float, Job]] = []  # (is a candidate, seconds expected, job)
        self._attempts: dict[str, int] = {}
        self._begun: set[str] = set()

    @property
    def seconds_left(self) -> float:
        """Wall-clock until the last run ends, by what the trials took and the runs have taken so far."""
        return self._pace.left(self._n_workers)

    def run(self, executor: Executor, observe: Observer) -> None:
        self._n_workers = executor.n_workers
        for family in self.families.values():
            self._plan_candidates(family)
        in_flight = 0
        try:
            while True:
                # A family whose last candidate was already there moves on without an event.
                for family in self.families.values():
                    self._advance(family)
                while self._pending and in_flight < executor.n_workers:
                    self._submit(executor)
                    in_flight += 1
                if in_flight == 0:
                    return
                event = executor.next_event(_POLL_SECONDS)
                ended = self._handle(executor, event)
                in_flight -= isinstance(event, Finished | Died)
                observe(self, ended)
        except BaseException as error:
            self._watch.abandon(f"interrupted: {error}")
            raise

    def _plan_candidates(self, family: _Family) -> None:
        for trial in family.candidates:
            names = []
            for index in range(self._settings.retrain.candidate_seeds):
                name = f"{family.name}-t{trial.number}-seed{index}"
                self._plan(family, name, trial, "candidate", index)
                names.append(name)
            family.runs[trial.number] = names
        self._expect_final_runs(family)

    def _expect_final_runs(self, family: _Family) -> None:
        """As long as those of the costliest candidate: it is not known yet whose they will be."""
        seconds = max(self._seconds_expected(family, trial) for trial in family.candidates)
        candidates = [name for names in family.runs.values() for name in names]
        for name in self._final_runs(family):
            self._pace.expect(name, seconds, candidates)

    def _seconds_expected(self, family: _Family, trial: TrialRecord) -> float:
        """Of a run, at the speed that its trial had in the search."""
        return family.examples[trial.number] * trial.training_seconds / max(1, trial.examples)

    def _final_runs(self, family: _Family) -> list[str]:
        return [f"{family.name}-final-seed{index}" for index in range(self._settings.retrain.final_seeds)]

    def _advance(self, family: _Family) -> None:
        """Once all candidates are there, choose the finalist and plan its final runs."""
        if family.waiting or family.final_runs:
            return
        ranked = self.ranked(family)
        if not ranked:
            return
        family.finalist = ranked[0]["trial"]
        trial = next(trial for trial in family.candidates if trial.number == family.finalist)
        for index, name in enumerate(self._final_runs(family)):
            family.final_runs.append(name)
            self._plan(family, name, trial, "final", index)

    def _plan(self, family: _Family, name: str, trial: TrialRecord, role: RunRole, index: int) -> None:
        examples = family.examples[trial.number]
        job = plan_run(
            self._files.run(name),
            self._settings,
            self._engine,
            trial.config,
            examples,
            family=family.name,
            trial=trial.number,
            role=role,
            seed=derive_seed(self._settings.seed, family.name, index, f"{role} {trial.number}"),
            seed_index=index,
        )
        expected = self._seconds_expected(family, trial)
        self._pace.expect(name, expected)
        if job is None:
            self._pace.end(name)
            self.n_done += 1
            family.seconds += read_metrics(self._files.run(name)).seconds
            return
        family.waiting.add(name)
        self._pending.append((role == "candidate", expected, job))

    def _submit(self, executor: Executor) -> None:
        """Candidates first: a family whose last one waits keeps a worker idle at the end. Among each the longest first,
        since a short run fills a gap there and a long one would make it."""
        self._pending.sort(key=lambda pending: pending[:2], reverse=True)
        _, _, job = self._pending.pop(0)
        if job.id not in self._begun:
            self._watch.begin(job)
            self._begun.add(job.id)
        self._pace.begin(job.id)
        executor.submit(job)

    def _handle(self, executor: Executor, event: object) -> str | None:
        if isinstance(event, Report):
            executor.answer(event.job, True)
            if event.job.run is not None:
                self._pace.reached(event.job.id, event.examples / event.job.run.record.examples)
            self._watch.report(event.job, event.examples, event.metrics)
        elif isinstance(event, Finished):
            self._finish(event)
            return event.job.id
        elif isinstance(event, Died):
            self._attempts[event.job.id] = self._attempts.get(event.job.id, 0) + 1
            if self._attempts[event.job.id] < MAX_ATTEMPTS:
                self._pending.append((True, float("inf"), event.job))
            else:
                reason = f"its worker died {MAX_ATTEMPTS} times (exit status {event.exit_code})"
                self._finish(Finished(event.job, event.worker, event.held_seconds, reason))
                return event.job.id
        return None

    def _finish(self, event: Finished) -> None:
        assert event.job.run is not None
        family = self.families[event.job.run.record.family]
        family.waiting.discard(event.job.id)
        self._pace.end(event.job.id)
        family.seconds += event.held_seconds
        self.n_done += 1
        metrics = None
        if event.reason is None:
            metrics = read_metrics(self._files.run(event.job.id))
        else:
            family.failed[event.job.id] = event.reason
        self._watch.end(event, metrics)

    @property
    def failed(self) -> dict[str, str]:
        """Why runs failed, by run."""
        return {run: reason for family in self.families.values() for run, reason in family.failed.items()}

    def _best_trial(self) -> TrialRecord | None:
        return best_trial(Trials(trial for family in self.families.values() for trial in family.candidates))

    def ranked(self, family: _Family) -> list[dict[str, Any]]:
        """A family's candidates, best first by the mean of their fresh seeds on validation, ties by NLL."""
        best = self._best_trial()
        rows = []
        for trial in family.candidates:
            names = [name for name in family.runs[trial.number] if name not in family.failed]
            metrics = [read_metrics(self._files.run(name)) for name in names]
            if metrics:
                rows.append(
                    {
                        "trial": trial.number,
                        "examples": family.examples[trial.number],
                        "search_accuracy": trial.value,
                        "search_nll": trial.nll_scaled,
                        "runs": names,
                        "accuracies": [m.accuracy for m in metrics],
                        "mean_accuracy": float(np.mean([m.accuracy for m in metrics])),
                        "mean_nll": float(np.mean([m.nll_scaled for m in metrics])),
                        "best_overall": trial == best,
                    }
                )
        return sorted(rows, key=lambda row: (-row["mean_accuracy"], row["mean_nll"]))

    def result(self) -> dict[str, Any]:
        """The content of finalists.json: who was trained, who won on validation, which run is shipped."""
        rows: dict[str, dict[str, Any]] = {}
        for name, family in self.families.items():
            rows[name] = {
                "candidates": self.ranked(family),
                "finalist": family.finalist,
                "final_runs": [run for run in family.final_runs if run not in family.failed],
                "schedule": {"examples_per_run": None if family.finalist is None else family.examples[family.finalist]},
                "seconds": round(family.seconds, 2),
                "failed": family.failed,
            }
        standing = [name for name, row in rows.items() if row["final_runs"]]
        if not standing:
            raise StudyError(f"{self._files.runs}: no final run of the retraining ended well{_told(self.failed)}")
        winner = max(
            standing, key=lambda n: (rows[n]["candidates"][0]["mean_accuracy"], -rows[n]["candidates"][0]["mean_nll"])
        )
        best = self._best_trial()
        assert best is not None
        return {
            "families": rows,
            "winner": winner,
            "shipped_run": rows[winner]["final_runs"][0],
            "best_trial": {"family": best.family, "number": best.number, "accuracy": best.value},
        }

    def save(self, **made_from: str) -> dict[str, Any]:
        """Write finalists.json with what it was `made_from`."""
        result = self.result() | made_from
        write_json(self._files.finalists, result)
        return result


def _told(failed: Mapping[str, str]) -> str:
    """The first reasons in words; `study status` has all of them."""
    shown = [f"{run} failed: {reason}" for run, reason in failed.items()]
    more = f"; {len(shown) - 3} more are in `study status`" if len(shown) > 3 else ""
    return "".join(f"; {text}" for text in shown[:3]) + more
