"""The part of a configuration that says how a model is trained, and the check of a whole configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from study.config import Configuration, explain, typed
from study.errors import ConfigError
from study.models import FAMILIES, model_keys

OptimizerName = Literal["sgd", "adam", "adamw", "rmsprop", "nadam"]
ScheduleName = Literal["one_cycle", "cosine", "linear"]
AugmentationName = Literal["none", "shift", "affine", "elastic"]


class TrainingConfig(Configuration):
    """How one run trains. `warmup` is the share of each cycle in which a one_cycle schedule rises."""

    optimizer: OptimizerName
    learning_rate: float = Field(gt=0, allow_inf_nan=False)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    schedule: ScheduleName = "one_cycle"
    warmup: float = Field(default=0.2, ge=0, le=0.5)
    batch_size: int = Field(ge=1)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    augmentation: AugmentationName = "none"
    augmentation_strength: float = Field(default=0.5, gt=0, le=1)


TRAINING_KEYS = frozenset(TrainingConfig.model_fields)


def training_config(config: Mapping[str, Any]) -> TrainingConfig:
    """The training keys of a flat configuration; ConfigError names the first key that is wrong."""
    try:
        return TrainingConfig.model_validate(typed({key: config[key] for key in TRAINING_KEYS & config.keys()}))
    except ValidationError as error:
        raise ConfigError(f"configuration of family {config.get('family')!r}: {explain(error)}") from None


def known_keys(family: str) -> frozenset[str]:
    """Every key that a configuration of this family may carry; ConfigError for an unknown family."""
    if family not in FAMILIES:
        raise ConfigError(f"unknown family {family!r}: expected one of {', '.join(sorted(FAMILIES))}")
    return TRAINING_KEYS | frozenset(model_keys(family)) | {"family"}
