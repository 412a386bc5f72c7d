"""Every family: builds from its configuration, gives logits, learns, is counted, and names what is wrong."""

import pytest
import torch
from torch.nn import functional as F

from study import models
from study.errors import ConfigError
from study.training.config import TRAINING_KEYS, build_model

MLP = {
    "family": "mlp",
    "depth": 2,
    "width": [32, 16],
    "activation": "relu",
    "normalisation": "batch",
    "dropout": 0.0,
}
CNN = {
    "family": "cnn",
    "stages": 2,
    "convs_per_stage": 1,
    "width": 8,
    "growth": 2.0,
    "kernel_size": 3,
    "activation": "relu",
    "normalisation": "batch",
    "pooling": "max",
    "residual": False,
    "head": "global",
    "dropout": 0.0,
}
MIXER = {
    "family": "mixer",
    "depth": 1,
    "width": 16,
    "patch_size": 7,
    "expansion": 2.0,
    "activation": "gelu",
    "dropout": 0.0,
}


@pytest.fixture(params=[MLP, CNN, MIXER], ids=lambda config: config["family"])
def config(request):
    return request.param


def images(n=4):
    return torch.randn(n, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def test_logits_have_one_column_per_class(config):
    assert models.build(config, 7)(images()).shape == (4, 7)


def test_bf16_autocast_gives_finite_logits_near_those_of_fp32(config):
    model = models.build(config, 10).eval().to(memory_format=torch.channels_last)
    x = images().to(memory_format=torch.channels_last)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        half = model(x).float()
    with torch.no_grad():
        full = model(x)
    torch.testing.assert_close(half, full, atol=0.1, rtol=0.1)


def test_a_few_steps_lower_the_loss(config):
    torch.manual_seed(0)
    model, x, y = models.build(config, 10), images(32), torch.arange(32) % 10
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(25):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_every_parameter_takes_part(config):
    model = models.build(config, 10)
    F.cross_entropy(model(images()), torch.arange(4)).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_the_same_seed_gives_the_same_weights(config):
    torch.manual_seed(3)
    first = models.build(config, 10).state_dict()
    torch.manual_seed(3)
    second = models.build(config, 10).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_training_keys_are_passed_over(config):
    built = build_model({**config, "learning_rate": 0.1, "batch_size": 64, "optimizer": "sgd"}, 10)
    assert models.parameter_count(built) == models.parameter_count(models.build(config, 10))


def test_an_unknown_key_is_named(config):
    with pytest.raises(ConfigError, match="unknown key 'droput'"):
        models.build({**config, "droput": 0.1}, 10)


def test_a_missing_key_is_named(config):
    lacking = {key: value for key, value in config.items() if key != "activation"}
    with pytest.raises(ConfigError, match="missing key 'activation'"):
        models.build(lacking, 10)


@pytest.mark.parametrize("name", [None, "rnn", ["mlp"]])
def test_an_unknown_family_gets_the_list_of_families(name):
    with pytest.raises(ConfigError, match="expected one of mlp, cnn, mixer"):
        models.build({"family": name}, 10)


def test_model_and_training_keys_are_apart(config):
    keys = models.model_keys(config["family"])
    assert set(config) - {"family"} <= keys
    assert not keys & TRAINING_KEYS


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "gelu", "silu", "tanh"])
@pytest.mark.parametrize("normalisation", ["none", "batch", "layer"])
def test_mlp_builds_every_branch(activation, normalisation):
    model = models.build({**MLP, "activation": activation, "normalisation": normalisation}, 10)
    assert model(images()).isfinite().all()


@pytest.mark.parametrize("pooling", ["max", "average", "stride"])
@pytest.mark.parametrize("normalisation", ["none", "batch", "group"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("head", [{"head": "global"}, {"head": "hidden", "head_width": 12}])
@pytest.mark.parametrize(("stages", "convs", "growth"), [(2, 1, 1.0), (3, 2, 1.5), (4, 3, 1.0)])
def test_cnn_builds_every_branch(pooling, normalisation, residual, head, stages, convs, growth):
    branch = {
        "pooling": pooling,
        "normalisation": normalisation,
        "residual": residual,
        "stages": stages,
        "convs_per_stage": convs,
        "growth": growth,
        **head,
    }
    assert models.build({**CNN, **branch}, 10)(images()).shape == (4, 10)


def test_mlp_parameters_by_hand():
    plain = {**MLP, "normalisation": "none"}
    expected = (784 * 32 + 32) + (32 * 16 + 16) + (16 * 10 + 10)
    assert models.parameter_count(models.build(plain, 10)) == expected


def test_mlp_flops_by_hand():
    assert models.flops_per_image(models.build(MLP, 10)) == 2 * (784 * 32 + 32 * 16 + 16 * 10)


def test_cnn_flops_by_hand():
    expected = 2 * (28 * 28 * 9 * 8 + 14 * 14 * 9 * 8 * 16 + 16 * 10)
    assert models.flops_per_image(models.build(CNN, 10)) == expected


def test_counting_flops_leaves_mode_and_statistics_alone():
    model = models.build(CNN, 10).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    models.flops_per_image(model)
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_residual_adds_the_stage_input():
    plain = models.parameter_count(models.build(CNN, 10))
    residual = models.parameter_count(models.build({**CNN, "residual": True}, 10))
    assert residual - plain == 1 * 8 + 8 * 16


def test_cnn_channels_are_multiples_of_four():
    config = models.FAMILIES["cnn"].Config.model_validate({**_own(CNN), "width": 10, "growth": 1.3, "stages": 4})
    assert config.channels == (8, 12, 16, 20)


def _own(config):
    return {key: value for key, value in config.items() if key != "family"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"head": "hidden"}, "needs head_width"),
        ({"width": 256, "growth": 4.0, "stages": 3}, "at most 1024"),
        ({"kernel_size": 4}, "key 'kernel_size'.*seen 4"),
        ({"stages": 9}, "key 'stages'.*seen 9"),
    ],
)
def test_cnn_refuses_impossible_values(change, said):
    with pytest.raises(ConfigError, match=said):
        models.build({**CNN, **change}, 10)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"width": [32]}, "one entry per layer, depth is 2"),
        ({"width": [32, 10**9]}, "key 'width.1'.*less than or equal to 8192, seen 1000000000"),
        ({"dropout": 0.9}, "key 'dropout'.*seen 0.9"),
        ({"activation": "swish"}, "key 'activation'.*seen 'swish'"),
    ],
)
def test_mlp_refuses_impossible_values(change, said):
    with pytest.raises(ConfigError, match=said):
        models.build({**MLP, **change}, 10)


def test_one_class_is_refused():
    with pytest.raises(ConfigError, match="n_classes is 1"):
        models.build(MLP, 1)
