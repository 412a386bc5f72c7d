"""Search spaces: the grammar, its errors, sampling through a trial, warm starts, branches, and the bundled files."""

import pytest

from study import models
from study.errors import SpaceError
from study.space import bundled as bundled_files
from study.space import grammar, rows
from study.space import sampling as space
from study.training.config import build_model, known_keys

TEXT = """
family = "mlp"
depth = { low = 1, high = 3 }
width = { repeat = "depth", low = 8, high = 64, log = true }
activation = { choices = ["relu", "gelu", "silu"] }
dropout = 0.1
optimizer = { choices = ["sgd", "adam", "adamw"] }
momentum = { low = 0.8, high = 0.99, when = { optimizer = "sgd" } }
batch_size = { low = 64, high = 256, step = 64 }
[[parameter]]
name = "learning_rate"
when = { optimizer = "sgd" }
low = 1e-2
high = 1.0
log = true
[[parameter]]
name = "learning_rate"
when = { optimizer = ["adam", "adamw"] }
low = 1e-4
high = 1e-2
log = true
"""


class Scripted:
    """A trial that answers from a table, else with the lowest value or first choice, and notes what was asked."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = {}

    def _answer(self, name, default, asked):
        self.asked[name] = asked
        return self.answers.get(name, default)

    def suggest_float(self, name, low, high, *, step=None, log=False):
        return self._answer(name, low, ("float", low, high, step, log))

    def suggest_int(self, name, low, high, *, step=1, log=False):
        return self._answer(name, low, ("int", low, high, step, log))

    def suggest_categorical(self, name, choices):
        return self._answer(name, choices[0], ("categorical", *choices))


def parse(text):
    return grammar.parse_space(text, "my.toml")


def family(*lines):
    return parse("\n".join(['family = "mlp"', *lines]))


def test_a_sample_is_a_flat_configuration():
    trial = Scripted(depth=2, **{"width.1": 33})
    assert space.sample(parse(TEXT), trial) == {
        "family": "mlp",
        "dropout": 0.1,
        "depth": 2,
        "width": [8, 33],
        "activation": "relu",
        "optimizer": "sgd",
        "momentum": 0.8,
        "batch_size": 64,
        "learning_rate": 0.01,
    }


def test_optuna_sees_names_that_never_change_their_meaning():
    trial = Scripted(depth=2)
    space.sample(parse(TEXT), trial)
    assert trial.asked == {
        "depth": ("int", 1, 3, 1, False),
        "width.0": ("int", 8, 64, 1, True),
        "width.1": ("int", 8, 64, 1, True),
        "activation": ("categorical", "relu", "gelu", "silu"),
        "optimizer": ("categorical", "sgd", "adam", "adamw"),
        "momentum": ("float", 0.8, 0.99, None, False),
        "batch_size": ("int", 64, 256, 64, False),
        "learning_rate[sgd]": ("float", 0.01, 1.0, None, True),
    }


def test_several_values_of_a_condition_are_joined():
    trial = Scripted(optimizer="adamw")
    config = space.sample(parse(TEXT), trial)
    assert trial.asked["learning_rate[adam|adamw]"] == ("float", 1e-4, 1e-2, None, True)
    assert config["learning_rate"] == 1e-4
    assert "momentum" not in config


def test_parents_are_sampled_first_whatever_the_order_in_the_file():
    reverse = family(
        "width = { repeat = 'depth', low = 8, high = 16, when = { kind = 'a' } }",
        "depth = { low = 2, high = 3 }",
        "kind = { choices = ['a', 'b'] }",
    )
    assert space.sample(reverse, Scripted())["width"] == [8, 8]
    assert "width" not in space.sample(reverse, Scripted(kind="b"))


def test_a_condition_on_an_absent_key_does_not_hold():
    nested = family(
        "a = { choices = [true, false] }",
        "b = { choices = [1, 2], when = { a = true } }",
        "c = { low = 0.0, high = 1.0, when = { b = 1 } }",
    )
    assert "c" in space.sample(nested, Scripted())
    assert set(space.sample(nested, Scripted(a=False))) == {"family", "a"}


def test_true_and_one_are_different_values():
    mixed = family("a = { choices = [1, true] }", "b = { low = 0, high = 1, when = { a = true } }")
    assert "b" not in space.sample(mixed, Scripted(a=1))
    assert "b" in space.sample(mixed, Scripted(a=True))


def test_a_fixed_key_may_decide_conditions():
    narrowed = TEXT.replace('optimizer = { choices = ["sgd", "adam", "adamw"] }', 'optimizer = "adam"')
    trial = Scripted()
    assert space.sample(parse(narrowed), trial)["optimizer"] == "adam"
    assert "learning_rate[adam|adamw]" in trial.asked
    assert "learning_rate[sgd]" not in trial.asked


def test_a_fixed_key_may_count_repeats():
    assert space.sample(family("depth = 3", "width = { repeat = 'depth', low = 1, high = 2 }"), Scripted())[
        "width"
    ] == [
        1,
        1,
        1,
    ]


def test_one_float_bound_makes_a_float():
    trial = Scripted()
    space.sample(family("x = { low = 0, high = 0.5 }"), trial)
    assert trial.asked["x"][:3] == ("float", 0.0, 0.5)


def test_sampling_works_with_optuna():
    optuna = pytest.importorskip("optuna")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    parsed = parse(TEXT)
    for _ in range(20):
        config = space.sample(parsed, study.ask())
        assert len(config["width"]) == config["depth"]
        assert ("momentum" in config) == (config["optimizer"] == "sgd")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x = { low = 1, hi = 2 }", "key 'x': unknown key 'hi': expected one of choices, high"),
        ("x = { low = 1 }", "key 'x': misses high"),
        ("x = { low = 3, high = 2 }", "key 'x': low is 3, high is 2: expected low <= high"),
        ("x = { low = 0.0, high = 1.0, log = true }", "key 'x': low is 0.0 on a log scale: expected low > 0"),
        ("x = { low = -1, high = 1, log = true }", "low is -1 on a log scale"),
        ("x = { low = 1, high = 2, log = 1 }", "log is 1: expected true or false"),
        ("x = { low = '1', high = 2 }", "low is '1': expected a finite number"),
        ("x = { low = true, high = 2 }", "low is True: expected a finite number"),
        ("x = { low = 0.0, high = inf }", "high is inf: expected a finite number"),
        ("x = { low = nan, high = 1.0 }", "low is nan: expected a finite number"),
        ("x = { low = 1, high = 4, step = 2 }", "high - low is 3: expected a multiple of step 2"),
        ("x = { low = 1, high = 4, step = 0 }", "step is 0: expected a positive int"),
        ("x = { low = 1, high = 4, step = 0.5 }", "step is 0.5: expected a positive int"),
        ("x = { low = 1, high = 4, step = 1, log = true }", "expected one of step and log"),
        ("x = { choices = [] }", r"choices is \[\]: expected a list with at least one value"),
        ("x = { choices = 'relu' }", "choices is 'relu': expected a list"),
        ("x = { choices = [1, 1] }", "hold a value twice"),
        ("x = { choices = [[1]] }", r"choices hold \[1\]"),
        ("x = { choices = [1], low = 0 }", "has both choices and low"),
        ("x = { low = 1, high = 2, repeat = 3 }", "repeat is 3: expected the name of an int parameter"),
        ("x = { low = 1, high = 2, repeat = 'y' }", "repeat names 'y': expected the name of an int parameter"),
        ("x = { low = 1, high = 2, when = 'y' }", "when is 'y': expected a table"),
        ("x = { low = 1, high = 2, when = { y = [] } }", r"when y is \[\]: expected a value"),
        ("x = { low = 1, high = 2, when = { y = 1 } }", "when names 'y', which the space does not declare"),
        ("x = { low = 1, high = 2, when = { x = 1 } }", "key 'x': depends on itself through x"),
        ("x = { low = 1, high = 1" + "0" * 400 + " }", "high is 10+: expected a finite number"),
        ("x = 1" + "0" * 5000, "my.toml: not TOML"),
        ("'a.0' = { low = 1, high = 2 }", "key 'a.0': expected a name of letters"),
        ('"a\\nb" = 1', r"key 'a\\nb': expected a name of letters"),
        ("x = inf", "key 'x': expected text, a number"),
        ("x = 2026-01-01", "key 'x': expected text, a number"),
        ("parameter = 3", r"key 'parameter': expected tables written \[\[parameter\]\], seen 3"),
        ("[[parameter]]\nlow = 1\nhigh = 2", "expected `name` with a configuration key"),
        ("[[parameter]]\nname = 'family'\nlow = 1\nhigh = 2", "key 'family'"),
        ("[x]", "key 'x': misses low"),
        ("x = ", "my.toml: not TOML"),
    ],
)
def test_an_error_names_file_key_value_and_rule(line, said):
    with pytest.raises(SpaceError, match=said) as caught:
        family(line)
    assert str(caught.value).startswith("my.toml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["x = { low = 1.0, high = 2.0 }", "y = { low = 0, high = 1, repeat = 'x' }"], "repeat names 'x'"),
        (["x = { low = 0, high = 2 }", "y = { low = 0, high = 1, repeat = 'x' }"], "within 1 to 64"),
        (["x = { low = 1, high = 99 }", "y = { low = 0, high = 1, repeat = 'x' }"], "within 1 to 64"),
        (["x = { choices = ['a'] }", "y = { low = 0, high = 1, when = { x = 'b' } }"], "when x = b can never hold"),
        (["x = { low = 1.0, high = 2.0 }", "y = { low = 0, high = 1, when = { x = 1.0 } }"], "not a float or a list"),
        (["x = { low = 1, high = 2 }", "[[parameter]]", "name = 'x'", "low = 1", "high = 2"], "declared twice"),
        (["x = 1", "[[parameter]]", "name = 'x'", "low = 1", "high = 2"], "has a fixed value and a range"),
        (
            ["x = { low = 1, high = 2, when = { y = 1 } }", "y = { low = 1, high = 2, when = { x = 1 } }"],
            "depends on itself through x, y",
        ),
    ],
)
def test_rules_between_keys(lines, said):
    with pytest.raises(SpaceError, match=said):
        family(*lines)


def test_overlapping_conditions_of_one_key_are_refused():
    with pytest.raises(SpaceError, match=r"key 'learning_rate': declared twice .*`when` can hold for both"):
        parse(TEXT.replace('["adam", "adamw"]', '["adam", "sgd"]'))


@pytest.mark.parametrize("text", ["", "family = 3"])
def test_a_space_names_its_family(text):
    with pytest.raises(SpaceError, match=r"my\.toml: key 'family': expected a family's name"):
        parse(text)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(SpaceError, match=r"none.toml: cannot read .*No such file"):
        space.load_space(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SpaceError, match=r"latin.toml: .*not UTF-8"):
        space.load_space(tmp_path / "latin.toml")


def test_a_file_that_an_editor_marked_as_utf_8_is_read(tmp_path):
    (tmp_path / "mlp.toml").write_text(TEXT, encoding="utf-8-sig")
    loaded = space.load_space(tmp_path / "mlp.toml")
    assert loaded.text == TEXT  # which the study keeps and reads again


def test_a_key_that_the_family_does_not_know_is_refused():
    parsed = family("droput = 0.1")
    with pytest.raises(SpaceError, match="key 'droput': unknown to family 'mlp': expected one of depth, dropout"):
        space.require_keys(parsed, {"dropout", "depth"})
    space.require_keys(parsed, {"droput"})


def warm(*lines):
    return parse("\n".join([TEXT, "[[warm_start]]", *lines]))


def test_a_warm_start_becomes_optuna_names():
    parsed = warm("depth = 2", "width = [16, 32]", "optimizer = 'adam'", "learning_rate = 1e-3", "dropout = 0.1")
    assert grammar.warm_start_params(parsed, 0) == {
        "depth": 2,
        "width.0": 16,
        "width.1": 32,
        "optimizer": "adam",
        "learning_rate[adam|adamw]": 1e-3,
    }


def test_a_warm_start_may_be_partial():
    assert grammar.warm_start_params(warm("activation = 'gelu'"), 0) == {"activation": "gelu"}


def test_an_int_fits_a_float_range():
    params = grammar.warm_start_params(warm("optimizer = 'sgd'", "learning_rate = 1"), 0)
    assert params["learning_rate[sgd]"] == 1.0
    assert isinstance(params["learning_rate[sgd]"], float)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["droput = 0.1"], "key 'droput': warm_start names a key that the space does not declare"),
        (["depth = 9"], "key 'depth': warm_start has 9: expected 1 to 3"),
        (["depth = 2.0"], "key 'depth': warm_start has 2.0: expected an int within 1 to 3"),
        (["batch_size = 100"], "key 'batch_size': warm_start has 100: expected 64 to 256, step 64"),
        (["activation = 'tanh'"], "warm_start has 'tanh': expected relu, gelu, silu"),
        (
            ["learning_rate = 0.1"],
            "key 'learning_rate': warm_start sets it, but it needs optimizer = sgd; optimizer = adam",
        ),
        (["optimizer = 'adam'", "momentum = 0.9"], "key 'momentum': warm_start sets it, but it needs optimizer = sgd"),
        (["optimizer = 'adam'", "learning_rate = 0.5"], r"key 'learning_rate\[adam\|adamw\]': warm_start has 0.5"),
        (["depth = 2", "width = [8]"], r"key 'width': warm_start has \[8\]: expected a list of 2"),
        (["depth = 2", "width = 8"], "key 'width': warm_start has 8: expected a list of 2"),
        (["width = [8]"], "key 'width': warm_start sets it, but it needs depth to be named"),
        (["depth = 'two'", "width = [8]"], "key 'depth': warm_start has 'two': expected"),
        (["depth = 2", "width = [8, 999]"], r"key 'width.1': warm_start has 999: expected 8 to 64"),
        (["dropout = 0.5"], "key 'dropout': warm_start has 0.5: the space fixes 0.1"),
    ],
)
def test_a_warm_start_that_cannot_be_is_refused(lines, said):
    with pytest.raises(SpaceError, match=said):
        warm(*lines)


def test_describe_says_everything_in_words():
    told = {row.name: row for row in rows.describe(parse(TEXT))}
    assert told["dropout"] == rows.Row("dropout", "fixed", "0.1", "")
    assert told["width"] == rows.Row("width", "int", "8 to 64, log", "one for each of depth")
    assert told["activation"].range == "relu, gelu, silu"
    assert told["batch_size"].range == "64 to 256, step 64"
    assert told["learning_rate[adam|adamw]"].condition == "optimizer = adam or adamw"


def test_edges_are_of_numbers_only():
    assert space.edges(parse(TEXT)) == {
        "depth": (1, 3, False),
        "width": (8, 64, True),
        "momentum": (0.8, 0.99, False),
        "batch_size": (64, 256, False),
        "learning_rate[sgd]": (0.01, 1.0, True),
        "learning_rate[adam|adamw]": (1e-4, 1e-2, True),
    }


def test_branches_cover_every_choice_and_both_ends_of_ints():
    configs = list(space.branches(parse(TEXT)))
    assert {config["activation"] for config in configs} == {"relu", "gelu", "silu"}
    assert {config["optimizer"] for config in configs} == {"sgd", "adam", "adamw"}
    assert {config["depth"] for config in configs} >= {1, 3}
    assert {config["batch_size"] for config in configs} >= {64, 256}
    assert configs == list(space.branches(parse(TEXT)))


def test_branches_reach_values_under_nested_conditions():
    nested = family(
        "a = { choices = ['x', 'y', 'z'] }",
        "b = { choices = ['p', 'q', 'r'], when = { a = 'z' } }",
        "c = { choices = [1, 2, 3], when = { b = ['r'] } }",
    )
    assert {config.get("c") for config in space.branches(nested)} >= {1, 2, 3}


def test_branches_keep_one_and_true_apart():
    values = [config["a"] for config in space.branches(family("a = { choices = [1, true] }"))]
    assert sorted(map(repr, values)) == ["1", "True"]


def test_a_space_without_ranges_has_one_branch():
    assert list(space.branches(family("a = 1"))) == [{"family": "mlp", "a": 1}]


def test_branches_start_with_the_smallest_and_the_largest():
    first, second, *_ = space.branches(parse(TEXT))
    assert first["width"] == [8]
    assert second["width"] == [64, 64, 64]


def test_the_bundled_spaces_are_found():
    assert set(bundled_files.bundled_spaces()) >= {"mlp", "cnn", "mixer"}


@pytest.fixture(params=["mlp", "cnn", "mixer"])
def bundled(request):
    return space.load_space(bundled_files.bundled_spaces()[request.param])


def test_bundled_spaces_name_only_keys_that_their_family_knows(bundled):
    space.require_keys(bundled, known_keys(bundled.family) - {"family"})


def test_every_branch_of_the_bundled_spaces_builds(bundled):
    for config in space.branches(bundled):
        assert models.parameter_count(build_model(config, 10)) < 10_000_000


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_the_two_searched_families_have_the_same_number_of_warm_starts(name):
    assert len(space.load_space(bundled_files.bundled_spaces()[name]).warm_starts) == 2


def test_warm_starts_of_the_bundled_spaces_are_whole_configurations(bundled):
    for i in range(len(bundled.warm_starts)):
        params = grammar.warm_start_params(bundled, i)
        trial = Scripted(**params)
        space.sample(bundled, trial)
        assert set(trial.asked) == set(params)
