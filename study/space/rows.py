"""A search space as rows for people."""

from __future__ import annotations

from dataclasses import dataclass

from study.space.parameters import SearchSpace, show


@dataclass(frozen=True)
class Row:
    """One line of a space in words; `condition` is empty for what always exists."""

    name: str
    kind: str
    range: str
    condition: str


def describe(space: SearchSpace) -> list[Row]:
    """The space as rows for a table: fixed values, then ranges in sampling order."""
    rows = [Row(key, "fixed", show(value), "") for key, value in space.fixed.items()]
    for p in space.parameters:
        repeated = f"one for each of {p.repeat}" if p.repeat else ""
        rows.append(Row(p.name, p.kind, p.rule(), " and ".join(filter(None, [p.condition(), repeated]))))
    return rows
