"""Search spaces: reading one, drawing a configuration, every branch, one choice swapped."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from study.errors import ConfigError, SpaceError
from study.records.files import read_text
from study.space.bundled import bundled_spaces
from study.space.grammar import parse_space
from study.space.parameters import Config, Parameter, Scalar, SearchSpace, fail, optuna_names
from study.space.plugins import plugin_of, plugins


class Trial(Protocol):
    """The part of an Optuna trial that sampling uses."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Any: ...


def load_space(path: Path) -> SearchSpace:
    """Read and check a search-space file; SpaceError names file, key, value seen and rule."""
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SpaceError(f"{path}: cannot read this search space ({reason}); expected a TOML file") from None
    return parse_space(text, str(path))


def require_keys(space: SearchSpace, known: Collection[str]) -> None:
    """SpaceError for a configuration key of the space that `known` (model's and training's keys) does not hold."""
    for key in sorted(space.keys - set(known)):
        fail(space.source, key, f"unknown to family '{space.family}': expected one of {', '.join(sorted(known))}")


def sample(space: SearchSpace, trial: Trial) -> Config:
    """A flat configuration with every value suggested by `trial`; ranges whose condition does not hold are absent."""
    return _resolve(space, lambda parameter, name: _suggest(trial, parameter, name))


def _resolve(space: SearchSpace, draw: Callable[[Parameter, str], Any]) -> Config:
    config: Config = {"family": space.family, **space.fixed}
    for p in space.parameters:
        if p.active(config):
            names = optuna_names(p, config)
            config[p.key] = [draw(p, name) for name in names] if p.repeat else draw(p, p.name)
    return config


def _suggest(trial: Trial, p: Parameter, name: str) -> Any:
    if p.kind == "categorical":
        return trial.suggest_categorical(name, list(p.choices))
    if p.kind == "int":
        return trial.suggest_int(name, p.low, p.high, step=1 if p.step is None else p.step, log=p.log)
    return trial.suggest_float(name, p.low, p.high, step=p.step, log=p.log)


def edges(space: SearchSpace) -> dict[str, tuple[float, float, bool]]:
    """(low, high, log) of every numeric parameter by Optuna name; a repeated one stands once, without `.0`."""
    return {p.name: (p.low, p.high, p.log) for p in space.parameters if p.kind != "categorical"}


def branches(space: SearchSpace) -> Iterator[Config]:
    """Configurations that between them take every choice of every categorical and both ends of every int; the first
    two hold all numbers at their low and high ends. The same for every call, without duplicates."""
    left = {_target(p, value) for p in space.parameters for value in _ends(p)}
    seen: set[str] = set()
    for draw in _draws(space, left):
        config = _resolve(space, draw)
        if repr(config) not in seen:
            seen.add(repr(config))
            yield config


def typical(space: SearchSpace) -> Config:
    """What a family's speed is measured by: its first warm start, the low ends of the ranges where there is none."""
    return next(branches(space)) | (dict(space.warm_starts[0]) if space.warm_starts else {})


Target = tuple[str, type, Any]  # of a parameter's name and value; the type keeps 1 and true apart
Draw = Callable[[Parameter, str], Any]


def _target(p: Parameter, value: Any) -> Target:
    return p.name, type(value), value


def _ends(p: Parameter) -> tuple[Any, ...]:
    if p.kind == "categorical":
        return p.choices
    return (p.low, p.high) if p.kind == "int" else ()


def _draws(space: SearchSpace, left: set[Target]) -> Iterator[Draw]:
    for corner in ("low", "high"):
        yield _taking(left, corner, {})
    for p in space.parameters:
        for value in _ends(p):
            if _target(p, value) in left:
                yield _taking(left, None, {p.key: value, **_needed(space, p)})
                left.discard(_target(p, value))


def _needed(space: SearchSpace, p: Parameter) -> Config:
    """Values of the parents under which `p` exists."""
    needed = {key: values[0] for key, values in p.when}
    for q in space.parameters:
        if q.key in p.parents and q.when:
            needed = {**_needed(space, q), **needed}
    return needed


def _taking(left: set[Target], corner: str | None, wanted: Mapping[str, Any]) -> Draw:
    """A draw of the wanted value, else of one that no configuration has had; what it takes is struck from `left`."""

    def draw(p: Parameter, name: str) -> Any:
        value = wanted[p.key] if p.contains(wanted.get(p.key)) else _next(p, left, corner)
        left.discard(_target(p, value))
        return value

    return draw


def _next(p: Parameter, left: set[Target], corner: str | None) -> Any:
    if p.kind != "categorical" and corner is not None:
        return p.low if corner == "low" else p.high
    fresh = [value for value in _ends(p) if _target(p, value) in left]
    return fresh[0] if fresh else _middle(p)


def _middle(p: Parameter) -> Any:
    if p.kind == "categorical":
        return p.choices[0]
    middle = math.sqrt(p.low * p.high) if p.log else (p.low + p.high) / 2
    if p.step is not None:
        return p.low + p.step * round((middle - p.low) / p.step)
    return round(middle) if p.kind == "int" else middle


def swapped(space: SearchSpace, config: Mapping[str, Any], key: str, value: Scalar, others: Sequence[Config]) -> Config:
    """`config` with another value of the categorical `key`. What exists only beside that value is taken from the first
    of `others` that has the value and it, else from the middle of its range; everything else stays."""
    having = [other for other in others if _same_type(other.get(key), value)]

    def draw(p: Parameter, name: str) -> Any:
        if p.key == key:
            return value
        source = next((c for c in (config, *having) if p.active(c) and p.key in c and _fits(p, c[p.key])), None)
        if source is None:
            return _middle(p)
        return source[p.key][int(name.rpartition(".")[2])] if p.repeat else source[p.key]

    return _resolve(space, draw)


def _same_type(value: object, choice: object) -> bool:
    """Equality without Python's True == 1."""
    return type(value) is type(choice) and value == choice


def _fits(p: Parameter, value: Any) -> bool:
    return all(p.contains(item) for item in value) if p.repeat else p.contains(value)


def installed_space(family: str) -> SearchSpace | None:
    """The search space of a family of another installed package; None where no package has such a family.

    ConfigError where the package has none for it, or another family's.
    """
    plugin = plugin_of(family)
    if plugin is None:
        return None
    file = plugin.space_file()
    if file is None:
        raise ConfigError(f"{plugin}: no {family}.toml lies beside the module: give a search space with --space FILE")
    space = load_space(file)
    if space.family != family:
        raise plugin.wrong(f"{file} is of family {space.family!r}, expected {family!r}")
    return space


def find_space(word: str) -> SearchSpace:
    """A search space by the name of its family, the program's own before another package's, or by its file."""
    bundled = bundled_spaces().get(word)
    found = installed_space(word) if bundled is None else None
    return found or load_space(bundled or Path(word))


def known_spaces() -> list[str]:
    """Names of families that have a search space here, those of other packages last."""
    others = (plugin.family for plugin in plugins() if plugin.space_file() is not None)
    return list(dict.fromkeys([*bundled_spaces(), *others]))
