"""What the searches of the families were given and what each got of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.wording import count, duration, listing
from study.statistics.result import Result

TOLERATED = 0.02  # share of what the family that got most has


@dataclass(frozen=True, slots=True)
class Budget(Result):
    """What was made equal, worker-seconds or trials, what each family got of both, and whether the `gap` is more than
    the one trial that the protocol allows. `given_seconds` are what its given trials took beside the search, by family;
    empty for an older study, which counts them as the search's."""

    equalised: Literal["seconds", "trials"]
    allowance: float | None
    spent_seconds: Mapping[str, float]
    given_seconds: Mapping[str, float]
    trials: Mapping[str, int]
    gap: float
    tolerated_gap: float
    unequal: bool

    @property
    def imbalance(self) -> str:
        """What each family got of the quantity that was made equal."""
        if self.equalised == "seconds":
            got = [f"{name} {duration(value)}" for name, value in self.spent_seconds.items()]
            return f"{listing(got)} of worker time ({self.gap_shown} apart)."
        got = [f"{name} {count(value, 'trial')}" for name, value in self.trials.items()]
        return f"{listing(got)} ({self.gap_shown} apart)."

    @property
    def gap_shown(self) -> str:
        return duration(self.gap) if self.equalised == "seconds" else count(self.gap, "trial")


def _given_seconds(study: StudyRecords) -> Mapping[str, float]:
    """Imported trials took theirs in another study."""
    if study.settings.given != "apart":
        return {}
    given = {name: study.records.of(name).given for name in study.families}
    return {name: sum(one.held_seconds for one in trials if one.role != "imported") for name, trials in given.items()}


def numbers(study: StudyRecords, before: Report) -> Budget:
    families, ledger = {name: study.family_trials(name) for name in study.families}, study.ledger
    by_seconds = ledger.budget is not None or ledger.n_trials is None
    recorded = {name: spent.held_seconds for name, spent in ledger.spent.items()}
    spent = {name: recorded.get(name, trials.held_seconds) for name, trials in families.items()}
    counts = {name: len(trials) for name, trials in families.items()}
    got: Mapping[str, float] = spent if by_seconds else counts
    most = max(got.values(), default=0)
    gap = most - min(got.values(), default=0)
    longest = max((trial.held_seconds for trials in families.values() for trial in trials), default=0.0)
    tolerated = max(longest, TOLERATED * most) if by_seconds else 1
    return Budget(
        equalised="seconds" if by_seconds else "trials",
        allowance=ledger.allowance if by_seconds else ledger.n_trials,
        spent_seconds=spent,
        given_seconds=_given_seconds(study),
        trials=counts,
        gap=gap,
        tolerated_gap=tolerated,
        unequal=len(got) > 1 and gap > tolerated + 1e-9,
    )
