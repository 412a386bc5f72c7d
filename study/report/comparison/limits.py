"""What these studies cannot tell of each other and why, each item raised by the comparison's numbers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from study.report.comparison.sentences import differing_topics
from study.report.wording import capital, count, duration, integer, listing, times

Record = dict[str, Any]
Items = list[Record]


def limits(comparison: Record) -> Items:
    """Items {flag, text} in the order of their weight."""
    first = (_other_images, _unread, _cause, _search_effort, _training_length, _dependent)
    then = (_validation, _test_reuse, _few_seeds, _absent, _broken, _seconds, _latency)
    return [item for maker in first + then for item in maker(comparison)]


def _item(flag: str, text: str) -> Items:
    return [{"flag": flag, "text": text}]


def _row(comparison: Record, key: str) -> Record:
    return next(row for row in comparison["protocol"]["rows"] if row["key"] == key)


def _by_study(comparison: Record, values: Sequence[Any]) -> list[str]:
    labels = [entry["label"] for entry in comparison["studies"]]
    return [f"{label} {value}" for label, value in zip(labels, values, strict=True)]


def _other_images(comparison: Record) -> Items:
    groups = [group for group in comparison["groups"] if group["read"]]
    if len(groups) < 2:
        return []
    named = "; ".join(f"{listing(group['datasets'])}: {listing(group['read'])}" for group in groups)
    return _item(
        "other images",
        f"Accuracies on different test images cannot be ranked or subtracted ({named}): one set may be harder than "
        "the other, and no image of one can be paired with an image of the other.",
    )


def _unread(comparison: Record) -> Items:
    found = []
    for entry in comparison["studies"]:
        if entry["stage"] == "evaluated":
            continue
        opened = bool(entry["header"]["openings"])
        why = "was opened, but its predictions are missing" if opened else "is still sealed"
        text = f"The test split of study {entry['label']} {why}: validation is all that it has, and that is no"
        found += _item("not evaluated", f"{text} performance. `study evaluate` reads it.")
    return found


def _cause(comparison: Record) -> Items:
    """Why a gap is never the effect of what differs."""
    topics = differing_topics(comparison, test_split=False)
    if not topics:
        text = (
            "The recorded protocols are the same, so a gap between two studies is the luck of their searches and seeds."
        )
        return _item("cause of a gap", text)
    what = f"with what differs ({listing(topics)})"
    alone = "" if len(topics) == 1 else ", and shows the effect of none of it alone"
    return _item(
        "cause of a gap",
        f"Each study is one search of each family: a gap between two of them mixes the luck of these searches {what}"
        f"{alone}. Only repeats of each protocol under several study seeds could tell luck from cause.",
    )


def _search_effort(comparison: Record) -> Items:
    """What the searches got, which a clock and the last trial of each decide, and not what they were promised."""
    seconds, asked = (_row(comparison, key) for key in ("allowance_s", "n_trials"))
    if not (seconds["differs"] or asked["differs"]):
        return []
    spent = [entry["protocol"]["budget"]["spent_seconds"].values() for entry in comparison["studies"]]
    counted = [entry["protocol"]["budget"]["trials"].values() for entry in comparison["studies"]]
    said = [
        f"{duration(fmean(held))} and {count(round(fmean(numbers)), 'trial')}"
        for held, numbers in zip(spent, counted, strict=True)
    ]
    shown = "; ".join(_by_study(comparison, said))
    text = f"The searches had unequal chances; mean worker time and trials of a family: {shown}."
    return _item("search effort", text)


def _training_length(comparison: Record) -> Items:
    parts = []
    for row in comparison["protocol"]["rows"]:
        if row["differs"] and row["key"].startswith("examples."):
            said = _by_study(comparison, [integer(value) for value in row["values"]])
            parts.append(f"{row['key'].removeprefix('examples.')}: {listing(said)}")
    if not parts:
        return []
    return _item("training length", f"Final runs saw different numbers of examples ({'; '.join(parts)}).")


def _dependent(comparison: Record) -> Items:
    """Studies that share trials, networks or configurations."""
    found, said = [], set()
    labels = {os.path.realpath(entry["folder"]): entry["label"] for entry in comparison["studies"]}
    for entry in comparison["studies"]:
        source = labels.get(_source(entry))
        if source is not None:
            text = f"Study {entry['label']} began with trials of study {source}: its search is not independent."
            found += _item("not independent", text)
            said.add(frozenset((entry["label"], source)))
    for pair in comparison["shared_trials"]:
        if frozenset(pair["studies"]) not in said:
            shared = f"{count(pair['trials'], 'trial')} in common, as a study and its copy have"
            text = f"Studies {listing(pair['studies'])} have {shared}: their searches are not independent."
            found += _item("not independent", text)
    for row in comparison["pairwise"]["untested"]:
        if row["kind"] == "same network":
            found += _item("same network", f"{capital(row['a'])} and {row['b']} are one network, not two results.")
    for pair in comparison["pairwise"]["pairs"]:
        if pair["same_configuration"]:
            text = f"{capital(pair['title_a'])} and {pair['title_b']} are the same configuration, trained twice."
            found += _item("same configuration", text)
    return found


def _source(entry: Record) -> str | None:
    """The folder of the study whose trials this one began with: beside it, or written down as a path."""
    source = entry["header"]["imported_from"]
    return None if source is None else os.path.realpath(Path(entry["folder"]).parent / source)


def _validation(comparison: Record) -> Items:
    rows = comparison["protocol"]["rows"]
    other = [row for row in rows if row["differs"] and row["group"] == "data" and "test" not in row["key"]]
    if other:
        text = "Validation scores come from different data or splits: those of one study say nothing of another's."
    else:
        text = "Validation scores chose the finalists of each study and flatter them; their gaps are no test."
    return _item("validation", text)


def _test_reuse(comparison: Record) -> Items:
    found = []
    for group in comparison["groups"]:
        inside = [entry for entry in comparison["studies"] if entry["label"] in group["read"]]
        if len(inside) > 1:
            opened = sum(len(entry["header"]["openings"]) for entry in inside)
            text = f"These studies alone opened the same test images {times(opened)}, and no seal planned to compare"
            found += _item("test reused", f"{text} them: the intervals say where to look next and confirm nothing.")
    return found


def _few_seeds(comparison: Record) -> Items:
    tested = [row for row in comparison["leaderboard"]["rows"] if row["test"]]
    few = [row for row in tested if row["test"]["accuracy"]["seeds"] < 3]
    if not few:
        return []
    named = listing([f"{row['title']} {count(row['test']['accuracy']['seeds'], 'seed')}" for row in few])
    return _item("few seeds", f"Fewer than three final seeds ({named}): the spread between seeds is not known.")


def _absent(comparison: Record) -> Items:
    found = []
    for entry in comparison["studies"]:
        if entry["without_finalist"]:
            text = f"Study {entry['label']} has no finalist of {listing(entry['without_finalist'])}."
            found += _item("absent family", text)
        rows = [row for row in comparison["leaderboard"]["rows"] if row["study"] == entry["label"]]
        unread = [row["title"] for row in rows if not row["test"]]
        if unread and entry["stage"] == "evaluated":
            found += _item("not evaluated", f"Without usable predictions on the test split: {listing(unread)}.")
    return found


def _broken(comparison: Record) -> Items:
    found = []
    for entry in comparison["studies"]:
        if entry["broken_runs"]:
            text = f"Left out of study {entry['label']} for non-finite outputs: {listing(entry['broken_runs'])}."
            found += _item("non-finite", text)
    return found


def _seconds(comparison: Record) -> Items:
    keys = ("device", "precision", "workers", "cpu", "gpu", "cores")
    differing = [row["label"] for key in keys if (row := _row(comparison, key))["differs"]]
    if not differing:
        return []
    verb = "differs" if len(differing) == 1 else "differ"
    return _item("seconds", f"Seconds of different studies cannot be compared: {listing(differing)} {verb}.")


def _latency(comparison: Record) -> Items:
    rows = comparison["leaderboard"]["rows"]
    without = list(dict.fromkeys(row["study"] for row in rows if row["latency_p50_ms"] is None))
    if len(without) == len(comparison["studies"]):
        return _item("latency", "No study has a latency of its finalists; `study examine` adds it.")
    if without:
        plural = "studies" if len(without) > 1 else "study"
        text = f"Not every finalist of {plural} {listing(without)} has a latency; `study examine` adds it."
        return _item("latency", text)
    if not comparison["cost"]["latency_comparable"]:
        return _item("latency", "Latencies were measured on different processors: no front is drawn over them.")
    return _item("latency", "Latencies were measured one study at a time: small gaps are the machine's.")
