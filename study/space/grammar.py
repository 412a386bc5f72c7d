"""The grammar of a search-space file: how its parameters are read, and the rules that they keep.

A key of the file is a fixed value or a table of a range: `low` and `high` (int or float by their type) with optional
`step` and `log`, or `choices`; with `repeat = "depth"` it becomes a list of that many values, with `when` it exists
only where other keys have one of the values named. `[[parameter]]` declares a key several times, under conditions
that exclude each other; `[[warm_start]]` is a configuration to try first, in part or whole.
"""

from __future__ import annotations

import math
import re
import tomllib
from typing import Any, Literal

from study.errors import SpaceError
from study.space.parameters import (
    Config,
    Parameter,
    Scalar,
    SearchSpace,
    fail,
    is_in,
    is_multiple,
    optuna_names,
    plain,
    show,
)

PARAMETER_KEYS = frozenset({"low", "high", "step", "log", "choices", "repeat", "when"})
MAX_REPEAT = 64
MAX_NUMBER = 1e15
NAME = re.compile(r"[A-Za-z]\w{0,63}", re.ASCII)


# --- reading -------------------------------------------------------------------------------------------------------


def parse_space(text: str, source: str) -> SearchSpace:
    """A search space from TOML text; `source` is the file's name in errors, beside key, value seen and rule."""
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a plain ValueError
        raise SpaceError(f"{source}: not TOML: {error}") from None
    family = table.pop("family", None)
    if not isinstance(family, str) or not family:
        fail(source, "family", f"expected a family's name as text, seen {family!r}")
    variants, warm_starts = _tables(table, "parameter", source), _tables(table, "warm_start", source)
    fixed = {key: _fixed(key, value, source) for key, value in table.items() if not isinstance(value, dict)}
    parameters = [_parameter(key, key, value, source) for key, value in table.items() if isinstance(value, dict)]
    parameters += [_variant(variant, source) for variant in variants]
    declared = tuple(dict.fromkeys([*table, *(parameter.name for parameter in parameters)]))
    _check_names(family, fixed, parameters, source)
    _check_parents(fixed, parameters, source)
    space = SearchSpace(family, fixed, _parents_first(parameters, source), tuple(warm_starts), source, text, declared)
    for i in range(len(warm_starts)):
        warm_start_params(space, i)
    return space


def _tables(table: Config, key: str, source: str) -> list[Config]:
    value = table.pop(key, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        fail(source, key, f"expected tables written [[{key}]], seen {value!r:.60}")
    return list(value)


def _fixed(key: str, value: object, source: str) -> object:
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, str | int | float) or (isinstance(item, float) and not math.isfinite(item)):
            fail(source, key, f"expected text, a number, true or false, or a list of them, seen {value!r:.60}")
    return value


def _variant(table: Config, source: str) -> Parameter:
    key = table.pop("name", None)
    if not isinstance(key, str) or not key:
        fail(source, "parameter", f"expected `name` with a configuration key in each [[parameter]], seen {key!r}")
    label = _label(table.get("when"))
    return _parameter(key, f"{key}[{label}]" if label else key, table, source)


def _label(conditions: object) -> str:
    if not isinstance(conditions, dict):
        return ""
    return ",".join("|".join(map(plain, _as_list(value))) for value in conditions.values())


def _parameter(key: str, name: str, table: Config, source: str) -> Parameter:
    for unknown in table.keys() - PARAMETER_KEYS:
        fail(source, name, f"unknown key '{unknown}': expected one of {', '.join(sorted(PARAMETER_KEYS))}")
    repeat = table.get("repeat")
    if repeat is not None and not isinstance(repeat, str):
        fail(source, name, f"repeat is {repeat!r}: expected the name of an int parameter")
    when = _when(name, table.get("when", {}), source)
    if "choices" in table:
        choices = _choices(name, table, source)
        return Parameter(key, name, "categorical", choices=choices, repeat=repeat, when=when)
    low, high, step, log = _range(name, table, source)
    kind: Literal["int", "float"] = "int" if isinstance(low, int) else "float"
    return Parameter(key, name, kind, low, high, step, log, repeat=repeat, when=when)


def _choices(name: str, table: Config, source: str) -> tuple[Scalar, ...]:
    for other in ("low", "high", "step", "log"):
        if other in table:
            fail(source, name, f"has both choices and {other}: expected choices, or low and high")
    choices = table["choices"]
    if not isinstance(choices, list) or not choices:
        fail(source, name, f"choices is {choices!r:.60}: expected a list with at least one value")
    for choice in choices:
        if isinstance(choice, list):
            fail(source, name, f"choices hold {choice!r:.60}: expected text, numbers, true or false")
        _fixed(name, choice, source)
    if len({(type(choice), choice) for choice in choices}) < len(choices):
        fail(source, name, f"choices {choices!r:.60} hold a value twice")
    return tuple(choices)


def _range(name: str, table: Config, source: str) -> tuple[Any, Any, Any, bool]:
    for bound in ("low", "high"):
        if bound not in table:
            fail(source, name, f"misses {bound}: expected low and high, or choices")
        _number(name, bound, table[bound], source)
    low, high, step, log = table["low"], table["high"], table.get("step"), table.get("log", False)
    if isinstance(low, float) or isinstance(high, float):
        low, high = float(low), float(high)
    if low > high:
        fail(source, name, f"low is {low}, high is {high}: expected low <= high")
    if not isinstance(log, bool):
        fail(source, name, f"log is {log!r}: expected true or false")
    if log and low <= 0:
        fail(source, name, f"low is {low} on a log scale: expected low > 0")
    return low, high, _step(name, low, high, step, log, source), log


def _number(name: str, what: str, value: object, source: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_NUMBER:
        fail(source, name, f"{what} is {value!r:.60}: expected a finite number within ±{MAX_NUMBER:g}")


def _step(name: str, low: Any, high: Any, step: Any, log: bool, source: str) -> Any:
    if step is None:
        return None
    _number(name, "step", step, source)
    if log:
        fail(source, name, f"step is {step} on a log scale: expected one of step and log")
    if step <= 0 or (isinstance(low, int) and not isinstance(step, int)):
        fail(source, name, f"step is {step}: expected a positive {'int' if isinstance(low, int) else 'number'}")
    if not is_multiple(high - low, step):
        fail(source, name, f"high - low is {high - low}: expected a multiple of step {step}")
    return step


def _when(name: str, table: object, source: str) -> tuple[tuple[str, tuple[Scalar, ...]], ...]:
    if not isinstance(table, dict):
        fail(source, name, f'when is {table!r:.60}: expected a table such as {{ optimizer = "sgd" }}')
    for key, value in table.items():
        if not _as_list(value) or any(isinstance(item, list | dict) for item in _as_list(value)):
            fail(source, name, f"when {key} is {value!r:.60}: expected a value or a list of values")
    return tuple((key, tuple(_as_list(value))) for key, value in table.items())


# --- rules between parameters --------------------------------------------------------------------------------------


def _check_names(family: str, fixed: Config, parameters: list[Parameter], source: str) -> None:
    for name in (family, *fixed, *(p.key for p in parameters)):
        # A dot or bracket of its own would make two Optuna names alike.
        if not NAME.fullmatch(name):
            fail(source, name, "expected a name of letters, digits and '_' that starts with a letter")
    for i, p in enumerate(parameters):
        if p.key == "family" or p.key in fixed:
            fail(source, p.key, "has a fixed value and a range: expected one of them")
        for other in parameters[:i]:
            if p.name == other.name or (p.key == other.key and not _exclusive(p, other)):
                fail(source, p.key, f"declared twice ('{other.name}' and '{p.name}') and `when` can hold for both")


def _exclusive(a: Parameter, b: Parameter) -> bool:
    theirs = dict(b.when)
    return any(key in theirs and not any(is_in(v, theirs[key]) for v in values) for key, values in a.when)


def _check_parents(fixed: Config, parameters: list[Parameter], source: str) -> None:
    by_key: dict[str, list[Parameter]] = {}
    for p in parameters:
        by_key.setdefault(p.key, []).append(p)
    for p in parameters:
        for key, values in p.when:
            _check_when(p, key, values, fixed, by_key.get(key, []), source)
        if p.repeat is not None:
            _check_repeat(p, fixed, by_key.get(p.repeat, []), source)


def _check_when(
    p: Parameter, key: str, values: tuple[Scalar, ...], fixed: Config, parents: list[Parameter], source: str
) -> None:
    if key not in fixed and not parents:
        fail(source, p.name, f"when names '{key}', which the space does not declare")
    if any(q.repeat or q.kind == "float" for q in parents):
        fail(source, p.name, f"when names '{key}': expected a key with choices or an int, not a float or a list")
    for value in values:
        # A fixed parent may switch its other branches off: that is how a user narrows a space.
        if key not in fixed and not any(q.contains(value) for q in parents):
            rules = "; ".join(q.rule() for q in parents)
            fail(source, p.name, f"when {key} = {show(value)} can never hold: expected one of {rules}")


def _check_repeat(p: Parameter, fixed: Config, parents: list[Parameter], source: str) -> None:
    counts = [fixed[p.repeat]] if p.repeat in fixed else [n for q in parents for n in (q.low, q.high)]
    if not counts or any(q.kind != "int" or q.repeat for q in parents) or not _are_counts(counts):
        rule = f"expected the name of an int parameter within 1 to {MAX_REPEAT}"
        fail(source, p.name, f"repeat names '{p.repeat}': {rule}")


def _are_counts(values: list[Any]) -> bool:
    return all(isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= MAX_REPEAT for n in values)


def _parents_first(parameters: list[Parameter], source: str) -> tuple[Parameter, ...]:
    ordered: list[Parameter] = []
    waiting = list(parameters)
    while waiting:
        blocked = {p.key for p in waiting}
        ready = [p for p in waiting if not blocked.intersection(p.parents)]
        if not ready:
            fail(source, waiting[0].name, f"depends on itself through {', '.join(sorted(blocked))}")
        ordered += ready
        waiting = [p for p in waiting if p not in ready]
    return tuple(ordered)


# --- warm starts ---------------------------------------------------------------------------------------------------


def warm_start_params(space: SearchSpace, i: int) -> dict[str, Any]:
    """Optuna names and values of the i-th [[warm_start]], for `enqueue_trial`; what it leaves out stays to be sampled.

    SpaceError for a key that the space does not vary under the conditions named, and for a value out of its range.
    """
    given = dict(space.warm_starts[i])
    config, params = {**space.fixed, **given}, dict[str, Any]()
    for key, value in given.items():
        if key in space.fixed:
            if value != space.fixed[key]:
                fail(space.source, key, f"warm_start has {value!r:.60}: the space fixes {space.fixed[key]!r}")
            continue
        p = _named_by_warm_start(space, key, config)
        values = value if p.repeat else [value]
        names = optuna_names(p, config)
        if not isinstance(values, list) or len(values) != len(names):
            fail(space.source, key, f"warm_start has {value!r:.60}: expected a list of {len(names)} ({p.repeat})")
        for name, item in zip(names, values, strict=True):
            if not p.contains(item):
                fail(space.source, name, f"warm_start has {item!r:.60}: expected {_a_count_of(p, item)}{p.rule()}")
            params[name] = float(item) if p.kind == "float" else item
    return params


def _a_count_of(p: Parameter, item: object) -> str:
    """Said where only that is wrong: 8.0 and "8" lie in the range, too."""
    return "an int within " if p.kind == "int" and type(item) is not int else ""


def _named_by_warm_start(space: SearchSpace, key: str, config: Config) -> Parameter:
    variants = [p for p in space.parameters if p.key == key]
    if not variants:
        expected = ", ".join(sorted(space.keys))
        fail(space.source, key, f"warm_start names a key that the space does not declare: expected one of {expected}")
    for p in variants:
        if p.active(config):
            if p.repeat:
                _fits_repeat(space, p, config)
            return p
    needed = "; ".join(p.condition() or f"{p.repeat} to be named" for p in variants)
    raise SpaceError(f"{space.source}: key '{key}': warm_start sets it, but it needs {needed}")


def _fits_repeat(space: SearchSpace, p: Parameter, config: Config) -> None:
    count = config[str(p.repeat)]
    if not _are_counts([count]):
        fail(space.source, str(p.repeat), f"warm_start has {count!r:.60}: expected an int within 1 to {MAX_REPEAT}")


# --- small things --------------------------------------------------------------------------------------------------


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
