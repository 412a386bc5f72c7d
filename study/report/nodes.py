"""What each machine did for a study that had several: its trials and runs, and how busy its workers were."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from study.records.ledger import NodeSeen
from study.records.run import Run
from study.records.trial import TrialRecord
from study.report.reading import StudyRecords
from study.report.wording import listing
from study.statistics.result import PAGE_ONLY, Result

UNKNOWN = "not recorded"


@dataclass(frozen=True, slots=True)
class NodeRow(Result):
    """A machine: trials and runs of the retraining that its workers trained, in worker-seconds, and the share of the
    search's time for which they were busy, None where no command told what they offered."""

    node: str
    kind: str
    workers: int
    trials: int
    trial_seconds: float
    runs: int
    run_seconds: float
    utilisation: float | None
    lost: bool
    joined: bool

    @property
    def name(self) -> str:
        told = [word for word, holds in (("joined later", self.joined), ("lost", self.lost)) if holds]
        return f"{self.node} ({', '.join(told)})" if told else self.node


@dataclass(frozen=True, slots=True)
class Nodes(Result):
    """All machines, worker-seconds by kind of machine, and the share of all workers' time that trials took."""

    rows: tuple[NodeRow, ...]
    seconds_by_kind: Mapping[str, float]
    by_seconds: bool = field(metadata=PAGE_ONLY)  # whether the families' budgets were made equal in seconds

    @property
    def sentence(self) -> str:
        """What was done about machines that train at different speeds."""
        kinds = [kind for kind in self.seconds_by_kind if kind != UNKNOWN]
        if len(kinds) < 2:
            return "The machines are of one kind, so that equal seconds bought equal work."
        told = f"The machines are of {len(kinds)} kinds, {listing(kinds)}"
        if self.by_seconds:
            return (
                f"{told}: they worked one kind after the other, since a command with a time budget takes machines of "
                "one kind only. Each command shared its seconds evenly among the families."
            )
        return f"{told}: seconds on them buy different amounts of work. The families got equal numbers of trials."


def nodes_of(study: StudyRecords, trials: Sequence[TrialRecord], *, by_seconds: bool) -> Nodes | None:
    """None for a study of one machine."""
    seen: dict[str, list[NodeSeen]] = {}
    for node in study.ledger.nodes:
        seen.setdefault(node.name, []).append(node)
    if len(seen) < 2:
        return None
    names = [trial.node for trial in trials] + [run.record.node for run in study.runs.values()]
    unknown = [UNKNOWN] if any(name is None for name in names) else []
    rows = tuple([_row(name, seen.get(name, []), trials, list(study.runs.values())) for name in [*seen, *unknown]])
    by_kind: dict[str, float] = {}
    for row in rows:
        by_kind[row.kind] = by_kind.get(row.kind, 0.0) + row.trial_seconds + row.run_seconds
    return Nodes(rows, by_kind, by_seconds)


def _row(name: str, seen: Sequence[NodeSeen], trials: Sequence[TrialRecord], runs: Sequence[Run]) -> NodeRow:
    of_trials = [trial.held_seconds for trial in trials if (trial.node or UNKNOWN) == name]
    of_runs = [run.metrics.seconds for run in runs if (run.record.node or UNKNOWN) == name and run.metrics is not None]
    held, offered = math.fsum(of_trials), math.fsum(node.offered for node in seen)
    return NodeRow(
        node=name,
        kind=seen[-1].kind if seen else UNKNOWN,
        workers=sum(node.workers for node in seen[-1:]),
        trials=len(of_trials),
        trial_seconds=held,
        runs=len(of_runs),
        run_seconds=math.fsum(of_runs),
        utilisation=min(1.0, held / offered) if offered > 0 else None,
        lost=any(node.lost is not None for node in seen),
        joined=any(node.joined is not None for node in seen),
    )
