from __future__ import annotations

from pathlib import Path

import pytest
from tiny_spaces import TINY_SPACES

from study.data.datasets import Dataset
from study.errors import SpaceError
from study.models import FAMILIES
from study.search.spaces import check_space, try_branches
from study.space.bundled import bundled_spaces
from study.space.grammar import parse_space
from study.space.sampling import load_space


@pytest.mark.parametrize("name", sorted(bundled_spaces()))
def test_every_bundled_space_is_sound(name: str) -> None:
    check_space(load_space(bundled_spaces()[name]))


def test_there_is_a_space_for_every_family() -> None:
    assert set(bundled_spaces()) == set(FAMILIES)


def test_every_branch_of_a_tiny_space_trains(tiny_spaces: dict[str, Path], mnist_slice: Dataset) -> None:
    rows = list(try_branches(load_space(tiny_spaces["mlp"]), mnist_slice))
    assert {row["config"]["optimizer"] for row in rows} == {"sgd", "adamw"}
    assert {row["config"]["depth"] for row in rows} == {1, 2}
    assert all(row["parameters"] > 0 and row["flops"] > 0 for row in rows)


def test_a_batch_larger_than_the_data_trains_too(tiny_spaces: dict[str, Path], mnist_slice: Dataset) -> None:
    few = Dataset("few", mnist_slice.images[:40], mnist_slice.labels[:40], mnist_slice.classes, {})
    assert list(try_branches(load_space(tiny_spaces["cnn"]), few))


def changed(tiny_spaces: dict[str, Path], before: str, after: str) -> str:
    text = tiny_spaces["cnn"].read_text()
    assert before in text
    return text.replace(before, after)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('family = "cnn"', 'family = "vit"', "key 'family': seen 'vit', expected one of cnn, mixer, mlp"),
        ("residual = false", "residual = false\ncolour = 3", "key 'colour': unknown to family 'cnn'"),
        ("kernel_size = 3", "kernel_size = 4", "kernel_size"),
        ('optimizer = "adamw"', 'optimizer = { choices = ["adamw", "lion"] }', "'lion'"),
        ("low = 1e-3, high = 5e-2", "low = -1.0, high = 5e-2", "learning_rate"),
        ("batch_size = 32", "", "missing key 'batch_size'"),
        ("low = 4, high = 8 }", "low = 4, high = 5000 }", "width"),
    ],
)
def test_a_space_that_its_family_cannot_use_is_refused_with_its_file(
    tiny_spaces: dict[str, Path], before: str, after: str, message: str
) -> None:
    with pytest.raises(SpaceError, match=r"mine\.toml") as caught:
        check_space(parse_space(changed(tiny_spaces, before, after).replace(", log = true", ""), "mine.toml"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("family", "before", "after", "said"),
    [
        ("cnn", "batch_size = 32", 'batch_size = "32"', "key 'batch_size': input should be a valid integer, seen '32'"),
        ("cnn", "batch_size = 32", "batch_size = 32.0", "key 'batch_size': input should be a valid integer, seen 32.0"),
        ("cnn", "batch_size = 32", "batch_size = true", "key 'batch_size': input should be a valid integer, seen true"),
        ("cnn", "low = 4, high = 8", "low = 4.0, high = 8.0", "key 'width': input should be a valid integer, seen 4.0"),
        ("cnn", "low = 4, high = 8", "low = 4, high = 8.0", "key 'width': input should be a valid integer, seen 4.0"),
        ("mlp", "low = 8, high = 32", "low = 8.0, high = 32.0", "key 'width': input should be a valid integer"),
        ("cnn", "dropout = 0.0", 'dropout = "0.1"', "key 'dropout': input should be a valid number, seen '0.1'"),
        (
            "cnn",
            "dropout = 0.0",
            'dropout = { choices = ["0.1", 0.2] }',
            "key 'dropout': input should be a valid number",
        ),
        ("cnn", "dropout = 0.0", "dropout = true", "key 'dropout': input should be a valid number, seen true"),
        (
            "cnn",
            "dropout = 0.0",
            "dropout = { choices = [0, 0.0] }",
            "key 'dropout': choices [0, 0.0] hold a value twice",
        ),
        ("cnn", "kernel_size = 3", "kernel_size = 3.0", "key 'kernel_size': input should be 3, seen 3.0"),
        ("cnn", "residual = false", "residual = 0", "key 'residual': input should be a valid boolean, seen 0"),
        (
            "mlp",
            "low = 1e-2\nhigh = 1.0\nlog = true",
            "low = -1.0\nhigh = 1.0",
            "key 'learning_rate[sgd]': input should be",
        ),
        ("mlp", "depth = 1\n", "depth = 1\ndropout = 0\n", None),
        ("mlp", 'when = { optimizer = "sgd" }', 'when = { optimizer = "sgd", dropout = "0" }', "when dropout"),
        ("cnn", "width = 8\n", "width = 8\nbatch_size = 32.0\n", "key 'batch_size of a warm_start': input should be"),
        ("cnn", "growth = 1.0", "growth = 1", None),
    ],
)
def test_what_is_called_sound_has_the_types_that_training_wants(
    family: str, before: str, after: str, said: str | None
) -> None:
    text = TINY_SPACES[family]
    assert before in text
    space = parse_space(text.replace(before, after, 1), "mine.toml")
    if said is None:
        check_space(space)
        return
    with pytest.raises(SpaceError, match=r"^mine\.toml: key '") as caught:
        check_space(space)
    assert said in str(caught.value)


def test_a_branch_that_cannot_be_trained_is_named(
    tiny_spaces: dict[str, Path], mnist_slice: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no kernel")

    monkeypatch.setattr("study.search.spaces.fit", fail)
    with pytest.raises(SpaceError, match=r"the branch \{'family': 'cnn'.*cannot be trained: no kernel"):
        next(iter(try_branches(load_space(tiny_spaces["cnn"]), mnist_slice)))
