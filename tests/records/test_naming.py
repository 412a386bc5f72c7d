from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from study.errors import ResultsError, UsageError
from study.records.naming import default_name, default_study_name, find_study, lasting_word, with_its_name
from study.records.paths import StudyFiles, check_study_name
from study.records.settings import StudySettings, save_settings


def test_a_study_without_a_name_has_the_data_set_s_or_the_folder_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "digits" / "old").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "digits")
    assert default_name(None, None) == "mnist"
    assert default_name("kmnist", Path("elsewhere")) == "kmnist"
    for folder in (".", "old/..", "../digits/", str(tmp_path / "digits")):
        assert default_name(None, Path(folder)) == "digits"
    (tmp_path / "newest").symlink_to("digits")
    assert default_name(None, Path("../newest")) == "newest"


def test_a_folder_whose_name_no_study_may_have_gives_its_study_a_name_like_it() -> None:
    folders = {"my digits (2)": "my-digits-2", "_scans": "scans", "a" * 80: "a" * 64, "plain.v2": "plain.v2"}
    for folder, name in folders.items():
        assert default_study_name(None, Path(folder)) == check_study_name(name) == name
        assert default_name(None, Path(folder)) == folder  # the data set keeps the name that it has
    with pytest.raises(UsageError, match="choose another with --name"):
        check_study_name(default_study_name(None, Path("数字")))  # nothing usable is left of it


def test_a_source_is_a_name_under_the_results_folder_or_a_folder(
    files: StudyFiles, make_settings: Callable[..., StudySettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = files.root.parent
    old = StudyFiles(results / "old")
    save_settings(make_settings(name="old"), old.settings)
    assert find_study("old", results) == old
    assert lasting_word("old", results) == "old"
    monkeypatch.chdir(results)
    for word in ("./old", str(old.root), "../results/old"):
        assert find_study(word, Path("elsewhere")).root.samefile(old.root)
        assert lasting_word(word, Path("elsewhere")) == str(old.root)
    assert lasting_word("old", Path("elsewhere")) == str(old.root)
    with pytest.raises(ResultsError, match=r"study 'absent' is missing \(no .*absent/study\.toml"):
        find_study("absent", results)
    assert lasting_word("absent", results) == "absent"


def test_commands_in_a_text_name_the_study_that_it_is_about() -> None:
    text = "gone; rerun `study retrain`, `study run --no-evaluate` or `study predict`, see `study status --name other`"
    assert with_its_name(text, StudyFiles(Path("results/mnist"))) == text
    named = with_its_name(text, StudyFiles(Path("far/two words")))
    flags = "--name 'two words' --results far"
    assert named == (
        f"gone; rerun `study retrain {flags}`, `study run {flags} --no-evaluate` or `study predict`, "
        "see `study status --name other`"
    )
    assert with_its_name(named, StudyFiles(Path("results/b"))) == named
