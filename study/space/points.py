"""The configurations of a search space one by one, with its branches, and when two of them are the same."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from study.errors import SpaceError
from study.space.parameters import Config, Parameter, SearchSpace, fail, optuna_names

MOST_POINTS = 10_000  # configurations of a space that is small enough to be walked


@dataclass(frozen=True)
class Point:
    """One configuration, the parameters that Optuna draws for it, and its identity."""

    parameters: Mapping[str, Any]
    identity: str


class _EndlessError(Exception):
    """Between the ends of this range lie more values than can be counted."""

    def __init__(self, parameter: Parameter) -> None:
        self.parameter = parameter


def identity(config: Mapping[str, Any]) -> str:
    """What equal configurations have in common, in whatever order and with whatever rounding they were drawn."""
    return json.dumps(_rounded(dict(config)), sort_keys=True)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        value = float(f"{value:.12g}")
        return int(value) if value.is_integer() else value
    return value


def few_points(space: SearchSpace) -> list[Point] | None:
    """Every configuration of a small space; None for one with a continuous range or more than MOST_POINTS."""
    try:
        points = list(itertools.islice(_walk(space), MOST_POINTS + 1))
    except _EndlessError:
        return None
    return points if len(points) <= MOST_POINTS else None


def require_few_points(space: SearchSpace) -> None:
    """SpaceError that says why a grid cannot be laid over the space."""
    try:
        n = sum(1 for _ in itertools.islice(_walk(space), MOST_POINTS + 1))
    except _EndlessError as error:
        p = error.parameter
        fail(space.source, p.name, f"a grid cannot walk {p.rule()}: expected a step, choices or a fixed value")
    if n > MOST_POINTS:
        raise SpaceError(
            f"{space.source}: more than {MOST_POINTS:,} configurations, too many for a grid: expected wider steps, "
            "narrower ranges or fewer choices, or another --sampler"
        )


def _walk(space: SearchSpace) -> Iterator[Point]:
    """The last parameter turns fastest; what does not exist beside the values before it is passed over."""
    return _walk_from(space, 0, {"family": space.family, **space.fixed}, {})


def _walk_from(space: SearchSpace, place: int, config: Config, drawn: dict[str, Any]) -> Iterator[Point]:
    if place == len(space.parameters):
        yield Point(drawn, identity(config))
        return
    p = space.parameters[place]
    names = optuna_names(p, config) if p.active(config) else []
    for values in _combinations(p, len(names)):
        chosen = {p.key: list(values) if p.repeat else values[0]} if names else {}
        yield from _walk_from(space, place + 1, config | chosen, drawn | dict(zip(names, values, strict=True)))


def _combinations(p: Parameter, n: int) -> Iterator[tuple[Any, ...]]:
    """As itertools.product, without holding a range of 10^15 in memory first."""
    if n == 0:
        yield ()
        return
    for value in _values(p):
        for others in _combinations(p, n - 1):
            yield value, *others


def _values(p: Parameter) -> Iterator[Any]:
    if p.kind == "categorical":
        return iter(p.choices)
    if p.kind == "int":
        return iter(range(p.low, p.high + 1, p.step or 1))
    if p.low == p.high:
        return iter((p.low,))
    if p.step is None:
        raise _EndlessError(p)
    low, step = Decimal(str(p.low)), Decimal(str(p.step))  # 0.1 + 2 · 0.1 is above 0.3 otherwise
    return (float(low + i * step) for i in range(round((p.high - p.low) / p.step) + 1))
