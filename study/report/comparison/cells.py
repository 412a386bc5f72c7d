"""Rows of the comparison's tables as text. Functions that its template calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from study.report.comparison.sentences import short_name
from study.report.pareto import SHORT
from study.report.wording import (
    NONE,
    compact,
    duration,
    integer,
    interval,
    listing,
    percent,
    plain,
    point_interval,
    points,
)

Record = dict[str, Any]
Rows = list[tuple[str, ...]]
DIGEST = 12  # leading digits shown; the numbers beside the page have all


def rows_studies(comparison: Record) -> Rows:
    return [
        (
            entry["label"],
            entry["header"]["dataset"],
            listing(entry["families"]),
            entry["header"]["created"][:16].replace("T", " "),
            integer(sum(sum(states.values()) for states in entry["states"].values())),
            duration(entry["seconds"]),
            entry["winner"] or NONE,
            entry["folder"],
        )
        for entry in comparison["studies"]
    ]


def rows_protocol(comparison: Record, *, differs: bool) -> Rows:
    """The items that differ, or those that do not."""
    return [
        (point["label"], *(shown(value, point["kind"]) for value in point["values"]))
        for point in comparison["protocol"]["rows"]
        if point["differs"] == differs
    ]


def shown(value: Any, kind: str) -> str:
    """An item's value as its kind is written."""
    return NONE if value is None else WRITERS.get(kind, plain)(value)


def _space(value: Record) -> str:
    counts = f"{value['searched']} searched, {value['fixed']} fixed, {value['warm_starts']} warm starts"
    return f"{counts} ({value['digest'][:8]})"


def _ladder(value: Record) -> str:
    return f"{', '.join(integer(rung) for rung in value['examples'])} examples, factor {value['reduction_factor']}"


def _digest(value: str) -> str:
    return f"{value[:DIGEST]}…"


WRITERS: dict[str, Callable[[Any], str]] = {
    "seconds": duration,
    "about seconds": duration,
    "count": integer,
    "about count": integer,
    "digest": _digest,
    "list": ", ".join,
    "space": _space,
    "ladder": _ladder,
}


def rows_space_difference(entry: Record) -> Rows:
    return [
        (row["name"], row["when"] or NONE, *("not there" if rule is None else rule for rule in row["rules"]))
        for row in entry["rows"]
    ]


def rows_spent(comparison: Record) -> Rows:
    """The budget of each study's own report, study after study, with the states of its trials."""
    rows: Rows = []
    for entry in comparison["studies"]:
        spent = entry["protocol"]
        for family, trials in spent["budget"]["trials"].items():
            states = entry["states"][family]
            split = f"{states['COMPLETE']} / {states['PRUNED']} / {states['FAIL']}"
            examples = (spent["schedules"][family] or {}).get("examples_per_run")
            seconds = (spent["budget"]["spent_seconds"][family], spent["retrain_seconds"][family])
            searched = (duration(seconds[0]), integer(trials), split)
            rows.append((entry["label"], family, *searched, duration(seconds[1]), integer(examples)))
    return rows


def rows_differences(comparison: Record) -> Rows:
    """Differences with their intervals: nothing was planned, so nothing is tested."""
    names = {row["id"]: short_name(row) for row in comparison["leaderboard"]["rows"]}
    return [
        (
            f"{names[pair['a']]} − {names[pair['b']]}",
            points(pair["comparison"]["difference"], signed=True),
            point_interval(pair["comparison"]["interval95"]),
            point_interval(pair["comparison"]["interval90"]),
            pair["reading"]["label"],
            pair["reading"]["reason"],
        )
        for pair in comparison["pairwise"]["pairs"]
    ]


def board_rows(comparison: Record) -> list[dict[str, str]]:
    """The leaderboard in short, for a terminal."""
    return [
        {
            "study": row["study"],
            "finalist": f"{row['family']} #{row['trial']}",
            "data set": listing(comparison["groups"][row["group"]]["datasets"]),
            "test accuracy": percent(row["test"]["accuracy"]["mean"]) if row["test"] else NONE,
            "95 % interval": interval(row["test"]["accuracy"]["interval95"]) if row["test"] else NONE,
            "parameters": compact(row["n_parameters"]),
        }
        for row in comparison["leaderboard"]["rows"]
    ]


def rows_untested(comparison: Record) -> Rows:
    return [(row["a"], row["b"], row["reason"]) for row in comparison["pairwise"]["untested"]]


FUNCTIONS = {name: item for name, item in globals().items() if name.startswith("rows_")}
FUNCTIONS["front_names"] = lambda row: [SHORT[cost] for cost in row["front"]]
