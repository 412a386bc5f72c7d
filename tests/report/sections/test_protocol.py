from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cases import Wanted
from synthetic import write_study

from study.report.page import make
from study.report.section import Report
from study.report.sections import classes, conclusion, protocol

Made = Callable[[str], Report]


def test_images_are_counted_by_class_and_part_as_far_as_they_are_known(case_made: Made) -> None:
    assert {part: sum(counts) for part, counts in case_made("examined")[protocol].counts.items()} == {
        "train": 50_000,
        "validation": 10_000,
        "test": 2000,
    }
    assert list(case_made("clear win")[protocol].counts) == ["test"]
    assert protocol.charts(case_made("validation only")[protocol]) == []


def test_the_planned_pairs_are_the_sealed_ones_or_all_that_there_are(case_made: Made) -> None:
    assert case_made("clear win")[protocol].planned == [["cnn", "mlp"]]
    assert case_made("searching")[protocol].planned == [["cnn", "mlp"]]
    assert len(case_made("three families")[protocol].planned) == 3


def test_the_rule_for_what_was_given_is_said_where_it_is_kept_apart(case_page: Callable[[str], str]) -> None:
    page = case_page("given apart")
    assert "its finalist may be a given one" in page
    assert "the first one of each family became its finalist" in page
    other = case_page("clear win")
    assert "What was given, such as a warm start" not in other
    assert "the first one of each family became its finalist" in other


def test_a_search_that_drew_nothing_is_not_called_one_that_has_not_begun(tmp_path: Path) -> None:
    made = make(write_study(tmp_path / "given", Wanted(apart=True, warm_starts=2, trials=2)))
    assert protocol.finding(made[protocol], made) == "The search has drawn no trial: only what was given was trained."
    assert (
        made[conclusion]
        .future[0]
        .text.endswith("give it more time with study run --name given --budget 10m --no-evaluate")
    )
    page = made[classes].pages["cnn"]
    assert (
        page.about_groups
        == "Errors by group: the halves of MNIST's test images differ in their writers and in difficulty"
    )


def test_before_retraining_no_family_has_a_schedule(case_made: Made) -> None:
    found = case_made("searching")[protocol]
    assert (found.examples("cnn"), found.retrain_seconds["cnn"]) == (None, None)
    assert case_made("clear win")[protocol].examples("cnn") == 250_000
