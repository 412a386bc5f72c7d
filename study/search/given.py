"""`--given FILE` and `study propose FILE`: a configuration of the user's own, a search space in which every value is
fixed."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w

from study.errors import SpaceError
from study.records.settings import GivenConfiguration, StudySettings
from study.records.trial import Role
from study.search.family import Proposal
from study.search.imports import replay
from study.search.spaces import check_space
from study.space.grammar import parse_space, warm_start_params
from study.space.parameters import Config, SearchSpace, fail
from study.space.points import identity
from study.space.sampling import branches
from study.training.config import completed, known_keys


def read_given(path: Path, spaces: Mapping[str, SearchSpace], flag: str = "--given ") -> GivenConfiguration:
    """The configuration in a file, which was named after `flag`; what it leaves out is as the family's space fixes it,
    or the default of the key. It may lie outside the ranges of the space. SpaceError names file, key, the value seen
    and the one expected."""
    table = _table(path, flag)
    family = table.pop("family", None)
    if family is None:
        family = _family_of(path, table, spaces)
    if family not in spaces:
        fail(str(path), "family", f"seen {family!r:.60}, expected one of this study: {', '.join(sorted(spaces))}")
    text = tomli_w.dumps({"family": family, **spaces[family].fixed, **table})
    space = parse_space(text, str(path))
    if space.parameters:
        fail(str(path), space.parameters[0].name, "has a range or choices: expected one value")
    if space.warm_starts:
        fail(str(path), "warm_start", "expected the values themselves, without tables")
    check_space(space)
    config = completed(next(iter(branches(space))), spaces[family])
    return GivenConfiguration(file=path.name, family=family, config=config)


def as_read_now(stored: GivenConfiguration, spaces: Mapping[str, SearchSpace]) -> GivenConfiguration:
    """As `read_given` reads the same file today: older versions kept no defaults."""
    if stored.family not in spaces:
        return stored
    return stored.model_copy(update={"config": completed(stored.config, spaces[stored.family])})


def _table(path: Path, flag: str) -> Config:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpaceError(f"{flag}{path}: cannot be read ({error.strerror}); expected a TOML file") from None
    except (ValueError, RecursionError) as error:
        raise SpaceError(f"{flag}{path}: not TOML: {error}") from None


def _family_of(path: Path, table: Mapping[str, Any], spaces: Mapping[str, SearchSpace]) -> str:
    """The one family of the study that knows every key of the file."""
    able = [family for family in spaces if table.keys() <= known_keys(family)]
    if len(able) != 1:
        found = f"its keys fit {' and '.join(able)}" if able else "its keys fit no family of this study"
        fail(str(path), "family", f"missing, and {found}: expected one of {', '.join(sorted(spaces))}")
    return able[0]


def given_to(settings: StudySettings, space: SearchSpace, n_warm: int) -> list[Proposal]:
    """What a study gives to a family: warm starts of its space, then configurations from files."""
    warm = [Proposal(warm_start_params(space, index), "warm_start") for index in range(n_warm)]
    return [*warm, *(proposal(one, space) for one in settings.given_files if one.family == space.family)]


def proposal(one: GivenConfiguration, space: SearchSpace, role: Role = "given_file") -> Proposal:
    parameters = parameters_in(space, one.config)
    return Proposal(parameters, role, config=None if parameters else one.config)


def parameters_in(space: SearchSpace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Optuna's names and values of a configuration that the space could have drawn; empty for any other."""
    varied = {key: value for key, value in config.items() if key != "family" and key not in space.fixed}
    try:
        parameters = warm_start_params(replace(space, warm_starts=(varied,)), 0)
    except SpaceError:
        return {}
    drawn = replay(space, parameters)
    return parameters if drawn is not None and identity(drawn[0]) == identity(config) else {}
