"""Architecture families. A new one is a module with `Config` and a network, one line in FAMILIES, one search space.

The fields of `Config` say what a configuration can be: their bounds are those that the report's advice keeps to, and
`json_schema_extra={"instead": "give width more room"}` is what it says of a number at its high end. A family may as
well be another package's (`study.space.plugins`); one of these has its name for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol, cast

import torch
from pydantic import BaseModel, ValidationError
from torch import nn

from study.errors import ConfigError
from study.models.cnn import CNN
from study.models.layers import IMAGE_SIZE
from study.models.mixer import Mixer
from study.models.mlp import MLP
from study.records.settings import Configuration, explain, typed
from study.space.plugins import Plugin, plugin_of, plugins

__all__ = [
    "FAMILIES",
    "build",
    "family_names",
    "family_of",
    "flops_per_image",
    "model_keys",
    "parameter_count",
    "plugin_behind",
]


class Family(Protocol):
    """A network class: its pydantic `Config`, and `Family(config, n_classes)`."""

    @property
    def Config(self) -> type[Configuration]: ...  # noqa: N802 (a class as an attribute)

    def __call__(self, config: Any, n_classes: int) -> nn.Module: ...


FAMILIES: dict[str, Family] = {"mlp": MLP, "cnn": CNN, "mixer": Mixer}


def family_names() -> list[str]:
    """Every family that can be built here, those of other packages last."""
    return list(dict.fromkeys([*FAMILIES, *(plugin.family for plugin in plugins())]))


def plugin_behind(family: str) -> Plugin | None:
    """The package from which a family is, None for one of the program's own and for an unknown one."""
    return None if family in FAMILIES else plugin_of(family)


def family_of(name: object) -> Family:
    """ConfigError for an unknown family, and for one whose package offers no network class with a Config."""
    if isinstance(name, str) and name in FAMILIES:
        return FAMILIES[name]
    plugin = plugin_behind(name) if isinstance(name, str) else None
    if plugin is None:
        raise ConfigError(f"family {name!r:.80} is unknown: expected one of {', '.join(family_names())}")
    return _loaded(plugin)


@cache
def _loaded(plugin: Plugin) -> Family:
    network = plugin.load()
    if not isinstance(network, type) or not issubclass(network, nn.Module):
        raise plugin.wrong(f"is {network!r:.80}, expected a class of torch.nn.Module")
    config = getattr(network, "Config", None)
    if config is None:
        raise plugin.wrong("has no Config, expected a pydantic model of that name in the class")
    if not isinstance(config, type) or not issubclass(config, BaseModel):
        raise plugin.wrong(f"has the Config {config!r:.80}, expected a pydantic model")
    family: Any = network
    return cast(Family, family)


def model_keys(family: str) -> set[str]:
    """Configuration keys from which a network of `family` is built."""
    return set(family_of(family).Config.model_fields)


def build(config: Mapping[str, Any], n_classes: int) -> nn.Module:
    """A freshly initialised network from its own keys of a configuration and `family`.

    Draws from torch's global generator. ConfigError names the family and the first key that is wrong.
    """
    family = family_of(config.get("family"))
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
