"""Retraining: candidates under fresh seeds, then each family's finalist on train + validation, unless a short budget
takes the finalist's candidate runs for its final ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from study.errors import StudyError
from study.execution.executors import Executor
from study.execution.jobs import Finished, Job, Report, RungMetrics
from study.records.finalists import BestTrial, Candidate, FamilyResult, Finalists, write_finalists
from study.records.paths import StudyFiles
from study.records.run import RunMetrics, RunRole, candidate_run, final_run, read_metrics
from study.records.settings import StudySettings
from study.records.trial import TrialRecord, Trials
from study.retraining.candidates import best_trial
from study.retraining.pace import Pace
from study.retraining.runs import Engine, RunLengths, plan_run
from study.retraining.train_all import train_all
from study.seeds import derive_seed


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
    and with None while waiting. With `found_only` no given candidate becomes a finalist while a found one ended well.
    """

    def __init__(
        self,
        files: StudyFiles,
        settings: StudySettings,
        candidates: Mapping[str, Trials],
        lengths: RunLengths,
        engine: Engine,
        watch: Watch,
        *,
        found_only: bool = False,
    ) -> None:
        self._found_only = found_only
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
        self._begun: set[str] = set()

    @property
    def seconds_left(self) -> float:
        """Wall-clock until the last run ends, by what the trials took and the runs have taken so far."""
        return self._pace.left(self._n_workers)

    def run(self, executor: Executor, observe: Observer) -> None:
        self._n_workers = executor.n_workers
        for family in self.families.values():
            self._plan_candidates(family)

        def end(event: Finished) -> None:
            self._end(event)
            observe(self, event.job.id)

        try:
            train_all(
                executor,
                self._next_job,
                on_begin=self._begin,
                on_report=self._report,
                on_end=end,
                tick=lambda: observe(self, None),
            )
        except BaseException as error:
            self._watch.abandon(f"interrupted: {error}")
            raise

    def _plan_candidates(self, family: _Family) -> None:
        for trial in family.candidates:
            names = []
            for index in range(self._settings.retrain.candidate_seeds):
                name = candidate_run(family.name, trial.number, index)
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
        return [final_run(family.name, index) for index in range(self._settings.retrain.final_seeds)]

    def _advance(self, family: _Family) -> None:
        """Once all candidates are there, choose the finalist and plan its final runs."""
        if family.waiting or family.final_runs:
            return
        ranked = self.ranked(family)
        if not ranked:
            return
        best = next((one for one in ranked if not (self._found_only and one.given)), ranked[0])
        family.finalist = best.trial
        if not self._settings.retrain.final_seeds:
            family.final_runs = list(best.runs)
            return
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

    def _next_job(self) -> Job | None:
        """Candidates first: a family whose last one waits keeps a worker idle at the end. Among each the longest first,
        since a short run fills a gap there and a long one would make it."""
        # A family whose last candidate was already there moves on without an event.
        for family in self.families.values():
            self._advance(family)
        self._pending.sort(key=lambda pending: pending[:2], reverse=True)
        return self._pending.pop(0)[2] if self._pending else None

    def _begin(self, job: Job) -> None:
        if job.id not in self._begun:
            self._watch.begin(job)
            self._begun.add(job.id)
        self._pace.begin(job.id)

    def _report(self, report: Report) -> None:
        assert report.job.run is not None  # every run of a retraining has a folder
        self._pace.reached(report.job.id, report.examples / report.job.run.record.examples)
        self._watch.report(report.job, report.examples, report.metrics)

    def _end(self, event: Finished) -> None:
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
        trials = Trials(trial for family in self.families.values() for trial in family.candidates)
        return best_trial(self._settings.of_search(trials)) or best_trial(trials)

    def ranked(self, family: _Family) -> list[Candidate]:
        """A family's candidates, best first by the mean of their fresh seeds on validation, ties by NLL."""
        found = [self._candidate(family, trial) for trial in family.candidates]
        return sorted((one for one in found if one is not None), key=lambda one: one.rank)

    def _candidate(self, family: _Family, trial: TrialRecord) -> Candidate | None:
        """None if none of its runs ended well."""
        names = [name for name in family.runs[trial.number] if name not in family.failed]
        if not names:
            return None
        scores = [_score(read_metrics(self._files.run(name))) for name in names]
        return Candidate(
            trial=trial.number,
            examples=family.examples[trial.number],
            search_accuracy=trial.last.accuracy,
            search_nll=trial.last.nll_scaled,
            runs=tuple(names),
            accuracies=tuple(accuracy for accuracy, _ in scores),
            mean_accuracy=float(np.mean([accuracy for accuracy, _ in scores])),
            mean_nll=float(np.mean([nll for _, nll in scores])),
            best_overall=trial == self._best_trial(),
            given=self._settings.given == "apart" and trial.origin == "given",
        )

    def result(self) -> Finalists:
        """Who was trained and what came of it; StudyError if no final run ended well."""
        families = {name: self._result_of(family) for name, family in self.families.items()}
        best = self._best_trial()
        assert best is not None
        found = Finalists(families, BestTrial(best.family, best.number, best.last.accuracy))
        if not found.standing:
            raise StudyError(f"{self._files.runs}: no final run of the retraining ended well{_told(self.failed)}")
        return found

    def _result_of(self, family: _Family) -> FamilyResult:
        return FamilyResult(
            candidates=tuple(self.ranked(family)),
            finalist=family.finalist,
            final_runs=tuple(run for run in family.final_runs if run not in family.failed),
            examples=None if family.finalist is None else family.examples[family.finalist],
            seconds=round(family.seconds, 2),
            failed=family.failed,
        )

    def save(self, trials: str | None = None) -> Finalists:
        """Write finalists.json, made from the trials of this digest."""
        result = replace(self.result(), trials=trials, validation=self._settings.dataset.split_sha256)
        write_finalists(self._files.finalists, result)
        return result


def _score(metrics: RunMetrics) -> tuple[float, float]:
    """Accuracy and temperature-scaled NLL of a candidate's run."""
    assert metrics.accuracy is not None  # it learned from the training part alone
    assert metrics.nll_scaled is not None
    return metrics.accuracy, metrics.nll_scaled


def _told(failed: Mapping[str, str]) -> str:
    """The first reasons in words; `study status` has all of them."""
    shown = [f"{run} failed: {reason}" for run, reason in failed.items()]
    more = f"; {len(shown) - 3} more are in `study status`" if len(shown) > 3 else ""
    return "".join(f"; {text}" for text in shown[:3]) + more
