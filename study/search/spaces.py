"""A search space against what its family and the training code understand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from study.data.datasets import Dataset
from study.errors import ConfigError, SpaceError
from study.models import family_names, family_of, flops_per_image, parameter_count
from study.space.parameters import SearchSpace, fail
from study.space.sampling import branches, require_keys
from study.training.config import TrainingConfig, build_model, known_keys, training_config
from study.training.loop import TrainingData, fit
from study.training.schedule import Schedule


def check_space(space: SearchSpace) -> None:
    """SpaceError unless every value and every branch of the space is one that its family and the training accept."""
    if space.family not in family_names():
        raise SpaceError(
            f"{space.source}: key 'family': seen {space.family!r}, expected one of {', '.join(sorted(family_names()))}"
        )
    require_keys(space, known_keys(space.family) - {"family"})
    _check_values(space)
    for config in branches(space):
        try:
            training_config(config)
            with torch.device("meta"):
                build_model(config, 10)
        except ConfigError as error:
            raise SpaceError(f"{space.source}: {error}") from None
        except Exception as error:  # whatever another package's network raises
            raise SpaceError(f"{space.source}: the branch {config} cannot be built: {_line(error)}") from error


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


# --- single values ---------------------------------------------------------------------------------------------------


def _check_values(space: SearchSpace) -> None:
    """SpaceError for a value that its key cannot have, wherever the space names it: branches visit only the middle of a
    range that has a condition, and a training would take 32.0 for 32 until the range gives 41.5."""
    fields = {**family_of(space.family).Config.model_fields, **TrainingConfig.model_fields}
    types = {key: _type_of(fields[key]) for key in fields}
    for name, key, value in _values(space):
        wrong = _wrong(types[key], value)
        if wrong:
            fail(space.source, name, wrong)
    for p in space.parameters:
        if len({(isinstance(choice, bool), choice) for choice in p.choices}) < len(p.choices):
            fail(space.source, p.name, f"choices {list(p.choices)!r:.60} hold a value twice")


def _values(space: SearchSpace) -> Iterator[tuple[str, str, Any]]:
    """(name in messages, configuration key, value) of all that the space says."""
    for key, value in space.fixed.items():
        yield key, key, value
    for p in space.parameters:
        for value in p.choices or (p.low, p.high):
            yield p.name, p.key, [value] if p.repeat else value
        for key, values in p.when:
            yield from ((f"{p.name}, when {key}", key, value) for value in values)
    for given in space.warm_starts:
        yield from ((f"{key} of a warm_start", key, value) for key, value in given.items())


def _type_of(field: FieldInfo) -> TypeAdapter[Any]:
    kind: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    return TypeAdapter(kind, config=ConfigDict(strict=True))


def _wrong(kind: TypeAdapter[Any], value: Any) -> str | None:
    """What is wrong with a value in one line, None if nothing is."""
    try:
        read = kind.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{first['msg'][:1].lower()}{first['msg'][1:]}, seen {_shown(first['input'])}"
    return None if _is_same(value, read) else f"input should be {_shown(read)}, seen {_shown(value)}"


def _shown(value: Any) -> str:
    """As TOML writes it, text in quotes."""
    return str(value).lower() if isinstance(value, bool) else f"{value!r:.60}"


def _is_same(value: Any, read: Any) -> bool:
    """Whether a value was taken as it is written: for 3 a key that knows 3 and 5 takes 3.0, too."""
    if isinstance(value, list):
        return all(map(_is_same, value, read))
    return type(value) is type(read) or (type(value) is int and type(read) is float)


# --- whole branches --------------------------------------------------------------------------------------------------


def try_branches(space: SearchSpace, dataset: Dataset) -> Iterator[dict[str, Any]]:
    """Build every branch and train it on one batch; yields parameter count and FLOPs of each.

    SpaceError names the branch that cannot be trained.
    """
    check_space(space)
    for config in branches(space):
        training = training_config(config)
        n = min(training.batch_size, len(dataset.labels) // 2)
        index = torch.arange(n)
        data = TrainingData(dataset.images, dataset.labels, index, index + n, 0.13, 0.31, len(dataset.classes))
        model = build_model(config, len(dataset.classes))
        try:
            fit(model, data, training, Schedule((1,), (1,)), lambda *_: True, seed=0)
        except Exception as error:
            raise SpaceError(f"{space.source}: the branch {config} cannot be trained: {error}") from error
        yield {"parameters": parameter_count(model), "flops": flops_per_image(model), "config": config}
