"""What a search space consists of: its parameters, what they hold and when they exist, in values and in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, TypeAlias

from study.errors import SpaceError

Scalar: TypeAlias = str | int | float | bool
Config: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """One range. `name` is what Optuna sees, before `.0`, `.1`, … of a repeated one; `key` is the configuration's."""

    key: str
    name: str
    kind: Literal["float", "int", "categorical"]
    low: Any = None
    high: Any = None
    step: Any = None
    log: bool = False
    choices: tuple[Scalar, ...] = ()
    repeat: str | None = None
    when: tuple[tuple[str, tuple[Scalar, ...]], ...] = ()

    @property
    def parents(self) -> tuple[str, ...]:
        """Configuration keys that must be known before this one."""
        return (*(key for key, _ in self.when), *([self.repeat] if self.repeat else []))

    def active(self, config: Mapping[str, Any]) -> bool:
        """Whether the parameter exists beside the keys already in `config`."""
        known = all(parent in config for parent in self.parents)
        return known and all(is_in(config[key], values) for key, values in self.when)

    def rule(self) -> str:
        """The range in words, as errors and tables show it."""
        if self.kind == "categorical":
            return ", ".join(map(show, self.choices))
        step = f", step {self.step}" if self.step is not None else ""
        return f"{self.low} to {self.high}{step}{', log' if self.log else ''}"

    def condition(self) -> str:
        """The conditions in words; empty for a parameter that always exists."""
        return " and ".join(f"{key} = {' or '.join(map(show, values))}" for key, values in self.when)

    def contains(self, value: object) -> bool:
        if self.kind == "categorical":
            return is_in(value, self.choices)
        wanted: tuple[type, ...] = (int,) if self.kind == "int" else (int, float)
        if isinstance(value, bool) or not isinstance(value, wanted) or not self.low <= value <= self.high:
            return False
        return self.step is None or is_multiple(value - self.low, self.step)


@dataclass(frozen=True)
class SearchSpace:
    """A family's search space; `parameters` stand in sampling order, parents first, `declared` has the names of what is
    fixed or a range in the order of the file. Two spaces are equal if they mean the same, whatever file and text they
    were read from."""

    family: str
    fixed: Mapping[str, Any]
    parameters: tuple[Parameter, ...]
    warm_starts: tuple[Mapping[str, Any], ...]
    source: str = field(compare=False)
    text: str = field(compare=False, repr=False)
    declared: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @property
    def keys(self) -> set[str]:
        """Every configuration key that the space can set, besides `family`."""
        return set(self.fixed) | {p.key for p in self.parameters}


def fail(source: str, key: str, message: str) -> NoReturn:
    line = f"{source}: key '{key}': {message}"
    raise SpaceError("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line))


def optuna_names(p: Parameter, config: Mapping[str, Any]) -> list[str]:
    return [f"{p.name}.{i}" for i in range(config[p.repeat])] if p.repeat else [p.name]


def is_in(value: object, values: Iterable[object]) -> bool:
    """Membership without Python's True == 1 == 1.0."""
    return any(type(value) is type(other) and value == other for other in values)


def is_multiple(difference: float, step: float) -> bool:
    return abs(difference / step - round(difference / step)) < 1e-9


def plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def show(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(show, value)) + "]"
    return plain(value)
