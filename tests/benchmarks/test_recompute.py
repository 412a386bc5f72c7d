"""The recomputation agrees with what the program reports, and names what was changed in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recompute import Files, recompute
from synthetic import Wanted, write_study

from study.records.trial import read_trials
from study.records.trials_csv import write_trials_csv
from study.report.page import write_report

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wanted = Wanted(accuracy={"cnn": 0.994, "mlp": 0.983, "mixer": 0.984}, trials=12)
    files = write_study(tmp_path_factory.mktemp("results") / "whole", wanted)
    write_trials_csv(files, read_trials(files.trials_jsonl), 1)
    write_report(files)
    return files.root


@pytest.fixture
def differences(root: Path) -> Callable[[Change], list[str]]:
    """What differs once the report's numbers are changed in memory."""

    def find(change: Change) -> list[str]:
        files = Files(root)
        change(files.report)
        return recompute(files).differences

    return find


def test_an_unchanged_report_agrees_in_every_topic(root: Path) -> None:
    checks = recompute(Files(root))
    assert checks.differences == []
    assert set(checks.agreed) == {
        "accuracy and intervals",
        "macro scores",
        "resampled",
        "calibration",
        "optimism",
        "pairwise",
        "Holm",
        "McNemar",
        "verdicts",
        "per class",
        "hardest images",
        "search",
        "sentences on the page",
        "figures in prose",
    }


def test_a_report_without_its_raw_files_is_held_against_itself(root: Path, tmp_path: Path) -> None:
    for name in ("report.json", "report.html"):
        (tmp_path / name).write_bytes((root / name).read_bytes())
    checks = recompute(Files(tmp_path))
    assert checks.differences == []
    assert "pairwise" in checks.agreed
    assert "accuracy and intervals" not in checks.agreed


def set_at(*path: Any) -> Change:
    """Adds a little to the number at the end of a path into the report."""

    def change(report: Any) -> None:
        for key in path[:-1]:
            report = report[key]
        report[path[-1]] = report[path[-1]] + 0.003

    return change


@pytest.mark.parametrize(
    "path",
    [
        ("leaderboard", "rows", 0, "test", "accuracy", "se"),
        ("leaderboard", "rows", 0, "test", "macro_f1", "estimate"),
        ("leaderboard", "rows", 0, "test", "halves", 1, "mean"),
        ("pairwise", "pairs", 0, "comparison", "df"),
        ("pairwise", "pairs", 1, "holm_p"),
        ("pairwise", "pairs", 2, "single", "p_value"),
        ("pairwise", "optimism", "mlp", "length_and_luck"),
        ("classes", "families", "cnn", "scores", "recall", 3),
        ("calibration", "families", "mlp", "scaled", "ece"),
        ("calibration", "families", "mlp", "temperature"),
        ("hardest", "images", 0, "loss"),
        ("families", "families", 1, "best", "value"),
        ("fair", "curves", "mlp", "seconds"),
        ("health", "epochs_saved"),
    ],
)
def test_a_changed_number_is_found(path: tuple[Any, ...], differences: Callable[[Change], list[str]]) -> None:
    assert differences(set_at(*path))


def test_a_sentence_that_the_page_does_not_say_is_found(differences: Callable[[Change], list[str]]) -> None:
    def change(report: Any) -> None:
        report["findings"]["seeds"] = "Seeds hardly matter."

    (found,) = differences(change)
    assert "Seeds hardly matter." in found


def test_a_study_of_another_verdict_is_found(differences: Callable[[Change], list[str]]) -> None:
    def change(report: Any) -> None:
        report["pairwise"]["pairs"][0]["verdict"]["label"] = "too close to call"

    assert any(line.startswith("verdicts") for line in differences(change))


def test_it_needs_nothing_of_the_package() -> None:
    source = (Path(__file__).parents[2] / "benchmarks" / "recompute.py").read_text()
    assert "import study" not in source
    assert "from study" not in source
