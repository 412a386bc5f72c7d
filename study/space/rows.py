"""A search space as rows for people."""

from __future__ import annotations

from dataclasses import dataclass

from study.errors import SpaceError
from study.space.grammar import parse_space
from study.space.parameters import Parameter, SearchSpace, show
from study.statistics.result import Result


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


@dataclass(frozen=True, slots=True)
class Rule(Result):
    """What a space says of one parameter, in words; `when` is empty for one that always exists."""

    name: str
    rule: str
    when: str


def readable(text: str, source: str) -> SearchSpace | None:
    """A space that a study recorded, for people to look at; None where its text cannot be read."""
    try:
        return parse_space(text, source)
    except SpaceError:
        return None


def rules(space: SearchSpace) -> list[Rule]:
    """In the order of the file."""
    fixed = {key: Rule(key, f"fixed: {show(value)}", "") for key, value in space.fixed.items()}
    found = fixed | {parameter.name: _rule(parameter) for parameter in space.parameters}
    return [found[name] for name in space.declared]


def _rule(parameter: Parameter) -> Rule:
    choice = "one of " if parameter.kind == "categorical" else ""
    repeated = f", once per {parameter.repeat}" if parameter.repeat else ""
    conditions = [f"{key} is {' or '.join(map(show, values))}" for key, values in parameter.when]
    return Rule(parameter.key, f"{choice}{parameter.rule()}{repeated}", ", ".join(conditions))
