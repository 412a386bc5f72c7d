"""The part of a configuration that says how a model is trained, and the check of a whole configuration."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema
from torch import nn

from study.errors import ConfigError
from study.models import build, family_of, model_keys, plugin_behind
from study.records.settings import Configuration, Limit, explain, typed
from study.space.parameters import Config, SearchSpace

OptimizerName = Literal["sgd", "adam", "adamw", "rmsprop", "nadam", "muon"]
ScheduleName = Literal["one_cycle", "cosine", "linear"]
ImagesName = Literal["all", "hard"]
AugmentationName = Literal["none", "shift", "affine", "elastic", "hands"]


class TrainingConfig(Configuration):
    """How one run trains. `warmup` is the share of each cycle in which a one_cycle schedule rises. Of `hard` images
    `images_share` is shown in a pass, drawn by their last loss to the power of `images_power`.

    `instead` says what else does what a number at its high end was wanted for.
    """

    optimizer: OptimizerName
    learning_rate: float = Field(gt=0, allow_inf_nan=False)
    momentum: float = Field(default=0.9, ge=0, lt=1, json_schema_extra={"instead": "give learning_rate more room"})
    nesterov: bool = False
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    schedule: ScheduleName = "one_cycle"
    warmup: float = Field(default=0.2, ge=0, le=0.5, json_schema_extra={"instead": "give learning_rate more room"})
    batch_size: int = Field(ge=1)
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, json_schema_extra={"instead": "try more dropout, weight_decay or augmentation"}
    )
    images: ImagesName = "all"
    images_share: float = Field(default=0.5, gt=0, le=1, json_schema_extra={"instead": "try all images"})
    images_power: float = Field(
        default=0.5, ge=0, le=4, json_schema_extra={"instead": "give images_share lower values"}
    )
    augmentation: AugmentationName = "none"
    augmentation_strength: float = Field(
        default=0.5, gt=0, le=1, json_schema_extra={"instead": "try another augmentation, or more dropout"}
    )


TRAINING_KEYS = frozenset(TrainingConfig.model_fields)


def training_config(config: Mapping[str, Any]) -> TrainingConfig:
    """The training keys of a flat configuration; ConfigError names the first key that is wrong."""
    try:
        return TrainingConfig.model_validate(typed({key: config[key] for key in TRAINING_KEYS & config.keys()}))
    except ValidationError as error:
        raise ConfigError(f"configuration of family {config.get('family')!r}: {explain(error)}") from None


def known_keys(family: str) -> frozenset[str]:
    """Every key that a configuration of this family may carry; ConfigError for an unknown family, or one with a key of
    the training's."""
    own = model_keys(family)
    if twice := sorted((TRAINING_KEYS | {"family"}) & own):
        raise ConfigError(
            f"{plugin_behind(family) or family}: its Config has a key {twice[0]!r}, which is one of the training's: "
            "expected another name for it"
        )
    return TRAINING_KEYS | own | {"family"}


def completed(config: Mapping[str, Any], space: SearchSpace) -> Config:
    """An equal configuration, which names the default of each key that the space varies and `config` leaves out, so
    that it can be compared with those that the space draws."""
    fields = {**family_of(space.family).Config.model_fields, **TrainingConfig.model_fields}
    defaults = {key: field.default for key, field in fields.items() if isinstance(field.default, str | int | float)}
    whole = dict(config)
    for p in space.parameters:
        if p.key in defaults and p.active(whole):
            whole.setdefault(p.key, defaults[p.key])
    return whole


def build_model(config: Mapping[str, Any], n_classes: int) -> nn.Module:
    """A freshly initialised network from a whole configuration; errors are those of `models.build`, which sees none of
    the training's keys."""
    return build({key: value for key, value in config.items() if key not in TRAINING_KEYS}, n_classes)


def limits_of(family: str) -> dict[str, Limit]:
    """How far each numeric key of a configuration of this family can go; of a list that holds for each item.

    These are the bounds that the pydantic fields declare, each with its field's `json_schema_extra` of "instead".
    """
    fields: dict[str, Any] = {}
    for config in (TrainingConfig, family_of(family).Config):
        with contextlib.suppress(PydanticInvalidForJsonSchema):  # types that another package made up, without bounds
            fields |= config.model_json_schema().get("properties", {})
    limits = {key: _limit(field) for key, field in fields.items()}
    return {key: limit for key, limit in limits.items() if (limit.low, limit.high) != (None, None)}


def _limit(field: Mapping[str, Any]) -> Limit:
    """Of a field as JSON Schema has it: an optional number is one of two kinds, a list has items."""
    number = next((kind for kind in field.get("anyOf", ()) if kind.get("type") != "null"), field.get("items", field))
    low = number.get("minimum", number.get("exclusiveMinimum"))
    high = number.get("maximum", number.get("exclusiveMaximum"))
    return Limit(low=low, high=high, **({"instead": field["instead"]} if "instead" in field else {}))
