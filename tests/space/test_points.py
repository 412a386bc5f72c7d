"""Walking small search spaces, and telling configurations apart."""

from __future__ import annotations

import optuna
import pytest

from study.errors import SpaceError
from study.space.grammar import parse_space
from study.space.points import MOST_POINTS, few_points, identity, require_few_points
from study.space.sampling import sample

BRANCHED = """\
family = "mlp"
depth = { low = 1, high = 2 }
width = { repeat = "depth", choices = [8, 16] }
dropout = { low = 0.1, high = 0.3, step = 0.1, when = { depth = 1 } }
nesterov = { choices = [true, false] }
learning_rate = { low = 0.5, high = 0.5 }
"""


def test_every_configuration_of_every_branch_is_walked_once() -> None:
    """Depth 1: 2 widths, 3 dropouts; depth 2: 4 pairs of widths; times 2."""
    space = parse_space(BRANCHED, "s.toml")
    points = few_points(space)
    assert points is not None
    assert len({point.identity for point in points}) == len(points) == 2 * (2 * 3 + 4)
    for point in points:
        config = sample(space, optuna.trial.FixedTrial(dict(point.parameters)))
        assert identity(config) == point.identity
    assert points[0].parameters == {
        "depth": 1, "width.0": 8, "dropout": 0.1, "nesterov": True, "learning_rate": 0.5
    }  # fmt: skip


def test_what_a_sampler_draws_is_one_of_the_points() -> None:
    space = parse_space(BRANCHED, "s.toml")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    drawn = {identity(sample(space, study.ask())) for _ in range(200)}
    assert drawn == {point.identity for point in few_points(space) or []}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = { low = 0.0, high = 1.0 }", "s.toml: key 'x': a grid cannot walk 0.0 to 1.0: expected a step, choices"),
        (
            'o = { choices = ["a", "b"] }\nx = { low = 1e-3, high = 1.0, log = true, when = { o = "b" } }',
            "s.toml: key 'x': a grid cannot walk 0.001 to 1.0, log",
        ),
        ("x = { low = 1, high = 1000000000000 }", f"s.toml: more than {MOST_POINTS:,} configurations"),
        ("n = 64\nx = { repeat = 'n', choices = [1, 2] }", f"s.toml: more than {MOST_POINTS:,} configurations"),
    ],
)
def test_a_space_that_cannot_be_walked_is_refused_with_the_reason(text: str, said: str) -> None:
    space = parse_space(f'family = "mlp"\n{text}', "s.toml")
    assert few_points(space) is None
    with pytest.raises(SpaceError) as caught:
        require_few_points(space)
    assert said in str(caught.value)


def test_a_continuous_range_that_never_exists_is_in_nobody_s_way() -> None:
    text = 'family = "mlp"\no = "a"\nn = { choices = [1, 2] }\nx = { low = 0.0, high = 1.0, when = { o = "b" } }'
    space = parse_space(text, "s.toml")
    require_few_points(space)
    assert len(few_points(space) or []) == 2


def test_equal_configurations_are_told_by_their_values() -> None:
    assert identity({"a": 1, "b": [0.1 + 0.2]}) == identity({"b": [0.3], "a": 1.0})
    assert identity({"a": True}) != identity({"a": 1})
    assert identity({"a": "1"}) != identity({"a": 1})
