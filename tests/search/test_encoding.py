"""Configurations as rows of numbers: there and back, and what a change of them may touch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import pytest

from study.search.draft import drawn
from study.search.encoding import Encoding
from study.space.grammar import parse_space
from study.space.parameters import Scalar, SearchSpace
from study.space.sampling import find_space

EVERYTHING = """
family = "mlp"
depth = { low = 1, high = 4 }
width = { low = 16, high = 256, log = true, repeat = "depth" }
batch_size = { choices = [64, 128, 256] }
dropout = { low = 0.0, high = 0.5, step = 0.1, when = { batch_size = [64, 256] } }
optimizer = { choices = ["sgd", "adam"] }
nesterov = { choices = [true, false], when = { optimizer = "sgd" } }

[[parameter]]
name = "learning_rate"
when = { optimizer = "sgd" }
low = 1e-2
high = 1.0
log = true

[[parameter]]
name = "learning_rate"
when = { optimizer = "adam" }
low = 1e-4
high = 1e-2
log = true
"""

ODD = """
family = "mlp"
depth = 3
activation = { choices = ["relu", "tanh", "gelu"], repeat = "depth" }
width = { low = 16, high = 64, step = 16, repeat = "depth", when = { residual = [true] } }
residual = { choices = [false, true] }
warmup = { low = 0.2, high = 0.2 }
count = { low = 1, high = 3 }
dropout = { low = 0.0, high = 0.5, step = 0.1, when = { count = [2, 3], residual = false } }

[[parameter]]
name = "batch_size"
when = { residual = true }
choices = ["auto", "whole"]

[[parameter]]
name = "batch_size"
when = { residual = false }
low = 1
high = 4

[[parameter]]
name = "momentum"
when = { batch_size = ["auto", 3] }
low = 0.5
high = 0.9
"""


@pytest.fixture(params=["everything", "odd", "mlp", "cnn", "mixer"])
def space(request: pytest.FixtureRequest) -> SearchSpace:
    text = {"everything": EVERYTHING, "odd": ODD}.get(request.param)
    return find_space(request.param) if text is None else parse_space(text, "space.toml")


def draws(space: SearchSpace, n: int) -> list[Mapping[str, Scalar]]:
    """Parameters as a sampler draws them."""
    study = optuna.create_study()
    return [drawn(k, space, study, optuna.samplers.RandomSampler(seed=k), {}).parameters for k in range(n)]


def test_a_row_has_what_the_configuration_has_and_gives_it_back(space: SearchSpace) -> None:
    encoding, parameters = Encoding(space), draws(space, 60)
    rows = encoding.rows(parameters, np.random.default_rng(0))
    assert rows.shape == (60, encoding.n_slots)
    for row, wanted in zip(rows, parameters, strict=True):
        found = encoding.parameters(row)
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            assert type(found[name]) is type(value)
            assert found[name] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value)


class Nothing(optuna.samplers.RandomSampler):
    """Draws nothing: what is to be drawn must be given."""

    def sample_independent(self, *arguments: Any) -> Any:
        raise AssertionError(arguments)


def test_any_row_is_a_configuration_of_the_space(space: SearchSpace) -> None:
    encoding, study = Encoding(space), optuna.create_study()
    rows = np.random.default_rng(0).random((60, encoding.n_slots))
    for row in np.concatenate([rows, np.zeros_like(rows[:1]), np.ones_like(rows[:1])]):
        found = encoding.parameters(row)
        assert drawn(0, space, study, Nothing(), found).parameters == found


def test_so_many_slots_are_changed_and_nothing_else(space: SearchSpace) -> None:
    encoding, rng = Encoding(space), np.random.default_rng(0)
    rows = encoding.rows(draws(space, 100), rng)
    counts = rng.integers(0, 4, len(rows))
    changed = encoding.changed(rows, counts, rng)
    differ = changed != rows
    assert ((changed >= 0) & (changed <= 1)).all()
    assert not (differ & ~encoding.active(rows)).any()
    assert (differ.sum(axis=1) <= counts).all()
    assert (differ.sum(axis=1) == counts).mean() > 0.8  # a number at its end may be moved beyond it, and stays


def test_a_changed_choice_is_another_one_each_as_often() -> None:
    encoding, rng = Encoding(parse_space(EVERYTHING, "space.toml")), np.random.default_rng(0)
    parameters: dict[str, Scalar] = {"depth": 1, "batch_size": 128, "optimizer": "adam"}
    rows = np.repeat(encoding.rows([parameters], rng), 3000, axis=0)
    found = [encoding.parameters(row)["batch_size"] for row in encoding.changed(rows, np.ones(3000, int), rng)]
    counts = {size: found.count(size) for size in (64, 128, 256)}
    assert counts[64] == pytest.approx(counts[256], rel=0.2)
    assert counts[128] == pytest.approx(3000 * 4 / 5, rel=0.05)  # of five slots that it has


def test_configurations_lie_apart_by_what_they_do_not_share() -> None:
    space = parse_space(EVERYTHING, "space.toml")
    encoding, rng = Encoding(space), np.random.default_rng(0)
    keys = list(dict.fromkeys(one.key for one in space.parameters))
    [sgd] = [one.name for one in space.parameters if one.key == "learning_rate" and one.low == 1e-2]
    [adam] = [one.name for one in space.parameters if one.key == "learning_rate" and one.low == 1e-4]
    first = {"depth": 1, "width.0": 16, "batch_size": 64, "dropout": 0.0, "optimizer": "sgd", "nesterov": True}
    second = {"depth": 4, "batch_size": 128, "optimizer": "adam"} | {f"width.{k}": 256 for k in range(4)}
    pair = encoding.seen(encoding.rows([{**first, sgd: 0.1}, {**second, adam: 1e-3}], rng))
    squared = (pair[0] - pair[1]) ** 2
    apart = {key: float(squared[encoding.groups == group].sum()) for group, key in enumerate(keys)}
    assert apart == pytest.approx(
        {
            "depth": 1,
            "width": 1,
            "batch_size": 1,
            "dropout": 0.5,  # at its end of the range, and only one has it
            "optimizer": 1,
            "nesterov": 0.5,
            "learning_rate": 0,  # both in the middle of their ranges
        }
    )


def test_of_repeated_choices_each_counts() -> None:
    encoding, rng = Encoding(parse_space(ODD, "space.toml")), np.random.default_rng(0)
    [first, *_] = draws(parse_space(ODD, "space.toml"), 1)
    same = {**first, **{f"activation.{k}": "relu" for k in range(3)}}
    rows = encoding.rows([same, {**same, "activation.2": "tanh"}, {**same, "activation.1": "gelu"}], rng)
    one, other, third = encoding.seen(rows)
    assert 0 < ((one - other) ** 2).sum() < ((other - third) ** 2).sum() < 1


def test_what_a_configuration_does_not_have_is_of_no_account(space: SearchSpace) -> None:
    encoding, parameters = Encoding(space), draws(space, 40)
    one, other = (encoding.rows(parameters, np.random.default_rng(seed)) for seed in (0, 1))
    assert (one != other).any()
    assert (encoding.seen(one) == encoding.seen(other)).all()
    assert (encoding.active(one) == encoding.active(other)).all()
