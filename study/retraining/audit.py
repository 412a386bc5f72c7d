"""The audit: pruned trials drawn at random, run to the end as if they had never been pruned.

The same seed and ladder as in the search, on validation: how many would have beaten their family's best completed
trial bounds how often pruning costs a winner. `audit.json` holds what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from study.execution.executors import Executor
from study.execution.jobs import Finished, Job, Report
from study.records.files import read_json, write_json
from study.records.paths import StudyFiles
from study.records.settings import StudySettings
from study.records.trial import TrialRecord, read_trials, scaled
from study.retraining.train_all import train_all
from study.seeds import derive_seed
from study.statistics.intervals import upper_bound
from study.training.schedule import Schedule


def pruned_trials(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Counted trials that the pruner ended; one that only the search's end stopped is not its doing."""
    return [trial for trial in trials if trial.counted and trial.ending == "pruned"]


def draw(trials: Iterable[TrialRecord], n: int, study_seed: int) -> list[TrialRecord]:
    """At most `n` of the pruned trials, each as likely as any other: those with the smallest keys of their own, so that
    a larger draw holds a smaller one, also after the search has gone on."""
    return sorted(
        pruned_trials(trials), key=lambda trial: derive_seed(study_seed, trial.family, trial.number, "audit")
    )[:n]


class Audit:
    """`n` pruned trials of a study over one executor; what an earlier audit found of them is kept."""

    def __init__(self, files: StudyFiles, settings: StudySettings, n: int) -> None:
        self._files = files
        self._settings = settings
        self._trials = read_trials(files.trials_jsonl).counted
        self._drawn = draw(self._trials, n, settings.seed)
        before = read_json(files.audit)["rows"] if files.audit.exists() else []
        known = {f"{row['family']}/{row['number']}": row for row in before}
        self._values: dict[str, float] = {id_: row["value"] for id_, row in known.items() if row["failed"] is None}
        self._failed: dict[str, str] = {}
        self._last: dict[str, float] = {}

    @property
    def n_drawn(self) -> int:
        return len(self._drawn)

    @property
    def n_known(self) -> int:
        """Of those drawn, whose end is known."""
        return sum(_id(trial) in self._values or _id(trial) in self._failed for trial in self._drawn)

    def run(self, executor: Executor, tick: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Train what is not known yet, and write `audit.json`, also when interrupted."""
        jobs = iter([self._job(trial) for trial in self._drawn if _id(trial) not in self._values])
        try:
            train_all(executor, lambda: next(jobs, None), on_report=self._report, on_end=self._end, tick=tick)
        finally:
            found = self.result()
            write_json(self._files.audit, found)
        return found

    def _job(self, trial: TrialRecord) -> Job:
        assert trial.seed is not None  # the driver gives every trial one
        config = dict(trial.config)
        ladder = self._settings.families[trial.family].ladder
        schedule = Schedule.rungs(scaled(ladder.examples, trial.rung_scale), config["batch_size"])
        return Job(_id(trial), config, trial.seed, schedule, images=ladder.images)

    def _report(self, report: Report) -> None:
        assert report.metrics.validation is not None  # as in the search
        self._last[report.job.id] = report.metrics.validation.accuracy

    def _end(self, event: Finished) -> None:
        if event.reason is None:
            self._values[event.job.id] = self._last[event.job.id]
        else:
            self._failed[event.job.id] = event.reason

    def result(self) -> dict[str, Any]:
        """The content of audit.json: a row for each trial that ended, and the bound over those that have a value."""
        best = {family: self._trials.of(family).best for family in self._settings.families}
        rows = [
            {
                "family": trial.family,
                "number": trial.number,
                "pruned_at": trial.examples,
                "value": self._values.get(_id(trial)),
                "best": leader and leader.value,
                "beats": self._beats(trial, leader),
                "failed": self._failed.get(_id(trial)),
            }
            for trial in self._drawn
            if _id(trial) in self._values or _id(trial) in self._failed
            for leader in (best[trial.family],)
        ]
        judged = [row for row in rows if row["beats"] is not None]
        beaten = sum(bool(row["beats"]) for row in judged)
        return {
            "pruned": len(pruned_trials(self._trials)),
            "drawn": len(self._drawn),
            "judged": len(judged),
            "beaten": beaten,
            "bound95": upper_bound(beaten, len(judged)),
            "rows": rows,
        }

    def _beats(self, trial: TrialRecord, best: TrialRecord | None) -> bool | None:
        value = self._values.get(_id(trial))
        return None if value is None or best is None else value > best.last.accuracy


def _id(trial: TrialRecord) -> str:
    return f"{trial.family}/{trial.number}"
