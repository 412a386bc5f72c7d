"""The ladders that a search gives to families that a command adds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_spaces import TINY_SPACES

from study.records.ledger import Goal, Ledger
from study.records.paths import StudyFiles
from study.records.settings import StudySettings, save_settings
from study.space.grammar import parse_space
from study.stages.plan import SearchPlan
from study.stages.search import new_families

Settings = Callable[..., StudySettings]
MLP = {"mlp": TINY_SPACES["mlp"]}


def learning_from(settings: StudySettings, images: int | None) -> StudySettings:
    """The same of 50,000 training images, whose families' trials learn from so many."""
    families = {
        name: family.model_copy(update={"ladder": family.ladder.model_copy(update={"images": images})})
        for name, family in settings.families.items()
    }
    dataset = settings.dataset.model_copy(update={"n_train": 50_000})
    return settings.model_copy(update={"families": families, "dataset": dataset})


def search(settings: StudySettings, results: Path) -> Any:
    """A search of a study without a budget, to which the family cnn is added."""
    session = SimpleNamespace(
        settings=settings,
        files=StudyFiles(results / "new"),
        request=SimpleNamespace(results=results),
        ledger=Ledger(),
        new_spaces=[parse_space(TINY_SPACES["cnn"], "cnn.toml")],
        device=torch.device("cpu"),
        n_workers=2,
        n_at_once=2,
    )
    return SimpleNamespace(
        session=session, plan=SearchPlan(Goal(n_trials=4, families=("mlp", "cnn"))), goal=Goal(), first=None
    )


@pytest.mark.parametrize("images", [8_000, None])
def test_a_family_that_is_added_learns_from_as_many_images_as_those_that_are_there(
    images: int | None, make_settings: Settings, tmp_path: Path
) -> None:
    added, speeds = new_families(search(learning_from(make_settings(MLP), images), tmp_path))
    assert {name: family.ladder.images for name, family in added.items()} == {"cnn": images}
    assert speeds == {}


def test_families_of_a_new_study_learn_from_what_its_plan_says(make_settings: Settings, tmp_path: Path) -> None:
    added, _ = new_families(search(learning_from(make_settings({}), None), tmp_path))
    assert {name: family.ladder.images for name, family in added.items()} == {"cnn": 15_000}


@pytest.mark.parametrize("images", [8_000, None])
def test_a_study_begun_from_another_has_its_ladder_and_learns_from_as_many_images(
    images: int | None, make_settings: Settings, tmp_path: Path
) -> None:
    save_settings(learning_from(make_settings(), images), StudyFiles(tmp_path / "old").settings)
    added, _ = new_families(search(learning_from(make_settings({}, imported_from="old"), None), tmp_path))
    assert (added["cnn"].ladder.examples, added["cnn"].ladder.images) == ((100, 300, 900), images)
