"""What each family has of an earlier retraining."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from study.records.finalists import Finalists, read_finalists
from study.records.paths import StudyFiles
from study.records.trial import TrialRecord, Trials, read_trials
from study.stages import plan as planner


@dataclass(frozen=True)
class Held:
    """A family's part in an earlier retraining: its finalist, how many final runs on train + validation it has, and of
    each candidate, by trial number, how many examples a run saw and how many runs there are."""

    finalist: int
    n_final: int
    examples: dict[int, int]
    n_runs: dict[int, int]

    @property
    def length(self) -> int:
        return self.examples[self.finalist]


def held_by(files: StudyFiles) -> dict[str, Held]:
    """What each family has; nothing before the first retraining."""
    found = read_finalists(files.finalists) if files.finalists.is_file() else Finalists()
    return {
        family: Held(
            row.finalist,
            len(set(row.final_runs) - {run for one in row.candidates for run in one.runs}),
            {candidate.trial: candidate.examples for candidate in row.candidates},
            {candidate.trial: len(candidate.runs) for candidate in row.candidates},
        )
        for family, row in found.families.items()
        if row.finalist is not None and row.final_runs
    }


def run_seconds(files: StudyFiles, held: Mapping[str, Held]) -> dict[str, float]:
    """What a run of each family's finalist takes, at the speed that its trial had in the search."""
    known = by_number(read_trials(files.trials_jsonl))
    return {family: one.length / planner.steady_speed(known[family, one.finalist]) for family, one in held.items()}


def by_number(trials: Trials) -> dict[tuple[str, int], TrialRecord]:
    return {(trial.family, trial.number): trial for trial in trials}
