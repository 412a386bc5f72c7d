from __future__ import annotations

import pytest

from study.errors import ConfigError
from study.models import FAMILIES, build, model_keys
from study.training.config import TRAINING_KEYS, build_model, known_keys, training_config

CONFIG = {"family": "mlp", "depth": 1, "width": [8], "optimizer": "sgd", "learning_rate": 0.1, "batch_size": 32}


NETWORK = {"activation": "relu", "normalisation": "none", "dropout": 0.0}


def test_a_network_is_built_from_its_own_keys_alone() -> None:
    assert build_model(CONFIG | NETWORK, 10) is not None
    with pytest.raises(ConfigError, match="unknown key 'optimizer'"):
        build(CONFIG | NETWORK, 10)
    with pytest.raises(ConfigError, match="'mlp': unknown key 'droput'"):
        build_model(CONFIG | NETWORK | {"droput": 0.1}, 10)


def test_no_key_belongs_to_both_a_model_and_the_training() -> None:
    for family in FAMILIES:
        assert not model_keys(family) & TRAINING_KEYS


def test_the_training_s_part_of_a_configuration() -> None:
    config = training_config({**CONFIG, "momentum": 0.5})
    assert (config.optimizer, config.momentum, config.schedule, config.augmentation) == (
        "sgd",
        0.5,
        "one_cycle",
        "none",
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer", "lion"),
        ("learning_rate", 0.0),
        ("learning_rate", float("inf")),
        ("learning_rate", float("nan")),
        ("momentum", 1.0),
        ("weight_decay", -1e-9),
        ("schedule", "step"),
        ("warmup", 0.6),
        ("batch_size", 0),
        ("batch_size", 32.5),
        ("batch_size", "32"),
        ("batch_size", True),
        ("learning_rate", "0.1"),
        ("nesterov", 1),
        ("label_smoothing", 1.0),
        ("augmentation", "mixup"),
        ("augmentation_strength", 0.0),
    ],
)
def test_a_value_out_of_range_is_named(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"'mlp': key '{key}'"):
        training_config({**CONFIG, key: value})


def test_a_whole_number_is_an_int_as_studies_of_earlier_versions_have_it() -> None:
    config = training_config({**CONFIG, "batch_size": 32.0, "learning_rate": 1})
    assert (config.batch_size, config.learning_rate) == (32, 1.0)
    assert type(config.batch_size) is int


@pytest.mark.parametrize("key", ["optimizer", "learning_rate", "batch_size"])
def test_what_every_run_needs_is_asked_for(key: str) -> None:
    with pytest.raises(ConfigError, match=f"missing key '{key}'"):
        training_config({k: v for k, v in CONFIG.items() if k != key})


def test_known_keys_are_the_model_s_and_the_training_s() -> None:
    assert {"family", "depth", "learning_rate"} <= known_keys("mlp")
    assert "stages" not in known_keys("mlp")
    with pytest.raises(ConfigError, match="family 'vit' is unknown: expected one of mlp, cnn, mixer"):
        known_keys("vit")
