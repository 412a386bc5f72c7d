"""Rows of the page's tables as text: which numbers stand in which column. Functions that the templates call."""

from __future__ import annotations

import json
from typing import Any

from study.report import wording
from study.report.wording import NONE, duration, integer, interval, p_value, percent, plain, point_interval, points

Record = dict[str, Any]
Rows = list[tuple[str, ...]]
COST_NAMES = {"n_parameters": "parameters", "flops": "FLOPs", "latency_p50_ms": "latency"}


def front_names(row: Record) -> list[str]:
    return [COST_NAMES[cost] for cost in row.get("front") or []]


def rows_budget(protocol: Record) -> Rows:
    budget = protocol["budget"]
    return [
        (
            family,
            duration(budget["spent_seconds"][family]),
            integer(budget["trials"][family]),
            duration(protocol["retrain_seconds"][family]),
            integer((protocol["schedules"][family] or {}).get("examples_per_run")),
        )
        for family in budget["trials"]
    ]


def _pair(pair: Record) -> str:
    return f"{pair['title_a']} − {pair['title_b']}"


def rows_searches(searches: Record) -> Rows:
    return [
        (
            str(row["search"]),
            row["family"],
            f"#{row['title'].rpartition('#')[2]}" if row["title"] else NONE,
            ", ".join(f"{name} {wording.setting(value)}" for name, value in row["parameters"].items()) or NONE,
            f"{integer(row['trials'])} in {duration(row['seconds'])}",
            percent(row["best"]),
            percent(row["validation_mean"]),
            percent(row["test_mean"]),
            ", ".join(
                word
                for word, holds in (("warm start", row["warm_start"]), ("shipped", row == searches["shipped"]))
                if holds
            ),
        )
        for row in searches["rows"]
    ]


def rows_between(searches: Record) -> Rows:
    rows: Rows = []
    for family, spreads in searches["families"].items():
        for what, found in spreads.items():
            if found is not None:
                mean = (percent(found["mean"]), points(found["sd"]), interval(found["interval95"]))
                ends = (percent(found["low"]), percent(found["high"]))
                rows.append((family, SPREADS[what], str(found["n"]), *mean, *ends))
    return rows


SPREADS = {"best": "best search score", "validation": "finalist, fresh seeds, validation", "test": "finalist, test"}


def rows_family_pairs(searches: Record) -> Rows:
    return [
        (
            f"{pair['a']} − {pair['b']}",
            points(pair["comparison"]["difference"], signed=True),
            point_interval(pair["comparison"]["interval95"]),
            point_interval(pair["comparison"]["interval90"]),
            p_value(pair["comparison"]["p_value"]) if pair["verdict"]["label"] != "no verdict" else NONE,
            p_value(pair["holm_p"]) if pair["verdict"]["label"] != "no verdict" else NONE,
            pair["verdict"]["label"],
            pair["verdict"]["reason"],
        )
        for pair in searches["pairs"]
    ]


def rows_paired(searches: Record) -> Rows:
    return [
        (
            f"{pair['a']} − {pair['b']}",
            ", ".join(f"{100 * value:+.2f}" for value in pair["by_search"].values()),
            points(pair["paired"]["mean"], signed=True),
            points(pair["paired"]["sd"]),
            point_interval(pair["paired"]["interval95"]),
        )
        for pair in searches["pairs"]
        if pair["paired"]
    ]


def rows_config(reproduce: Record) -> Rows:
    return [(key, plain(v) if isinstance(v, float) else json.dumps(v)) for key, v in reproduce["config"].items()]


_OTHERS = ("front_names",)
FUNCTIONS = {name: item for name, item in globals().items() if name.startswith("rows_") or name in _OTHERS}
