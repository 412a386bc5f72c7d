from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import tomli_w
from pydantic import ValidationError

from study.command.durations import parse_duration
from study.errors import ResultsError, UsageError
from study.records.paths import StudyFiles
from study.records.settings import Ladder, StudySettings, load_settings, plain, read_settings, save_settings

HOSTILE = 'family = "mlp"\n# \'\'\'three\'\'\' """quotes""" back\\slash\ttab ü {{7*7}} <script>\n\n[x]\n'


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("0.5h", 1800),
        (" 2m5s ", 125),
        ("1h5s", 3605),
        ("0.5s", 0.5),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("5", "5s or 5m or 5h"),
        ("0.5", "0.5s or 0.5m or 0.5h"),
        ("1h30", "1h30s or 1h30m"),
        ("1h 30", "1h30s or 1h30m"),
        ("2m5", "2m5s"),
        ("5M", "5m"),
        ("5 m", "5m"),
        ("1m1h", "1h1m"),
        ("30M1H", "1h30m"),
    ],
)
def test_what_a_duration_probably_means_is_said_and_is_one(text: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"expected {meant}$"):
        parse_duration(text)
    assert all(parse_duration(form) > 0 for form in meant.split(" or "))


@pytest.mark.parametrize(
    "text",
    ["", "0", "0m", "-5", "-5m", "5x", "m", "1h1h", "1e3s", "1.h", "inf", "nan", "٥m", "5min", "5m\n", "9" * 400 + "s"],
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match=r"expected a time above zero with its unit, such as 90s, 5m, 0\.5h or 1h30m"):
        parse_duration(text)


def test_settings_come_back_as_they_were(make_settings: Callable[..., StudySettings], tmp_path: Path) -> None:
    settings = make_settings({"mlp": HOSTILE, "cnn": "family = 'cnn'"}, imported_from="old", id="a1", folder="/b")
    save_settings(settings, tmp_path / "study.toml")
    assert read_settings(tmp_path / "study.toml") == settings


def test_a_study_is_named_as_its_folder_is_now(make_settings: Callable[..., StudySettings], tmp_path: Path) -> None:
    study = StudyFiles(tmp_path / "renamed")
    save_settings(make_settings(), study.settings)
    repeat = StudyFiles(study.root / "repeats" / "tiny-repeat-2")
    save_settings(make_settings(name="tiny-repeat-2", repeat_of="tiny"), repeat.settings)
    assert load_settings(study.settings) == make_settings(name="renamed")
    assert load_settings(repeat.settings) == make_settings(name="renamed-repeat-2", repeat_of="renamed")
    assert study.repeat(2) == repeat
    assert repeat.study_name == "renamed"
    alone = StudyFiles(repeat.root.rename(tmp_path / "tiny-repeat-2"))
    assert load_settings(alone.settings) == make_settings(name="tiny-repeat-2", repeat_of="tiny")


def test_what_is_not_set_is_not_written(make_settings: Callable[..., StudySettings], tmp_path: Path) -> None:
    save_settings(make_settings(), tmp_path / "study.toml")
    assert "imported_from" not in (tmp_path / "study.toml").read_text()
    assert load_settings(tmp_path / "study.toml").imported_from is None


def _set(table: dict[str, object], key: str, value: object) -> None:
    *path, last = key.split(".")
    for part in path:
        table = table[part]  # type: ignore[assignment]
    table[last] = value


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("colour", "red", "unknown key 'colour'"),
        ("dataset.n_train", 0, "key 'dataset.n_train'"),
        ("sampler", "cma", "seen 'cma'"),
        ("families.mlp.ladder.reduction_factor", 1, "reduction_factor"),
        ("format_version", 3, "format_version"),
    ],
)
def test_a_wrong_key_is_named_with_its_file(
    make_settings: Callable[..., StudySettings], tmp_path: Path, key: str, value: object, message: str
) -> None:
    table = make_settings().model_dump(exclude_none=True)
    _set(table, key, value)
    path = tmp_path / "study.toml"
    path.write_text(tomli_w.dumps(table))
    with pytest.raises(ResultsError, match=message) as caught:
        load_settings(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_new_study_is_of_form_2_and_one_that_does_not_say_of_form_1(
    make_settings: Callable[..., StudySettings], tmp_path: Path
) -> None:
    assert make_settings().format_version == 2
    for form in (2, 1):
        save_settings(make_settings(format_version=form), tmp_path / "study.toml")
        assert load_settings(tmp_path / "study.toml").format_version == form
    text = (tmp_path / "study.toml").read_text()
    (tmp_path / "study.toml").write_text(text.replace("format_version = 1\n", ""))
    assert load_settings(tmp_path / "study.toml").format_version == 1


def test_a_missing_key_is_named(make_settings: Callable[..., StudySettings], tmp_path: Path) -> None:
    table = make_settings().model_dump(exclude_none=True)
    del table["dataset"]["std"]
    (tmp_path / "study.toml").write_text(tomli_w.dumps(table))
    with pytest.raises(ResultsError, match=r"missing key 'dataset\.std'"):
        load_settings(tmp_path / "study.toml")


def test_settings_that_an_editor_marked_as_utf_8_are_read(
    make_settings: Callable[..., StudySettings], tmp_path: Path
) -> None:
    save_settings(make_settings(), tmp_path / "study.toml")
    text = (tmp_path / "study.toml").read_text(encoding="utf-8")
    (tmp_path / "study.toml").write_text(text, encoding="utf-8-sig")
    assert read_settings(tmp_path / "study.toml") == make_settings()


def test_a_file_that_is_missing_or_no_toml(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="there is no study here"):
        load_settings(tmp_path / "study.toml")
    for content in (b"a = = 1", b"\xff\xfe"):
        (tmp_path / "study.toml").write_bytes(content)
        with pytest.raises(ResultsError, match="is not TOML"):
            load_settings(tmp_path / "study.toml")


def test_settings_cannot_be_changed(make_settings: Callable[..., StudySettings]) -> None:
    with pytest.raises(ValidationError):
        make_settings().seed = 1  # type: ignore[misc]


def test_a_ladder_needs_a_rung() -> None:
    with pytest.raises(ValidationError):
        Ladder(examples=(), reduction_factor=3)


def test_plain_is_what_a_file_gives_back() -> None:
    assert plain({"a": (1, [(2,)]), "b": {"c": ()}}) == {"a": [1, [[2]]], "b": {"c": []}}
