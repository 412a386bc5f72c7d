from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from synthetic import Wanted, write_study
from trials import trial, write_trials

from study.records.settings import change_settings, load_settings
from study.report.page import make
from study.report.rendering import render
from study.report.section import Report
from study.report.sections import families

Made = Callable[[str], Report]


def test_trials_are_counted_by_state_and_role(case_made: Made) -> None:
    row = case_made("clear win")[families].families[0]
    assert (row.family, row.trials, len(row.warm_starts)) == ("cnn", 24, 1)
    assert row.best is not None
    assert row.best_sampled is not None
    assert row.best.value >= row.best_sampled.value
    assert row.best_sampled.role == "sampled"


def test_what_came_from_files_has_a_column_and_counts_among_the_given(tmp_path: Path) -> None:
    files = write_study(tmp_path / "study", Wanted(stage="searched", trials=4, warm_starts=0))
    write_trials(files.trials_jsonl, [trial(n, 0.5, family="cnn", role="given_file") for n in range(100, 112)])
    report = make(files)
    row = report[families].families[0]
    assert (row.from_files, row.n_given, len(row.given)) == (12, 12, families.SHOWN)
    page = render(report)
    assert "from files" in page
    assert "not found by its search, the best 10" in page


def test_a_space_whose_text_cannot_be_read_has_no_rows(tmp_path: Path) -> None:
    files = write_study(tmp_path / "study", Wanted(stage="searched", trials=4))
    known = load_settings(files.settings).families
    change_settings(
        files.settings, families={name: one.model_copy(update={"space": "= x"}) for name, one in known.items()}
    )
    assert [row.parameters for row in make(files)[families].families] == [(), ()]


def test_from_how_many_images_trials_learn_is_said_where_it_is_not_from_all(tmp_path: Path, case_made: Made) -> None:
    report = make(write_study(tmp_path / "part", Wanted(stage="searched", trials=4, images=15_000)))
    assert [row.images for row in report[families].families] == [15_000, 15_000]
    assert "in a search always the same ones: 15,000 for cnn, 15,000 for mlp." in render(report)
    assert "50,000 images train (15,000 of them the search's trials)" in render(report)
    whole = case_made("clear win")
    assert "images" not in whole[families].families[0].to_dict()
    assert "always the same ones" not in render(whole)
