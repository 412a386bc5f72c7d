"""What became of the trials: states, failures, what pruning saved, what an audit found, and who worked when."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from study.records.examined import Audit
from study.records.trial import State, TrialRecord, Trials
from study.report import budget
from study.report.charts import GREYS, Chart, Figure, layout
from study.report.nodes import Nodes, nodes_of
from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.wording import count, percent
from study.statistics.result import OPTIONAL, PAGE_ONLY, Result

DRAWN = 1000  # bars
STATE_COLOURS: Mapping[State, str] = {"COMPLETE": GREYS[0], "PRUNED": GREYS[2], "FAIL": "#c62828"}
STATE_PATTERNS: Mapping[State, str] = {"COMPLETE": "", "PRUNED": "/", "FAIL": "x"}


@dataclass(frozen=True, slots=True)
class Failure(Result):
    """A reason for which trials of a family failed."""

    family: str
    reason: str
    trials: int


@dataclass(frozen=True, slots=True)
class FailedRun(Result):
    run: str
    reason: str


@dataclass(frozen=True, slots=True)
class Bar(Result):
    """When a worker held a trial: seconds since the first one began, and for how many."""

    worker: int
    family: str
    number: int
    state: State
    start: float
    seconds: float
    node: str | None = field(default=None, metadata=OPTIONAL)  # in a study of several machines

    @property
    def row(self) -> str:
        """Where it is drawn."""
        return f"worker {self.worker}" if self.node is None else f"{self.node}, worker {self.worker}"

    @property
    def trial(self) -> str:
        return f"{self.family} #{self.number}"


@dataclass(frozen=True, slots=True)
class Health(Result):
    """Of the trials that this study trained, found or given: `total` of them, by family in `states`; imported ones are
    another study's. `uncounted` trials were interrupted or withdrawn; the `timeline` draws some of `timeline_total`.
    Epochs are of the training part; `epochs_saved` is what pruned trials would have trained on to the top rung."""

    states: Mapping[str, Mapping[State, int]]
    uncounted: int
    timeline: tuple[Bar, ...]
    timeline_total: int
    audit: Audit | None
    audit_sentence: str
    failures: tuple[Failure, ...]
    failed_runs: tuple[FailedRun, ...]
    retried: tuple[str, ...]
    held_seconds: float
    training_seconds: float
    training_share: float | None
    utilisation: float | None
    epochs_used: float
    epochs_saved: float
    total: int = field(metadata=PAGE_ONLY)
    nodes: Nodes | None = field(default=None, metadata=OPTIONAL)  # of a study of several machines


def numbers(study: StudyRecords, before: Report) -> Health:
    counted = study.records.counted
    trials = Trials(trial for family in study.families for trial in counted.of(family) if trial.role != "imported")
    tops = {name: settings.ladder.examples[-1] for name, settings in study.settings.families.items()}
    used, saved = epochs(trials, tops, study.settings.dataset.n_train)
    held, training = trials.held_seconds, math.fsum(trial.training_seconds for trial in trials)
    pruned = sum(trial.ending == "pruned" for trial in counted)  # an audit draws from imported ones, too
    nodes = nodes_of(study, trials, by_seconds=before[budget].equalised == "seconds")
    return Health(
        states={name: trials.of(name).states for name in study.families},
        uncounted=len(study.records) - len(counted),
        timeline=timeline(trials, by_node=nodes is not None),
        timeline_total=len(trials),
        audit=study.examined.audit,
        audit_sentence=audit_sentence(study.examined.audit, pruned),
        failures=_failures(trials),
        failed_runs=tuple(FailedRun(run, reason) for run, reason in study.ledger.failed_runs.items()),
        retried=tuple([trial.title for trial in trials if trial.attempt > 1][:50]),
        held_seconds=held,
        training_seconds=training,
        training_share=training / held if held > 0 else None,
        utilisation=study.ledger.utilisation,
        epochs_used=used,
        epochs_saved=saved,
        total=len(trials),
        nodes=nodes,
    )


def epochs(trials: Trials, tops: Mapping[str, int], n_train: int) -> tuple[float, float]:
    """Epochs of the training part that trials trained, and those that pruned ones were spared up to the top rung of
    their family."""
    used = sum(trial.examples for trial in trials)
    pruned = [trial for trial in trials if trial.state == "PRUNED"]
    saved = sum(max(round(trial.rung_scale * tops.get(trial.family, 0)) - trial.examples, 0) for trial in pruned)
    return used / n_train, saved / n_train


def _failures(trials: Trials) -> tuple[Failure, ...]:
    failed = [trial for trial in trials if trial.state == "FAIL"]
    reasons = Counter((trial.family, (trial.reason or "no reason recorded")[:200]) for trial in failed)
    return tuple(Failure(family, reason, n) for (family, reason), n in reasons.most_common(20))


def timeline(trials: Sequence[TrialRecord], limit: int = DRAWN, *, by_node: bool = False) -> tuple[Bar, ...]:
    """At most so many bars, evenly spread. A trial is asked for before a worker is free, so its bar ends at its end and
    is as long as the worker held it."""
    timed = [(trial.end.timestamp() - trial.held_seconds, trial) for trial in trials if trial.end is not None]
    timed.sort(key=lambda pair: pair[0])
    bars = [
        Bar(
            worker=trial.worker or 0,
            family=trial.family,
            number=trial.number,
            state=trial.state,
            start=start - timed[0][0],
            seconds=trial.held_seconds,
            node=trial.node if by_node else None,
        )
        for start, trial in timed
    ]
    return tuple(bars[:: max(1, math.ceil(len(bars) / limit))])


def audit_sentence(audit: Audit | None, pruned: int) -> str:
    """What an audit found; of a search that has gone on, and has `pruned` trials now, that it is of an earlier one."""
    if audit is None:
        return (
            "No audit: how many pruned trials would have won is unknown; study examine --audit 20 runs 20 to the end."
        )
    if not audit.judged:
        reason = "no trial was pruned" if not audit.pruned else "none of those drawn could be judged"
        return f"Audit: {reason}, so nothing is known of wrongly pruned ones."
    found = "none" if audit.beaten == 0 else f"{audit.beaten}"
    more = pruned - audit.pruned
    since = f" Since then {count(more, 'trial')} more {'were' if more > 1 else 'was'} pruned." if more > 0 else ""
    return (
        f"Audit: of {count(audit.judged, 'pruned trial')} drawn at random from {audit.pruned} and run to the end, "
        f"{found} beat the best completed trial of its family; with 95 % confidence at most "
        f"{percent(audit.bound95, 1)} of the pruned ones would.{since}"
    )


def finding(found: Health, before: Report) -> str:
    if not found.total:
        return "No trial has run yet."
    failed = sum(states["FAIL"] for states in found.states.values())
    share, pruned = percent(found.training_share, 0), any(states.get("PRUNED") for states in found.states.values())
    saved = f"pruning saved {found.epochs_saved:.1f} epochs" if pruned else "no trial was pruned"
    return (
        f"{failed} of {count(found.total, 'trial')} failed; workers spent {share} of a trial's time training; {saved}."
    )


def charts(found: Health) -> list[Chart]:
    if not found.timeline:
        return []
    by_state = {state: [bar for bar in found.timeline if bar.state == state] for state in STATE_COLOURS}
    data = [_bars(state, bars) for state, bars in by_state.items() if bars]
    workers = len({bar.row for bar in found.timeline})
    axis = layout("seconds since the first trial", "", 170 + 34 * workers, barmode="overlay")
    axis["yaxis"] |= {"type": "category", "automargin": True, "categoryorder": "category ascending"}
    rows = [(bar.trial, _worker(bar), bar.state, f"{bar.start:.1f}", f"{bar.seconds:.1f}") for bar in found.timeline]
    columns = ("trial", "worker", "state", "start, s", "length, s")
    figure = {"data": data, "layout": axis}
    return [
        Chart(
            "timeline",
            "Trials on their workers over time: gaps are waiting, hatched trials were stopped early.",
            figure,
            columns,
            rows,
            tells_finding=True,
        )
    ]


def _worker(bar: Bar) -> str:
    return str(bar.worker) if bar.node is None else f"{bar.worker} on {bar.node}"


def _bars(state: State, bars: list[Bar]) -> Figure:
    return {
        "type": "bar",
        "orientation": "h",
        "name": state.lower(),
        "base": [bar.start for bar in bars],
        "x": [bar.seconds for bar in bars],
        "y": [bar.row for bar in bars],
        "text": [bar.trial for bar in bars],
        "textposition": "none",
        "marker": {"color": STATE_COLOURS[state], "pattern": {"shape": STATE_PATTERNS[state]}},
    }
