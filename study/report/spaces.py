"""A search space as its file says it: one row a parameter, for people to read and compare."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from typing import Any

from study.statistics.result import Result


@dataclass(frozen=True, slots=True)
class SpaceRow(Result):
    """What a space says of one parameter, in words; `when` is empty for one that always exists."""

    name: str
    rule: str
    when: str


def space_rows(text: str) -> list[SpaceRow]:
    """A search space's keys as rows; empty if the text is not TOML."""
    try:
        space = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return []
    plain = [(name, value) for name, value in space.items() if name not in ("family", "parameter", "warm_start")]
    listed = [(entry.get("name", "?"), entry) for entry in space.get("parameter", []) if isinstance(entry, dict)]
    return [_space_row(str(name), value) for name, value in plain + listed]


def _space_row(name: str, value: Any) -> SpaceRow:
    if not isinstance(value, dict):
        return SpaceRow(name, f"fixed: {_value(value)}", "")
    if "choices" in value:
        rule = "one of " + ", ".join(_value(choice) for choice in value["choices"])
    elif "low" in value and "high" in value:
        extra = [", log" if value.get("log") else "", f", step {value['step']}" if "step" in value else ""]
        rule = f"{value['low']} to {value['high']}" + "".join(extra)
    else:
        rule = f"fixed: {value['value']}" if "value" in value else str({k: v for k, v in value.items() if k != "name"})
    if "repeat" in value:
        rule += f", once per {value['repeat']}"
    conditions = value.get("when", {})
    known = conditions.items() if isinstance(conditions, dict) else ()
    when = ", ".join(f"{key} is {' or '.join(_value(v) for v in _several(value))}" for key, value in known)
    return SpaceRow(name, rule, when)


def _value(value: Any) -> str:
    """As it stands in the file: text bare, everything else as TOML and JSON write it."""
    return value if isinstance(value, str) else json.dumps(value)


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
