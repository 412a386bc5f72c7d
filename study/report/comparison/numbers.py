"""Leaderboard, exploratory differences and costs over several studies. Pure functions of the studies that were read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from study.records.run import Run
from study.records.trial import TrialRecord
from study.report.comparison.entries import Entry
from study.report.pareto import COSTS, fronts
from study.report.reading import Array, Record
from study.report.sections import header, protocol
from study.report.sections.leaderboard import finalists as leaderboard_of
from study.statistics import comparison as stats
from study.statistics import over_seeds
from study.statistics.groups import Groups


def summary(entry: Entry) -> Record:
    """What a study is and what it spent; `header` and `protocol` as in its own report.json."""
    study = entry.study
    return {
        "label": entry.label,
        "folder": str(study.files.root),
        "stage": study.stage,
        "families": study.families,
        "winner": study.finalists.winner,
        "without_finalist": [name for name in study.families if study.finalists.of(name).chosen is None],
        "broken_runs": study.broken_runs,
        "seconds": study.active_seconds,
        "header": entry.report[header].to_dict(),
        "protocol": entry.report[protocol].to_dict(),
        "states": {name: study.family_trials(name).states for name in study.families},
    }


def finalists(entry: Entry) -> list[Record]:
    """The rows of a study's own leaderboard, with the study, the finalist's origin and whether validation chose it."""
    found = []
    for finalist in leaderboard_of(entry.study):
        row = finalist.to_dict()
        about = {
            "id": f"{entry.label}/{finalist.family}",
            "study": entry.label,
            "winner": finalist.family == entry.study.finalists.winner,
            "role": _role(entry, row),
            "title": f"{finalist.title} of study {entry.label}",
        }
        found.append({**row, **about})
    return found


def _role(entry: Entry, row: Record) -> str | None:
    """How the search came by the finalist: sampled, warm_start or imported."""
    trials = entry.study.family_trials(row["family"])
    return next((trial.role for trial in trials if trial.number == row["trial"]), None)


def shared_trials(entries: Sequence[Entry]) -> list[Record]:
    """Pairs of studies that have trials in common, whichever way they came by them, with how many."""
    known = {entry.label: {_trial_key(trial) for trial in entry.study.records} for entry in entries}
    pairs = [(a, b, len(known[a] & known[b])) for a, b in combinations(known, 2)]
    return [{"studies": [a, b], "trials": shared} for a, b, shared in pairs if shared]


def _trial_key(trial: TrialRecord) -> tuple[object, ...]:
    """The same for a trial and what was imported or copied of it, and for no other."""
    drawn = json.dumps(dict(trial.parameters), sort_keys=True)
    return trial.family, trial.state, trial.seed, drawn, trial.rungs, trial.start, trial.held_seconds


# -- the same test images ---------------------------------------------------------------------------------------------


def split_digests(entry: Entry) -> dict[str, str]:
    """Digests of the test files by role: those sealed with the predictions, else those that the study will open."""
    known = entry.study.settings.dataset.sha256
    sealed = entry.last_opening.test_sha256 if entry.last_opening else {}
    return sealed or {role: digest for role, digest in known.items() if role.startswith("test")}


def why_unpaired(a: Entry, b: Entry) -> str | None:
    """Why no image of one study can be held against the same image of the other; None if every one can."""
    sealed = [entry.label for entry in (a, b) if not entry.correct]
    if sealed:
        return f"no finalist of {' and '.join(sealed)} has predictions on the test split"
    one, other = split_digests(a), split_digests(b)
    if not one or not other:
        return "no checksum of the test files is recorded, so nothing shows that the images are the same"
    if one != other:
        roles = [role for role in dict.fromkeys([*one, *other]) if one.get(role) != other.get(role)]
        return f"other test images: the sha256 of {' and '.join(roles)} {'differs' if len(roles) == 1 else 'differ'}"
    if not np.array_equal(_labels(a), _labels(b)):
        return "the checksums of the test files agree, but the labels beside the predictions do not"
    return None


def _labels(entry: Entry) -> Array:
    assert entry.study.test_labels is not None  # asked only of studies with predictions
    return entry.study.test_labels


def groups(entries: Sequence[Entry]) -> list[Record]:
    """The studies by the test images that they were read on; one that was not read stands with those that have its
    checksums."""
    found: list[list[Entry]] = []
    for entry in sorted(entries, key=lambda entry: not entry.correct):
        fitting = next((members for members in found if _belongs(entry, members[0])), None)
        if fitting is None:
            found.append([entry])
        else:
            fitting.append(entry)
    return [_group(members) for members in found]


def _belongs(entry: Entry, first: Entry) -> bool:
    if entry.correct:
        return why_unpaired(entry, first) is None
    return bool(split_digests(entry)) and split_digests(entry) == split_digests(first)


def _group(members: Sequence[Entry]) -> Record:
    first = members[0]
    return {
        "datasets": list(dict.fromkeys(entry.study.settings.dataset.name for entry in members)),
        "studies": [entry.label for entry in members],
        "read": [entry.label for entry in members if entry.correct],
        "n_test": len(_labels(first)) if first.correct else None,
        "sha256": split_digests(first),
        "labels_sha256": hashlib.sha256(_labels(first).tobytes()).hexdigest() if first.correct else None,
    }


# -- leaderboard and costs --------------------------------------------------------------------------------------------


def leaderboard(rows: Sequence[Record], found: Sequence[Record], *, latency: bool) -> list[Record]:
    """All finalists, group after group, the highest mean test accuracy first. `front` names the costs on whose Pareto
    front a finalist is in its group, latency only if it can be compared."""
    board = []
    for place, group in enumerate(found):
        inside = [{**row, "group": place, "front": []} for row in rows if row["study"] in group["studies"]]
        tested = [row for row in inside if row["test"]]
        known = [row if latency else {**row, "latency_p50_ms": None} for row in tested]
        found_fronts = fronts([(_mean(row), {cost: row[cost] for cost in COSTS}) for row in known])
        for row, front in zip(tested, found_fronts, strict=True):
            row["front"] = list(front)
        board += sorted(inside, key=lambda row: (-_mean(row), -(row["validation_mean"] or 0.0)))
    return board


def _mean(row: Record) -> float:
    return float(row["test"]["accuracy"]["mean"]) if row["test"] else 0.0


def cost_points(board: Sequence[Record], *, latency: bool) -> list[Record]:
    """The finalists of the leaderboard that were read on the test split, with what the charts show of them."""
    keys = ("id", "study", "group", "family", "trial", "winner", "n_parameters", "flops", "front")
    return [
        {
            **{key: row[key] for key in keys},
            "latency_p50_ms": row["latency_p50_ms"] if latency else None,
            "accuracy": row["test"]["accuracy"]["mean"],
            "interval95": row["test"]["accuracy"]["interval95"],
        }
        for row in board
        if row["test"]
    ]


def latency_comparable(entries: Sequence[Entry]) -> bool:
    """All studies were measured on one kind of processor."""
    return len({machine.cpu if (machine := entry.study.ledger.machine) else None for entry in entries}) == 1


# -- exploratory differences ------------------------------------------------------------------------------------------


def pairs(rows: Sequence[Record], entries: Sequence[Entry]) -> list[Record]:
    """Every pair of finalists of different studies on the same test images, pairs of winners first: difference with its
    intervals and what they show. No test: nobody planned these pairs. Copies of one network make no pair. In the order
    of the leaderboard, so that the first of a pair is the one with the higher mean."""
    by_label = {entry.label: entry for entry in entries}
    chosen = [
        (a, b)
        for a, b in combinations([row for row in rows if row["test"]], 2)
        if a["group"] == b["group"] and a["study"] != b["study"] and not same_weights(a, b, by_label)
    ]
    chosen.sort(key=lambda pair: not (pair[0]["winner"] and pair[1]["winner"]))
    compared = [
        over_seeds.compare_finalists(_correct(a, by_label), _correct(b, by_label), _groups(a, b, by_label))
        for a, b in chosen
    ]
    return [
        {
            "a": a["id"],
            "b": b["id"],
            "comparison": {key: value for key, value in comparison.to_dict().items() if key not in ("t", "p_value")},
            "reading": stats.read_intervals(comparison).to_dict(),
            "title_a": a["title"],
            "title_b": b["title"],
            "studies": [a["study"], b["study"]],
            "winners": bool(a["winner"] and b["winner"]),
            "same_configuration": _same_config(a, b, by_label),
        }
        for (a, b), comparison in zip(chosen, compared, strict=True)
    ]


def _groups(a: Record, b: Record, entries: Mapping[str, Entry]) -> Groups | None:
    """Of the images that both read, if either study knows them."""
    return entries[a["study"]].study.groups or entries[b["study"]].study.groups


def _correct(row: Record, entries: Mapping[str, Entry]) -> Array:
    return entries[row["study"]].correct[row["family"]]


def _same_config(a: Record, b: Record, entries: Mapping[str, Entry]) -> bool:
    one, other = ([run.config for run in _runs(row, entries)[:1]] for row in (a, b))
    return bool(one) and one == other


def _runs(row: Record, entries: Mapping[str, Entry]) -> list[Run]:
    return entries[row["study"]].study.final_runs(row["family"])


def same_weights(a: Record, b: Record, entries: Mapping[str, Entry]) -> bool:
    """Two finalists that share a network: one study is a copy of the other, or goes on from one."""
    return bool(_hashes(a, entries) & _hashes(b, entries))


def _hashes(row: Record, entries: Mapping[str, Entry]) -> set[str]:
    opening = entries[row["study"]].last_opening
    sealed = opening.hashes if opening else {}
    return {sealed[run.name] for run in _runs(row, entries) if run.name in sealed}


def untested(entries: Sequence[Entry], rows: Sequence[Record]) -> list[Record]:
    """Pairs of studies, or of finalists, between which nothing is tested, with the reason: {kind, a, b, reason}, kind
    "studies" or "same network"."""
    by_label = {entry.label: entry for entry in entries}
    studies = [
        {"kind": "studies", "a": f"study {a.label}", "b": f"study {b.label}", "reason": reason}
        for a, b in combinations(entries, 2)
        if (reason := why_unpaired(a, b)) is not None
    ]
    copies = [
        {
            "kind": "same network",
            "a": a["title"],
            "b": b["title"],
            "reason": "one network: equal sealed weights",
        }
        for a, b in combinations([row for row in rows if row["test"]], 2)
        if a["study"] != b["study"] and same_weights(a, b, by_label)
    ]
    return studies + copies
