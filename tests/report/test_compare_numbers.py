"""The comparison's numbers against values computed here by other means from the same files."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import compare
from numpy.typing import NDArray
from scipy import stats as scipy_stats
from synthetic import Wanted, write_study

from study.records.paths import StudyFiles
from study.records.trial import read_trials
from study.report.comparison.entries import read_entries
from study.report.comparison.facts import Fact, Kind
from study.report.comparison.groups import why_unpaired
from study.report.comparison.sections.protocol import points
from study.report.comparison.spaces import space_summary

Comparisons = Callable[[str], dict[str, Any]]
Compared = Callable[[str], list[StudyFiles]]


def right(files: StudyFiles, family: str) -> NDArray[np.bool_]:
    """bool [S, N]: which seed of the finalist is right on which test image."""
    with np.load(files.predictions) as arrays:
        seeds = [arrays[name] for name in sorted(arrays.files) if name.startswith(f"{family}-final")]
        return np.stack([logits.argmax(axis=1) == arrays["labels"] for logits in seeds])


def pair_of(found: dict[str, Any], a: str, b: str) -> dict[str, Any]:
    return next(pair for pair in found["pairwise"]["pairs"] if {pair["a"], pair["b"]} == {a, b})


def protocol_row(found: dict[str, Any], key: str) -> dict[str, Any]:
    return next(row for row in found["protocol"]["rows"] if row["key"] == key)


# -- leaderboard ------------------------------------------------------------------------------------------------------


def test_all_finalists_of_all_studies_by_falling_test_accuracy(
    comparison: Comparisons, compared_files: Compared
) -> None:
    board = comparison("clear win")["leaderboard"]["rows"]
    by_hand = {
        f"{files.name}/{family}": right(files, family).mean()
        for files in compared_files("clear win")
        for family in ("cnn", "mlp")
    }
    assert [row["id"] for row in board] == sorted(by_hand, key=lambda key: -by_hand[key])
    assert [row["test"]["accuracy"]["mean"] for row in board] == pytest.approx(sorted(by_hand.values(), reverse=True))


def test_a_row_says_where_the_finalist_comes_from(comparison: Comparisons, compared_files: Compared) -> None:
    for row in comparison("three")["leaderboard"]["rows"]:
        files = next(files for files in compared_files("three") if files.name == row["study"])
        finalists = json.loads(files.finalists.read_text())
        assert row["trial"] == finalists["families"][row["family"]]["finalist"]
        assert row["winner"] == (row["family"] == finalists["winner"])


def test_each_set_of_test_images_has_a_leaderboard_of_its_own(comparison: Comparisons) -> None:
    found = comparison("three on two data sets")
    assert [group["studies"] for group in found["groups"]] == [["a", "b"], ["k"]]
    assert [row["group"] for row in found["leaderboard"]["rows"]] == [0, 0, 0, 0, 1]
    assert found["leaderboard"]["rows"][-1]["front"] == ["n_parameters", "flops"]


def test_a_sealed_study_stands_in_the_group_of_its_checksums_without_a_test_score(comparison: Comparisons) -> None:
    found = comparison("one sealed")
    assert found["groups"][0] | {"sha256": None, "labels_sha256": None} == {
        "datasets": ["mnist"],
        "studies": ["read", "sealed"],
        "read": ["read"],
        "n_test": 2000,
        "sha256": None,
        "labels_sha256": None,
    }
    sealed = [row for row in found["leaderboard"]["rows"] if row["study"] == "sealed"]
    assert [(row["test"], row["front"]) for row in sealed] == [(None, []), (None, [])]


def test_a_copy_and_its_original_are_said_to_share_their_trials(compared_files: Compared, tmp_path: Path) -> None:
    first, second = compared_files("clear win")
    copy = StudyFiles(shutil.copytree(first.root, tmp_path / "copy"))
    found = compare([first, second, copy])
    (shared,) = found["shared_trials"]
    assert shared == {"studies": [first.name, "copy"], "trials": len(read_trials(first.trials_jsonl))}
    (said,) = [item["text"] for item in found["limits"]["items"] if item["flag"] == "not independent"]
    assert said.startswith(f"Studies {first.name} and copy have {shared['trials']} trials in common")


# -- exploratory differences ------------------------------------------------------------------------------------------


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


def test_equal_checksums_with_other_labels_are_not_the_same_images(tmp_path: Path) -> None:
    studies = [write_study(tmp_path / name, Wanted(trials=6, draw=place)) for place, name in enumerate("ab")]
    with np.load(studies[1].predictions) as arrays:
        changed = dict(arrays)
    changed["labels"] = np.roll(changed["labels"], 1)
    np.savez(studies[1].predictions, **changed)
    found = compare(studies)
    assert found["pairwise"]["pairs"] == []
    assert "labels beside the predictions do not" in found["pairwise"]["untested"][0]["reason"]
    assert len(found["groups"]) == 2


def test_no_checksum_is_no_proof_of_the_same_images(tmp_path: Path) -> None:
    studies = [write_study(tmp_path / name, Wanted(trials=6, draw=place)) for place, name in enumerate("ab")]
    for files in studies:
        files.settings.write_text(files.settings.read_text().replace("test_images", "other_images"))
        seal = json.loads(files.seal.read_text())
        seal["openings"][0]["test_sha256"] = {}
        files.seal.write_text(json.dumps(seal))
    reason = why_unpaired(*read_entries(studies))
    assert reason is not None
    assert "no checksum" in reason


def copies(tmp_path: Path) -> list[StudyFiles]:
    """A study and a copy of its folder."""
    import shutil

    original = write_study(tmp_path / "original", Wanted(trials=6))
    shutil.copytree(original.root, tmp_path / "copy")
    return [original, StudyFiles(tmp_path / "copy")]


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


# -- costs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cost", ["n_parameters", "flops", "latency_p50_ms"])
def test_the_front_is_over_the_finalists_of_all_studies(cost: str, comparison: Comparisons) -> None:
    points = comparison("no latency")["cost"]["points"]
    known = [point for point in points if point[cost] is not None]
    for point in points:
        beaten = point[cost] is None or any(
            other["accuracy"] >= point["accuracy"]
            and other[cost] <= point[cost]
            and (other["accuracy"], other[cost]) != (point["accuracy"], point[cost])
            for other in known
        )
        assert (cost in point["front"]) == (not beaten)


def test_a_study_without_latency_keeps_its_other_costs(comparison: Comparisons) -> None:
    points = comparison("no latency")["cost"]["points"]
    assert {point["study"] for point in points if point["latency_p50_ms"] is None} == {"without"}
    assert all(point["flops"] is not None for point in points)


def test_latencies_of_different_processors_are_no_front(comparison: Comparisons) -> None:
    found = comparison("other processor")
    assert not found["cost"]["latency_comparable"]
    assert all(point["latency_p50_ms"] is None for point in found["cost"]["points"])
    assert all(row["latency_p50_ms"] is not None for row in found["leaderboard"]["rows"])
    assert not any("latency_p50_ms" in row["front"] for row in found["leaderboard"]["rows"])


# -- protocol ---------------------------------------------------------------------------------------------------------


def test_what_differs_is_what_was_made_to_differ(comparison: Comparisons) -> None:
    found = comparison("clear win")
    differing = {row["key"]: row["values"] for row in found["protocol"]["rows"] if row["differs"]}
    spaces = {key: differing.pop(key) for key in ("space.cnn", "space.mlp")}
    assert differing == {"budget_s": [300.0, 600.0], "allowance_s": [48.0, 108.0]}
    assert all(one["digest"] != other["digest"] for one, other in spaces.values())
    assert found["protocol"]["spaces"][0] == {
        "family": "cnn",
        "rows": [{"name": "activation", "when": "", "rules": ["one of relu, gelu, silu", "one of relu, tanh"]}],
    }


def test_a_family_that_a_study_lacks_is_told_once(comparison: Comparisons) -> None:
    found = comparison("three")
    assert protocol_row(found, "families")["differs"]
    mixer = protocol_row(found, "space.mixer")
    assert (mixer["values"][0], mixer["differs"]) == (None, False)


@pytest.mark.parametrize(
    ("kind", "values", "differs"),
    [
        ("count", [3, 3], False),
        ("count", [3, 4], True),
        ("count", [None, 4], True),
        ("count", [None, None], False),
        ("about count", [100_000, 105_000], False),
        ("about count", [100_000, 105_001], True),
        ("about seconds", [None, 60.0], True),
        ("about seconds", [None, None], False),
        ("list", [["a"], ["a"], ["b"]], True),
    ],
)
def test_planned_lengths_differ_from_five_per_cent_on_and_all_else_at_once(
    kind: Kind, values: list[Any], differs: bool
) -> None:
    known = [{"key": Fact("search", "label", kind, value)} for value in values]
    assert [point.differs for point in points(known)] == [differs]


def test_a_comment_does_not_make_another_space() -> None:
    text = 'family = "mlp"\ndepth = { low = 1, high = 3 }\ndropout = 0.1\n[[warm_start]]\ndepth = 2\n'
    same = space_summary("# known good\n" + text)
    assert same == space_summary(text)
    assert (same.searched, same.fixed, same.warm_starts) == (1, 1, 1)
    assert same.digest != space_summary(text.replace("high = 3", "high = 4")).digest


def test_a_space_that_is_no_toml_is_compared_as_text() -> None:
    assert space_summary("not toml").digest != space_summary("not toml either").digest
