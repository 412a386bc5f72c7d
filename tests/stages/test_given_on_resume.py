"""A study that exists, continued with --given."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_spaces import TINY_SPACES

from study.errors import ResumeError
from study.records.settings import StudySettings
from study.search.given import read_given
from study.space.grammar import parse_space
from study.stages.request import Request
from study.stages.session import _check_given

SPACES = {family: parse_space(text, f"{family}.toml") for family, text in TINY_SPACES.items()}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "mine.toml").write_text('family = "cnn"\nwidth = 6\nlearning_rate = 2e-2\n')
    return tmp_path / "mine.toml"


def request_of(*given: Path) -> Request:
    return Request(command="study run", started=time.monotonic(), name="tiny", given=given)


def test_the_same_file_and_no_file_continue(mine: Path, make_settings: Callable[..., StudySettings]) -> None:
    stored = make_settings(given="apart", given_files=(read_given(mine, SPACES).model_dump(),))
    _check_given(request_of(mine), stored)
    _check_given(request_of(), stored)


def test_a_study_that_kept_no_default_of_the_file_goes_on_with_it(
    mine: Path, make_settings: Callable[..., StudySettings]
) -> None:
    text = TINY_SPACES["cnn"].replace('augmentation = "none"', 'augmentation = { choices = ["none", "shift"] }')
    one = read_given(mine, {"cnn": parse_space(text, "cnn.toml")})
    partial = {key: value for key, value in one.config.items() if key != "augmentation"}
    assert partial != one.config
    before = one.model_copy(update={"config": partial}).model_dump()
    _check_given(request_of(mine), make_settings({"cnn": text}, given="apart", given_files=(before,)))


@pytest.mark.parametrize(
    ("fields", "change", "said"),
    [
        ({"given": "apart"}, "", "created with --given none, seen mine.toml: continue it with the same, or start"),
        ({}, "", "created with --given none, seen mine.toml"),
        (None, "width = 7", "created with --given mine.toml, seen mine.toml of another content: continue it with"),
    ],
)
def test_another_file_would_be_another_protocol(
    mine: Path, make_settings: Callable[..., StudySettings], fields: dict[str, Any] | None, change: str, said: str
) -> None:
    of_file = {"given": "apart", "given_files": (read_given(mine, SPACES).model_dump(),)}
    stored = make_settings(**(of_file if fields is None else fields))
    if change:
        mine.write_text(mine.read_text().replace("width = 6", change))
    with pytest.raises(ResumeError, match=said):
        _check_given(request_of(mine), stored)
