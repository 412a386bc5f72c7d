from __future__ import annotations

import pytest
import torch

from study.models import build, parameter_count
from study.models.architecture import layers_of
from study.records.run import Layer

CNN = {"family": "cnn", "stages": 2, "convs_per_stage": 1, "width": 8, "growth": 2.0, "kernel_size": 3}
CNN |= {"activation": "relu", "normalisation": "batch", "pooling": "max", "stem": "strided", "residual": True}
CNN |= {"head": "global", "dropout": 0.1}
MLP = {"family": "mlp", "depth": 1, "width": [16], "activation": "gelu", "normalisation": "none", "dropout": 0.0}


def test_layers_stand_in_the_order_in_which_they_read_an_image() -> None:
    first, *_, last = layers_of(build(CNN, 10))
    assert first == Layer("5 × 5 convolution, stride 2", (8, 14, 14), 200)
    assert last == Layer("linear", (10,), 170)
    assert layers_of(build(MLP, 10)) == (
        Layer("linear", (16,), 12_560),
        Layer("gelu", (16,), 0),
        Layer("linear", (10,), 170),
    )


@pytest.mark.parametrize("config", [CNN, MLP])
def test_every_weight_is_counted_and_the_network_stays_as_it_was(config: dict[str, object]) -> None:
    model = build(config, 10)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert sum(layer.parameters for layer in layers_of(model)) == parameter_count(model)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
