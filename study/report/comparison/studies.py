"""What each compared study is and what it spent, and which of them share trials."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from study.records.trial import State, TrialRecord
from study.report.comparison.compared import Compared
from study.report.comparison.entries import Entry
from study.report.reading import Stage
from study.report.sections import header, protocol
from study.report.sections.header import Header
from study.report.sections.protocol import Protocol
from study.statistics.result import Result


@dataclass(frozen=True, slots=True)
class Summary(Result):
    """`header` and `protocol` as in the study's own report; `seconds` are its wall-clock."""

    label: str
    folder: str
    stage: Stage
    families: tuple[str, ...]
    winner: str | None
    without_finalist: tuple[str, ...]
    broken_runs: tuple[str, ...]
    seconds: float | None
    header: Header
    protocol: Protocol
    states: Mapping[str, Mapping[State, int]]

    @property
    def trials(self) -> int:
        return sum(sum(states.values()) for states in self.states.values())

    def split(self, family: str) -> str:
        """Trials of a family: completed, pruned and failed."""
        states = self.states[family]
        return f"{states['COMPLETE']} / {states['PRUNED']} / {states['FAIL']}"


@dataclass(frozen=True, slots=True)
class SharedTrials(Result):
    """Two studies that have so many trials in common, whichever way they came by them."""

    studies: tuple[str, str]
    trials: int


@dataclass(frozen=True, slots=True)
class Studies(Result):
    summaries: tuple[Summary, ...]
    shared: tuple[SharedTrials, ...]


def numbers(entries: Sequence[Entry], before: Compared) -> Studies:
    return Studies(tuple(_summary(entry) for entry in entries), tuple(_shared(entries)))


def _summary(entry: Entry) -> Summary:
    study = entry.study
    return Summary(
        label=entry.label,
        folder=str(study.files.root),
        stage=study.stage,
        families=tuple(study.families),
        winner=study.finalists.winner,
        without_finalist=tuple(name for name in study.families if study.finalists.of(name).chosen is None),
        broken_runs=tuple(study.broken_runs),
        seconds=study.active_seconds,
        header=entry.report[header],
        protocol=entry.report[protocol],
        states={name: study.family_trials(name).states for name in study.families},
    )


def _shared(entries: Sequence[Entry]) -> list[SharedTrials]:
    known = {entry.label: {_trial_key(trial) for trial in entry.study.records} for entry in entries}
    pairs = [SharedTrials((a, b), len(known[a] & known[b])) for a, b in combinations(known, 2)]
    return [pair for pair in pairs if pair.trials]


def _trial_key(trial: TrialRecord) -> tuple[object, ...]:
    """The same for a trial and what was imported or copied of it, and for no other."""
    drawn = json.dumps(dict(trial.parameters), sort_keys=True)
    return trial.family, trial.state, trial.seed, drawn, trial.rungs, trial.start, trial.held_seconds
