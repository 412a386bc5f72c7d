"""Architecture families. A new one is a module with `Config` and a network, one line in FAMILIES, one search space.

The fields of `Config` say what a configuration can be: their bounds are those that the report's advice keeps to, and
`json_schema_extra={"instead": "give width more room"}` is what it says of a number at its high end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from pydantic import ValidationError
from torch import nn

from study.config import Configuration, explain, typed
from study.errors import ConfigError
from study.models.cnn import CNN
from study.models.layers import IMAGE_SIZE
from study.models.mixer import Mixer
from study.models.mlp import MLP

__all__ = ["FAMILIES", "build", "flops_per_image", "model_keys", "parameter_count"]


class Family(Protocol):
    """A network class: its pydantic `Config`, and `Family(config, n_classes)`."""

    @property
    def Config(self) -> type[Configuration]: ...  # noqa: N802 (a class as an attribute)

    def __call__(self, config: Any, n_classes: int) -> nn.Module: ...


FAMILIES: dict[str, Family] = {"mlp": MLP, "cnn": CNN, "mixer": Mixer}


def _family(name: object) -> Family:
    if not isinstance(name, str) or name not in FAMILIES:
        raise ConfigError(f"family {name!r:.80} is unknown: expected one of {', '.join(FAMILIES)}")
    return FAMILIES[name]


def model_keys(family: str) -> set[str]:
    """Configuration keys from which a network of `family` is built."""
    return set(_family(family).Config.model_fields)


def build(config: Mapping[str, Any], n_classes: int) -> nn.Module:
    """A freshly initialised network from its own keys of a configuration and `family`.

    Draws from torch's global generator. ConfigError names the family and the first key that is wrong.
    """
    family = _family(config.get("family"))
    if n_classes < 2:
        raise ConfigError(f"n_classes is {n_classes}: expected at least 2")
    own = {key: value for key, value in config.items() if key != "family"}
    try:
        return family(family.Config.model_validate(typed(own)), n_classes)
    except ValidationError as error:
        raise ConfigError(f"configuration of family '{config['family']}': {explain(error)}") from None


def parameter_count(model: nn.Module) -> int:
    """Trainable weights."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def flops_per_image(model: nn.Module) -> int:
    """Floating-point operations of one image's forward pass: a multiply-add is two, norms and activations are none."""
    from torch.utils.flop_counter import FlopCounterMode  # loads triton where that is installed

    parameter = next(model.parameters())
    image = torch.zeros(1, 1, IMAGE_SIZE, IMAGE_SIZE, device=parameter.device, dtype=parameter.dtype)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(image)
    finally:
        model.train(was_training)
    return int(counter.get_total_flops())
