"""The note and the figure that a search leaves in optuna-dashboard."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import optuna
import pytest
import sqlalchemy
from optuna.storages import RDBStorage
from optuna_dashboard import get_note
from optuna_dashboard._custom_plot_data import get_plotly_graph_objects
from runs import candidate, family_result, finalists
from trials import trial

from study.dashboard.publisher import Publisher, best_so_far, note_on_retraining
from study.records.finalists import FamilyResult
from study.records.paths import StudyFiles
from study.records.settings import StudySettings
from study.records.trial import Trials
from study.search.driver import Search


@pytest.fixture
def search(files: StudyFiles, storage: RDBStorage, make_settings: Callable[..., StudySettings]) -> Search:
    return Search(files, make_settings(), storage, Trials())


def test_both_are_in_the_stored_study_of_every_family_after_one_transaction(files: StudyFiles, search: Search) -> None:
    search.families["mlp"].records.append(trial(0, 0.5))
    commits: list[object] = []
    sqlalchemy.event.listen(search.storage.engine, "commit", commits.append)
    Publisher(files).publish(search, "searching")
    assert len(commits) == 1
    for name, family in search.families.items():
        assert get_note(family.stored).startswith(f"# Family {name} of study tiny: searching")
        figures = get_plotly_graph_objects(search.storage.get_study_system_attrs(family.stored._study_id))
        assert "Best so far, by family" in figures["best_so_far"]


def test_the_note_says_from_how_many_images_trials_learn_if_not_from_all(
    files: StudyFiles, storage: RDBStorage, make_settings: Callable[..., StudySettings]
) -> None:
    settings = make_settings()
    family = settings.families["mlp"]
    part = family.model_copy(update={"ladder": family.ladder.model_copy(update={"images": 15_000})})
    families = settings.families | {"mlp": part}
    search = Search(files, settings.model_copy(update={"families": families}), storage, Trials())
    Publisher(files).publish(search, "searching")
    notes = {name: get_note(found.stored) for name, found in search.families.items()}
    told = "accuracy on the validation split, learning from 15,000 of the training images; never"
    assert {name for name, note in notes.items() if told in note} == {"mlp"}


def test_it_is_published_now_and_then(files: StudyFiles, search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    now, cost, published = 1000.0, 0.1, []

    def publish(*_: object) -> None:
        nonlocal now
        published.append(now)
        now += cost

    publisher = Publisher(files)
    publisher.search(search)  # loads
    publisher._loading.join()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(publisher, "publish", publish)
    for _ in range(300):
        publisher.search(search)
        now += 0.25
    assert published[0] == 1000.0
    assert all(15 <= b - a < 16 for a, b in itertools.pairwise(published))
    cost, published = 1.0, []  # a slow database
    for _ in range(1500):
        publisher.search(search)
        now += 0.25
    assert 2 <= len(published) <= 4
    assert all(100 <= b - a < 102 for a, b in itertools.pairwise(published))


def notes_on(files: StudyFiles, storage: RDBStorage, row: FamilyResult, images: int | None) -> list[str]:
    studies = [optuna.create_study(study_name=f"{files.name}/{part}", storage=storage) for part in ("retrain", "final")]
    note_on_retraining(storage, files, finalists(mlp=row), {"mlp": images})
    return [get_note(study) for study in studies]


def test_final_runs_that_are_the_candidates_are_not_said_to_have_learned_from_the_validation_images(
    files: StudyFiles, storage: RDBStorage
) -> None:
    given = candidate(1, given=True)
    row = family_result(candidate(3), given, final_runs=("mlp-t3-seed0",))
    candidates, final = notes_on(files, storage, row, None)
    assert "mlp #3, the finalist" in candidates
    assert "mlp #1, given" in candidates
    assert "learning from" not in candidates
    assert "No runs of its own" in final
    assert "training loss" not in final


def test_final_runs_of_their_own_are_named_and_from_how_many_images_trials_learned(
    files: StudyFiles, storage: RDBStorage
) -> None:
    row = family_result(candidate(3), final_runs=("mlp-final-seed0",))
    candidates, final = notes_on(files, storage, row, 15_000)
    assert "% in the search, learning from 15,000 images" in candidates
    assert "learns from the validation images, too" in final
    assert "mlp-final-seed0" in final


def test_the_figure_has_the_steps_alone(search: Search) -> None:
    family = search.families["mlp"]
    values = [0.3, 0.5, 0.4, 0.5, 0.7, 0.6]
    family.records.extend(trial(number, value, held_seconds=1.0) for number, value in enumerate(values))
    family.records.insert(0, trial(6, 0.9, state="PRUNED", held_seconds=1.0))
    (line, empty) = best_so_far(list(search.families.values())).data
    assert list(zip(line.x, line.y, strict=True)) == [(1.0, 30.0), (2.0, 50.0), (5.0, 70.0), (7.0, 70.0)]
    assert len(empty.x) == 0
