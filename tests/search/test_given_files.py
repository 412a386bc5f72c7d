"""`--given FILE`: a configuration of the user's own, validated, and trained beside the search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, Settings, Stop, interrupting
from tiny_spaces import TINY_SPACES

from study.errors import SpaceError
from study.records.paths import StudyFiles
from study.records.settings import load_settings, save_settings
from study.search.given import parameters_in, read_given
from study.search.turns import Limits
from study.space.grammar import parse_space

SPACES = {family: parse_space(text, f"{family}.toml") for family, text in TINY_SPACES.items()}
INSIDE = 'family = "cnn"\nwidth = 6\nlearning_rate = 2e-2\n'
OUTSIDE = 'family = "cnn"\nwidth = 12\nlearning_rate = 2e-2\nactivation = "gelu"\n'


@pytest.fixture
def given(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        (tmp_path / "mine.toml").write_text(text)
        return tmp_path / "mine.toml"

    return write


def test_what_a_file_leaves_out_is_as_the_space_fixes_it(given: Any) -> None:
    one = read_given(given(OUTSIDE), SPACES)
    assert (one.file, one.family) == ("mine.toml", "cnn")
    assert one.config == {"family": "cnn", **SPACES["cnn"].fixed} | {
        "width": 12,
        "learning_rate": 2e-2,
        "activation": "gelu",
    }


def test_the_family_is_the_one_that_knows_the_keys(given: Any) -> None:
    mlp = "depth = 1\nwidth = [9]\nlearning_rate = 0.1\noptimizer = 'sgd'\nactivation = 'relu'\nbatch_size = 32"
    assert read_given(given(mlp), SPACES).family == "mlp"
    with pytest.raises(SpaceError, match=r"mine\.toml: key 'family': missing, and its keys fit .*cnn, mlp"):
        read_given(given("learning_rate = 0.1"), SPACES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("width = ", r"--given .*mine\.toml: not TOML: "),
        ('family = "tree"', r"mine\.toml: key 'family': seen 'tree', expected one of this study: cnn, mlp"),
        ("colour = 3", r"mine\.toml: key 'family': missing, and its keys fit no family of this study"),
        (INSIDE + "colour = 3", r"mine\.toml: key 'colour': unknown to family 'cnn': expected one of "),
        (INSIDE.replace("6", "0"), r"mine\.toml: key 'width': input should be greater than .*, seen 0"),
        (INSIDE.replace("= 6", '= "6"'), r"mine\.toml: key 'width': .*, seen '6'"),
        (INSIDE.replace("= 6", "= { low = 4, high = 8 }"), r"mine\.toml: key 'width': has a range or choices"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(given: Any, text: str, said: str) -> None:
    with pytest.raises(SpaceError, match=said) as caught:
        read_given(given(text), SPACES)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"--given .*none\.toml: cannot be read \(No such file or directory\)"):
        read_given(tmp_path / "none.toml", SPACES)


def test_what_the_space_could_have_drawn_is_shown_with_its_parameters(given: Any) -> None:
    inside, outside = (read_given(given(text), SPACES).config for text in (INSIDE, OUTSIDE))
    assert parameters_in(SPACES["cnn"], inside) == {"width": 6, "learning_rate": 2e-2}
    assert parameters_in(SPACES["cnn"], outside) == {}


# Its optional keys vary, one of them beside a value of the other alone.
OPTIONAL = TINY_SPACES["cnn"].replace(
    'augmentation = "none"',
    """label_smoothing = { low = 0.0, high = 0.2 }
augmentation = { choices = ["affine", "none"] }
augmentation_strength = { low = 0.1, high = 1.0, when = { augmentation = "affine" } }""",
)


def test_an_optional_key_that_the_space_varies_and_a_file_leaves_out_has_its_default(
    files: StudyFiles, make_settings: Settings, given: Any
) -> None:
    space = parse_space(OPTIONAL, "cnn.toml")
    one = read_given(given(INSIDE), {"cnn": space})
    assert one.config == {"family": "cnn", **space.fixed} | {
        "width": 6,
        "learning_rate": 2e-2,
        "label_smoothing": 0.0,
        "augmentation": "none",
    }
    assert parameters_in(space, one.config).keys() == {"width", "learning_rate", "label_smoothing", "augmentation"}
    affine = read_given(given(INSIDE + 'augmentation = "affine"'), {"cnn": space})
    assert affine.config["augmentation_strength"] == 0.5
    bench = Bench(files, make_settings({"cnn": OPTIONAL}, given="apart", given_files=(one.model_dump(),)))
    bench.search(Limits(n_trials=1))
    bench.close()
    assert bench.records.given[-1].config == one.config


def test_what_does_not_name_all_that_the_space_draws_is_trained_as_it_is(
    files: StudyFiles, make_settings: Settings, given: Any
) -> None:
    """A study keeps what an older version read from a file."""
    partial = read_given(given(INSIDE), SPACES)
    config = {key: value for key, value in partial.config.items() if key != "augmentation"}
    assert parameters_in(parse_space(OPTIONAL, "cnn.toml"), config) == {}
    stored = partial.model_copy(update={"config": config}).model_dump()
    bench = Bench(files, make_settings({"cnn": OPTIONAL}, given="apart", given_files=(stored,)))
    bench.search(Limits(n_trials=1))
    bench.close()
    assert bench.records.given[-1].config == config


def test_a_file_s_configuration_waits_its_turn_when_there_are_fewer_warm_starts_than_before(
    files: StudyFiles, make_settings: Settings, given: Any
) -> None:
    one = read_given(given(OUTSIDE), SPACES)
    with_two = {"cnn": TINY_SPACES["cnn"]}
    bench = Bench(files, make_settings(with_two, given="apart"))
    bench.search(Limits(n_trials=1))
    # A family with one warm start has joined before the file's turn came.
    with_one = with_two | {"mlp": TINY_SPACES["mlp"].rpartition("[[warm_start]]")[0]}
    bench.settings = make_settings(with_one, given="apart", given_files=(one.model_dump(),))
    bench.search(Limits(n_trials=2))
    bench.close()
    assert [record.role for record in bench.records.of("cnn").given] == ["warm_start", "warm_start", "given_file"]
    assert [record.role for record in bench.records.of("mlp").given] == ["warm_start"]


@pytest.fixture
def bench(files: StudyFiles, make_settings: Settings, given: Any) -> Iterator[Bench]:
    both = tuple(read_given(given(text), SPACES).model_dump() for text in (INSIDE, OUTSIDE))
    bench = Bench(files, make_settings(given="apart", given_files=both))
    yield bench
    bench.close()


def test_files_are_trained_once_as_they_are_beside_warm_starts_and_search(bench: Bench) -> None:
    save_settings(bench.settings, bench.files.settings)
    assert load_settings(bench.files.settings).given_files == bench.settings.given_files
    for n_trials in (1, 2):
        bench.search(Limits(n_trials=n_trials))
    bench.check()
    cnn = bench.records.of("cnn")
    assert [record.role for record in cnn.given] == ["warm_start", "warm_start", "given_file", "given_file"]
    assert [record.config for record in cnn.given[2:]] == [one.config for one in bench.settings.given_files]
    assert [len(cnn.found), len(bench.records.of("mlp").given)] == [2, 2]


def test_an_interrupted_one_is_trained_again_as_it_was(bench: Bench) -> None:
    for _ in range(20):
        try:
            bench.search(Limits(n_trials=1), observe=interrupting(7))
            break
        except Stop:
            bench.check()
    done = bench.counted.of("cnn").given
    assert [record.config for record in done if record.role == "given_file"] == [
        one.config for one in bench.settings.given_files
    ]
