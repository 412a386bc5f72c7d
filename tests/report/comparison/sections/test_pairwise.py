from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import compare, right
from scipy import stats as scipy_stats
from synthetic import Wanted, write_study

from study.records.files import write_npz
from study.records.paths import StudyFiles

Comparisons = Callable[[str], dict[str, Any]]
Compared = Callable[[str], list[StudyFiles]]


def pair_of(found: dict[str, Any], a: str, b: str) -> dict[str, Any]:
    return next(pair for pair in found["pairwise"]["pairs"] if {pair["a"], pair["b"]} == {a, b})


def copies(tmp_path: Path) -> list[StudyFiles]:
    """A study and a copy of its folder."""

    original = write_study(tmp_path / "original", Wanted(trials=6))
    shutil.copytree(original.root, tmp_path / "copy")
    return [original, StudyFiles(tmp_path / "copy")]


def test_a_difference_and_its_interval_by_hand(comparison: Comparisons, compared_files: Compared) -> None:
    """D, SE² = var(d)/n + g_A + g_B, and t with the degrees of freedom of the seed part, as METHOD.md writes them."""
    short, long = compared_files("clear win")
    pair = pair_of(comparison("clear win"), "short/cnn", "long/cnn")
    a, b = right(long, "cnn").astype(float), right(short, "cnn").astype(float)
    assert (pair["a"], pair["b"]) == ("long/cnn", "short/cnn")
    d = a.mean(axis=0) - b.mean(axis=0)
    n, seeds = len(d), len(a)
    excess = []
    for one in (a, b):
        share = one.mean(axis=0)
        flips = (seeds / (seeds - 1) * share * (1 - share)).mean()
        excess.append(max(0.0, one.mean(axis=1).var(ddof=1) / seeds - flips / (n * seeds)))
    variance = d.var(ddof=1) / n + sum(excess)
    spread = sum(g**2 for g in excess) / (seeds - 1)
    df = min(n - 1, variance**2 / spread) if spread else n - 1
    assert pair["comparison"]["difference"] == pytest.approx(d.mean())
    half = scipy_stats.t.ppf(0.975, df) * variance**0.5
    assert pair["comparison"]["interval95"] == pytest.approx([d.mean() - half, d.mean() + half])


@pytest.mark.parametrize("name", ["clear win", "three", "another draw"])
def test_every_pair_of_different_studies_has_intervals_and_no_test(name: str, comparison: Comparisons) -> None:
    found = comparison(name)
    pairs = found["pairwise"]["pairs"]
    finalists = [row["id"] for row in found["leaderboard"]["rows"]]
    expected = {
        frozenset(pair)
        for pair in itertools.combinations(finalists, 2)
        if pair[0].split("/")[0] != pair[1].split("/")[0]
    }
    assert {frozenset((pair["a"], pair["b"])) for pair in pairs} == expected
    for pair in pairs:
        assert {"holm_p", "verdict"} & pair.keys() == set()
        assert {"t", "p_value"} & pair["comparison"].keys() == set()
        low, high = pair["comparison"]["interval95"]
        assert (pair["reading"]["label"] == "ahead") == (low > 0 or high < 0)


def test_pairs_of_winners_come_first_and_the_first_of_a_pair_leads(comparison: Comparisons) -> None:
    pairs = comparison("three")["pairwise"]["pairs"]
    assert [pair["winners"] for pair in pairs] == sorted((pair["winners"] for pair in pairs), reverse=True)
    assert sum(pair["winners"] for pair in pairs) == 3
    assert all(pair["comparison"]["difference"] >= 0 for pair in pairs)


def test_other_images_are_never_paired(comparison: Comparisons) -> None:
    found = comparison("other images")
    assert found["pairwise"]["pairs"] == []
    assert [(row["a"], row["b"]) for row in found["pairwise"]["untested"]] == [("study digits", "study clothes")]


def test_a_network_is_not_tested_against_its_copy(tmp_path: Path) -> None:
    found = compare(copies(tmp_path))
    assert {frozenset((pair["a"], pair["b"])) for pair in found["pairwise"]["pairs"]} == {
        frozenset(("original/cnn", "copy/mlp")),
        frozenset(("original/mlp", "copy/cnn")),
    }
    assert [row["kind"] for row in found["pairwise"]["untested"]] == ["same network", "same network"]
    assert "are the same network" in found["findings"]["answer"]


def test_one_configuration_trained_by_two_studies_is_named(comparison: Comparisons) -> None:
    found = comparison("same configuration")
    assert pair_of(found, "one/cnn", "two/cnn")["same_configuration"]
    assert not pair_of(found, "one/cnn", "two/mlp")["same_configuration"]
    assert not any(pair["same_configuration"] for pair in comparison("another draw")["pairwise"]["pairs"])


@pytest.mark.parametrize("known_to", ["short", "long"])
def test_pairs_are_clustered_by_the_groups_that_either_study_knows(
    known_to: str, tmp_path: Path, compared_files: Compared, comparison: Comparisons
) -> None:
    studies = [StudyFiles(shutil.copytree(one.root, tmp_path / one.name)) for one in compared_files("clear win")]
    (files,) = (one for one in studies if one.name == known_to)
    with np.load(files.predictions) as arrays:
        held = dict(arrays)
    write_npz(files.predictions, {**held, "groups": np.arange(len(held["labels"])) // 20})
    clustered, alone = (
        pair_of(found, "short/cnn", "long/cnn")["comparison"] for found in (compare(studies), comparison("clear win"))
    )
    assert (alone["groups"], clustered["groups"]) == (None, 100)
    assert clustered["difference"] == pytest.approx(alone["difference"])
    assert clustered["se"] != alone["se"]
