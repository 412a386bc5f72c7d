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
