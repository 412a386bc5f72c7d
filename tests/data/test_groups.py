"""Files of groups, and splits that keep a group on one side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from study.data.datasets import stratified_split
from study.data.groups import read_groups
from study.errors import DataError


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\n2\n", "2 lines for 3 images"),
        ("1\n2\n3\n\n", "4 lines for 3 images"),
        ("1\n\n3\n", "line 2: '', expected an integer"),
        ("1\n2.5\n3\n", "line 2: '2.5', expected an integer"),
        ("1\n2\n99999999999999999999\n", "line 3: '99999999999999999999', expected an integer"),
        ("7\n7\n7\n", "every image is in one group"),
        ("1\nä\n2\n", "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "train-groups.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_groups(path, 3)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "train-groups.txt" in str(caught.value)


@pytest.mark.parametrize("text", ["-1\n5\n5", "-1\r\n5\r\n5\r\n", " -1\n+5\n5\n"])
def test_integers_are_read_with_any_ends_of_lines(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t10k-groups.txt"
    path.write_bytes(text.encode())
    assert read_groups(path, 3).tolist() == [-1, 5, 5]


def _writers(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(n), rng.integers(20, 120, n)))
    return rng.integers(0, 10, len(groups)), groups


@pytest.mark.parametrize("seed", range(3))
def test_a_group_stands_on_one_side_and_classes_keep_their_shares(seed: int) -> None:
    labels, groups = _writers(60, seed)
    train, validation = stratified_split(labels, seed, groups=groups)
    assert sorted([*train, *validation]) == list(range(len(labels)))
    assert not set(groups[train]) & set(groups[validation])
    assert len(validation) == pytest.approx(len(labels) / 6, rel=0.2)
    shares = np.bincount(labels[validation]) / np.bincount(labels)
    assert shares == pytest.approx(1 / 6, abs=0.06)


def test_groups_take_turns_at_validating() -> None:
    labels, groups = _writers(60, 0)
    parts = [stratified_split(labels, 0, groups=groups, sixth=sixth)[1] for sixth in range(7)]
    assert parts[0].tolist() == stratified_split(labels, 0, groups=groups)[1].tolist()
    assert [len(part) for part in parts] == pytest.approx([len(labels) / 6] * 7, rel=0.2)
    writers = [set(groups[part]) for part in parts]
    assert len(set().union(*writers[:3])) == sum(map(len, writers[:3]))
    assert len(set().union(*writers[:6])) > 0.9 * 60
    assert writers[6] not in writers[:6]


def test_the_split_follows_its_seed() -> None:
    labels, groups = _writers(60, 0)
    first, again, other = (stratified_split(labels, seed, groups=groups)[1].tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_every_class_is_trained_on() -> None:
    """Class 9 is in one group of many: it trains."""
    labels, groups = _writers(30, 1)
    labels[labels == 9] = 8
    labels[groups == 4] = 9
    train, validation = stratified_split(labels, 0, groups=groups)
    assert 9 in labels[train]
    assert 9 not in labels[validation]


def test_too_few_groups_are_refused() -> None:
    labels, groups = np.arange(90) % 10, np.arange(90) % 3
    with pytest.raises(DataError, match="3 groups of training images are too few, or too large, to hold out 17%"):
        stratified_split(labels, 0, groups=groups)
