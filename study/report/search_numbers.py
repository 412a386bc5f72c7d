"""Numbers of the search: states, tuning curves, budgets, edges, choices, health. Pure functions of trial records."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from study.records.ledger import Ledger
from study.records.trial import TrialRecord, Trials

Record = dict[str, Any]

DRAWN = 1000  # trials drawn per figure and family
EDGE = 0.05  # a value in the outer twentieth of its range counts as being at the edge


def at_rung(trials: Iterable[TrialRecord], examples: int) -> Trials:
    """The sampled trials that reached a rung, as though it were the top one."""
    found = []
    for trial in trials:
        rungs = tuple(rung for rung in trial.rungs if rung.examples <= examples)
        if trial.role == "sampled" and rungs and rungs[-1].examples == examples and math.isfinite(rungs[-1].accuracy):
            found.append(replace(trial, state="COMPLETE", rungs=rungs))
    return Trials(found)


def summary(trial: TrialRecord | None) -> Record | None:
    """What the report quotes of one trial."""
    if trial is None:
        return None
    keys = ("number", "family", "value", "nll_scaled", "role", "n_parameters", "flops", "training_seconds")
    return {key: getattr(trial, key) for key in keys} | {"config": dict(trial.config)}


def active_seconds(ledger: Ledger) -> float | None:
    """Wall-clock of a study's own stages; what was examined afterwards on request is no part of its cost."""
    return math.fsum(seconds for name, seconds in ledger.stages.items() if name not in ("ablation", "audit")) or None


def in_order(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    return sorted(trials, key=lambda trial: (moment(trial.end) or -math.inf, trial.number))


def moment(time: datetime | None) -> float | None:
    """Seconds since the epoch."""
    return None if time is None else time.timestamp()


def tuning_curve(trials: Trials) -> Record:
    """Best completed value so far as steps over worker-seconds and over trials.

    Warm starts and imports cost their seconds, but set no value and count no trial.
    """
    seconds, sampled, top = 0.0, 0, -math.inf
    steps: list[Record] = []
    known = {trial.number for trial in trials.completed("sampled")}
    for trial in in_order(trials):
        seconds += trial.held_seconds
        sampled += trial.role == "sampled"
        if trial.number in known and trial.last.accuracy > top:
            top = trial.last.accuracy
            steps.append({"seconds": seconds, "trials": sampled, "value": top, "number": trial.number})
    return {"steps": steps, "seconds": seconds, "trials": sampled, "best": None if not steps else top}


def late_gain(curve: Record) -> float | None:
    """How much of the best value came in the last third of the seconds; None before three improvements' worth of
    history (fewer than nine sampled trials)."""
    if curve["best"] is None or curve["trials"] < 9:
        return None
    early = [step["value"] for step in curve["steps"] if step["seconds"] <= curve["seconds"] * 2 / 3]
    return float(curve["best"] - max(early)) if early else None


def budget(families: Mapping[str, Trials], ledger: Ledger) -> Record:
    """What was made equal (seconds or trials), what each family got of it, and whether the gap is more than the one
    trial that the protocol allows."""
    by_seconds = ledger.budget is not None or ledger.n_trials is None
    recorded = {name: spent.held_seconds for name, spent in ledger.spent.items()}
    spent = {name: recorded.get(name, trials.held_seconds) for name, trials in families.items()}
    counts = {name: sum(trials.states.values()) for name, trials in families.items()}
    got: dict[str, Any] = spent if by_seconds else counts
    gap = max(got.values(), default=0) - min(got.values(), default=0)
    longest = max((trial.held_seconds for trials in families.values() for trial in trials), default=0.0)
    tolerated = max(longest, 0.02 * max(got.values(), default=0)) if by_seconds else 1
    return {
        "equalised": "seconds" if by_seconds else "trials",
        "allowance": ledger.allowance if by_seconds else ledger.n_trials,
        "spent_seconds": spent,
        "trials": counts,
        "gap": gap,
        "tolerated_gap": tolerated,
        "unequal": len(got) > 1 and gap > tolerated + 1e-9,
    }


def distributions(trials: Iterable[TrialRecord]) -> Record:
    """Name -> {"name", "attributes"} as Optuna writes a distribution; the last trial's wins."""
    texts: dict[str, str] = {}
    for trial in trials:
        texts.update(trial.distributions)
    return {name: json.loads(text) for name, text in texts.items()}


def position(value: float, low: float, high: float, *, log: bool) -> float:
    """Place of a value in its range, 0 at the low end, 1 at the high end, on the scale it is sampled on."""
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return (value - low) / (high - low)


def edges(parameters: Mapping[str, Any], known: Record) -> list[Record]:
    """Parameters of one trial that lie at an end of their range: {parameter, value, low, high, end}."""
    found = []
    for name, value in parameters.items():
        range_ = known.get(name, {}).get("attributes", {})
        if "low" not in range_ or isinstance(value, bool | str) or value is None or range_["high"] <= range_["low"]:
            continue
        at = position(float(value), range_["low"], range_["high"], log=bool(range_.get("log")))
        whole = known[name]["name"] == "IntDistribution"
        end = "low" if at <= (0 if whole else EDGE) else "high" if at >= (1 if whole else 1 - EDGE) else None
        if end:
            found.append({"parameter": name, "value": value, "low": range_["low"], "high": range_["high"], "end": end})
    return found


def choices(trials: Iterable[TrialRecord], known: Record, random_draws: int | None) -> list[Record]:
    """Per categorical parameter and value: sampled trials, completed, best value, and the median at the first rung
    of the random draws (all of them reached it, so no selection is in it). `random_draws` is how many first trials
    were drawn at random, None for all."""
    sampled = [trial for trial in trials if trial.role == "sampled"]
    drawn = {trial.number for trial in sorted(sampled, key=lambda t: t.number)[:random_draws]}
    rows = []
    for name, distribution in known.items():
        if distribution["name"] != "CategoricalDistribution":
            continue
        for value in distribution["attributes"]["choices"]:
            having = Trials(t for t in sampled if name in t.parameters and _same(t.parameters[name], value))
            rows.append({"parameter": name, "value": _shown(value), **_choice_row(having, drawn)})
    return rows


def _same(seen: object, choice: object) -> bool:
    return type(seen) is type(choice) and seen == choice


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _choice_row(having: Trials, drawn: set[int]) -> Record:
    values = [trial.value for trial in having.completed() if trial.value is not None]
    first = [trial.rungs[0].accuracy for trial in having if trial.number in drawn and trial.rungs]
    return {
        "trials": len(having),
        "completed": len(values),
        "best": max(values, default=None),
        "random_draws": len(first),
        "random_median": statistics.median(first) if first else None,
    }


def drawn_trials(trials: Trials, limit: int = DRAWN) -> Trials:
    """At most `limit` trials, evenly spread, always with those that set a new best (so that a best-so-far line over
    them stays true)."""
    if len(trials) <= limit:
        return trials
    record = {step["number"] for step in tuning_curve(trials)["steps"]}
    room = max(limit - len(record), 1)
    step = len(trials) / room
    kept = record | {trials[int(i * step)].number for i in range(room)}
    return Trials(trial for trial in trials if trial.number in kept)[:limit]


def health(trials: Trials, top_rung: dict[str, int], n_train: int, ledger: Ledger) -> Record:
    """States, reasons, retries, what pruning saved, and the share of held seconds inside training."""
    held = trials.held_seconds
    training = math.fsum(trial.training_seconds for trial in trials)
    pruned = [trial for trial in trials if trial.state == "PRUNED"]
    saved = sum(max(top_rung.get(trial.family, 0) - trial.examples, 0) for trial in pruned)
    used = sum(trial.examples for trial in trials)
    reasons = Counter(
        (trial.family, (trial.reason or "no reason recorded")[:200]) for trial in trials if trial.state == "FAIL"
    )
    return {
        "failures": [{"family": f, "reason": r, "trials": n} for (f, r), n in reasons.most_common(20)],
        "failed_runs": [{"run": run, "reason": reason} for run, reason in ledger.failed_runs.items()],
        "retried": [trial.title for trial in trials if trial.attempt > 1][:50],
        "held_seconds": held,
        "training_seconds": training,
        "training_share": training / held if held > 0 else None,
        "utilisation": ledger.utilisation,
        "epochs_used": used / n_train,
        "epochs_saved": saved / n_train,
    }


def timeline(trials: Iterable[TrialRecord], limit: int = DRAWN) -> list[Record]:
    """Per trial: worker, family, state, start and length in seconds since the first trial began.

    A trial is asked for before a worker is free, so its bar ends at its end and is as long as the worker held it."""
    timed = [(_held_from(trial), trial) for trial in trials]
    known = [(start, trial) for start, trial in timed if start is not None]
    if not known:
        return []
    first = min(start for start, _ in known)
    rows = [
        {
            "worker": trial.worker or 0,
            "family": trial.family,
            "number": trial.number,
            "state": trial.state,
            "start": start - first,
            "seconds": trial.held_seconds,
        }
        for start, trial in sorted(known, key=lambda pair: pair[0])
    ]
    stride = max(1, math.ceil(len(rows) / limit))
    return rows[::stride]


def _held_from(trial: TrialRecord) -> float | None:
    end = moment(trial.end)
    return None if end is None else end - trial.held_seconds
