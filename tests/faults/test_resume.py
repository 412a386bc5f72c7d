"""What makes another comparison is refused with the difference; what does not is warned of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from postgresql import PASSWORD

from study.errors import ResumeError
from study.records.paths import StudyFiles
from study.records.settings import FamilySettings, Ladder, StudySettings, load_settings, save_settings
from study.space.parameters import SearchSpace
from study.stages.request import Request
from study.stages.session import Session, open_session

Ask = Callable[..., Session]


def family_of(space: SearchSpace) -> FamilySettings:
    ladder = Ladder(examples=(100, 300), reduction_factor=3)
    return FamilySettings(space_file=f"{space.family}.toml", space=Path(space.source).read_text(), ladder=ladder)


@pytest.fixture
def ask(tmp_path: Path, tiny_spaces: dict[str, Path], write_idx: Callable[[Path], Path]) -> Ask:
    """Opens a study that exists, as a command with these flags would."""
    write_idx(tmp_path / "digits")
    asked = {"command": "study run", "started": 0.0, "name": "tiny", "results": tmp_path / "results"}
    asked |= {"data_dir": tmp_path / "digits", "spaces": tuple(tiny_spaces.values())}

    def open_one(**flags: Any) -> Session:
        with open_session(Request(**{**asked, **flags})) as session:
            if session.new_spaces:
                session.save_settings({space.family: family_of(space) for space in session.new_spaces})
            return session

    open_one()
    return open_one


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"seed": 7}, "--seed 0, seen 7"),
        ({"split_seed": 3}, "--split-seed 0, seen 3"),
        ({"sampler": "random"}, "--sampler tpe, seen random"),
        ({"pruner": "median"}, "--pruner asha, seen median"),
        ({"dataset": "mnist", "data_dir": None}, "--dataset digits, seen mnist"),
        ({"imported_from": "old"}, "--from None, seen old"),
    ],
)
def test_another_comparison_is_refused(ask: Ask, flags: dict[str, Any], said: str) -> None:
    with pytest.raises(ResumeError, match=f"created with {said}: continue it with the same"):
        ask(**flags)


def with_version(files: StudyFiles, package: str, version: str) -> None:
    settings = load_settings(files.settings)
    save_settings(settings.model_copy(update={"versions": {**settings.versions, package: version}}), files.settings)


@pytest.mark.parametrize("package", ["torch", "optuna"])
def test_another_major_version_is_refused(ask: Ask, package: str) -> None:
    with_version(ask().files, package, "1.13.0")
    with pytest.raises(ResumeError, match=f"created with {package} 1.13.0, this is .*install that major version"):
        ask()


def test_another_minor_version_is_warned_of_and_recorded(ask: Ask) -> None:
    major = torch.__version__.split(".")[0]
    with_version(ask().files, "torch", f"{major}.0.0")
    session = ask()
    assert [warning for warning in session.warnings if warning.startswith(f"torch was {major}.0.0")]
    assert session.ledger.commands[-1].versions["torch"] != f"{major}.0.0"


@pytest.mark.parametrize("flags", [{"workers": 1}, {"budget": 60.0}, {"n_trials": 9}])
def test_what_is_free_is_free(ask: Ask, flags: dict[str, Any]) -> None:
    assert ask(**flags).warnings == []


def test_a_storage_is_kept_once_it_could_be_opened(ask: Ask) -> None:
    session = ask(storage=f"postgresql+psycopg://u:{PASSWORD}@h/db")
    assert load_settings(session.files.settings).storage is None
    session.keep_storage()
    assert load_settings(session.files.settings).storage == "postgresql+psycopg://u@h/db"
    again: StudySettings = ask().settings
    assert again.storage == "postgresql+psycopg://u@h/db"
