"""Whose trials a database holds: studies named alike, folders that were copied, renamed or removed, older studies."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from bench import Settings, work
from optuna.storages import RDBStorage
from postgresql import PASSWORD, Server

from study.command.cli import main
from study.command.doctor import examine, set_aside
from study.errors import ResultsError, ResumeError
from study.execution.executors import InProcessExecutor
from study.records.paths import StudyFiles, prepare_results_folder
from study.records.settings import StudySettings, change_settings, load_settings, read_settings, save_settings
from study.records.trial import read_trials
from study.search.agreement import compare_all
from study.search.driver import Search
from study.search.identity import KEY, Owner, claim, stored_studies
from study.search.opening import open_for_work
from study.search.storage import open_storage, open_study, storage_url
from study.search.turns import Limits

Open = Callable[[str], RDBStorage]


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that several studies have in common."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shared.db"
    server: Server = request.getfixturevalue("postgresql")
    return server.url()


def drive(files: StudyFiles, settings: StudySettings, n_trials: int, url: str | None = None) -> list[str]:
    """As `study search` does it, up to so many trials a family; returns what was said."""
    said: list[str] = []
    prepare_results_folder(files.root)
    with contextlib.ExitStack() as resources:
        where = storage_url(files, url or settings.storage)
        opened = open_for_work(files, settings, where, said.append, resources)
        save_settings(opened.settings, files.settings)
        search = Search(files, opened.settings, opened.storage, read_trials(files.trials_jsonl), opened.lock.guarded)
        with InProcessExecutor(1, work) as executor:
            search.run(executor, Limits(n_trials=n_trials), lambda *_: None)
        compare_all(opened.storage, opened.settings, read_trials(files.trials_jsonl), files)
    return said


def again(files: StudyFiles, n_trials: int, url: str | None = None) -> list[str]:
    return drive(files, load_settings(files.settings), n_trials, url)


def counted(files: StudyFiles) -> Counter[str]:
    return Counter(record.family for record in read_trials(files.trials_jsonl) if record.counted)


def names(url: str, files: StudyFiles | None = None) -> set[str]:
    """The Optuna studies of a database; with `files` those that carry that study's identity."""
    storage = open_storage(url)
    try:
        wanted = None if files is None else load_settings(files.settings).id
        return {one.name for one in stored_studies(storage) if wanted is None or (one.owner and one.owner.id == wanted)}
    finally:
        storage.engine.dispose()


def forget_identities(files: StudyFiles, url: str) -> None:
    """Make a study what older versions wrote."""
    settings = read_settings(files.settings).model_copy(update={"id": None, "folder": None})
    save_settings(settings, files.settings)
    storage = open_storage(url)
    with storage.engine.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM study_user_attributes WHERE key = '{KEY}'")
    storage.engine.dispose()


@pytest.fixture
def study(tmp_path: Path, shared: str, make_settings: Settings) -> StudyFiles:
    """A study of two trials a family in the shared database."""
    files = StudyFiles(tmp_path / "results" / "tiny")
    drive(files, make_settings(storage=shared), 2)
    return files


@pytest.fixture
def own(files: StudyFiles, make_settings: Settings) -> StudyFiles:
    """A study of two trials a family in its own database."""
    drive(files, make_settings(), 2)
    return files


def test_every_optuna_study_carries_the_identity(study: StudyFiles, shared: str) -> None:
    settings = read_settings(study.settings)
    assert re.fullmatch("[0-9a-f]{32}", settings.id or "")
    assert settings.folder == str(study.root)
    assert names(shared, study) == {"tiny/mlp", "tiny/cnn"}
    assert again(study, 3) == []
    assert read_settings(study.settings) == settings
    assert counted(study) == {"mlp": 3, "cnn": 3}


@pytest.mark.parametrize("seed", [7, 8])
def test_a_study_of_the_same_name_elsewhere_is_refused_and_can_have_another(
    study: StudyFiles, shared: str, tmp_path: Path, make_settings: Settings, seed: int
) -> None:
    before = study.trials_jsonl.read_bytes()
    other = StudyFiles(tmp_path / "elsewhere" / "tiny")
    with pytest.raises(ResumeError) as caught:
        drive(other, make_settings(storage=shared, seed=seed), 2)
    said = str(caught.value)
    assert "\n" not in said
    assert f"last continued from {study.root} (still there); this is {other.root}" in said
    assert "choose another --name or another --storage" in said
    assert "--set-aside" not in said
    assert not other.exists()
    other = StudyFiles(other.root.with_name("second"))
    drive(other, make_settings(name="second", storage=shared, seed=seed), 2)
    assert counted(other) == {"mlp": 2, "cnn": 2}
    again(study, 2)
    assert study.trials_jsonl.read_bytes() == before


def command_in(said: str) -> list[str]:
    found = re.search("`(study doctor [^`]*)`", said)
    assert found is not None, said
    return shlex.split(found[1])[1:]


@pytest.mark.parametrize("older", [False, True])
def test_a_name_whose_folder_is_gone_is_freed_as_the_message_says(
    study: StudyFiles, shared: str, make_settings: Settings, monkeypatch: pytest.MonkeyPatch, older: bool
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    if older:
        forget_identities(study, shared)
    shutil.rmtree(study.root)
    with pytest.raises(ResumeError) as caught:
        drive(study, make_settings(storage=shared), 2)
    assert older or f"{study.root} (no longer there)" in str(caught.value)
    assert not study.exists()
    assert main(command_in(str(caught.value))) == 0
    drive(study, make_settings(storage=shared), 2)
    assert names(shared, study) == {"tiny/mlp", "tiny/cnn"}
    assert names(shared) == names(shared, study) | {"tiny.1/mlp", "tiny.1/cnn"}
    assert counted(study) == {"mlp": 2, "cnn": 2}


def test_a_name_is_not_freed_from_a_study_that_is_there(
    study: StudyFiles, shared: str, tmp_path: Path, make_settings: Settings
) -> None:
    assert set_aside(study, None).startswith("nothing to set aside")
    with pytest.raises(ResumeError, match=r"is continued from .*results/tiny \(still there\): choose another --name"):
        set_aside(StudyFiles(tmp_path / "elsewhere" / "tiny"), shared)
    assert names(shared) == {"tiny/mlp", "tiny/cnn"}
    with pytest.raises(ResultsError, match=r"study\.db is missing: give the database"):
        set_aside(StudyFiles(tmp_path / "elsewhere" / "tiny"), None)


def test_of_two_studies_begun_at_the_same_moment_one_gets_the_name(shared: str, open_url: Open) -> None:
    storage = open_url(shared)
    study_id = open_study(storage, "tiny/mlp", "accuracy", "maximize")._study_id
    first, second = Owner("a1", "/a/tiny", "there"), Owner("b2", "/b/tiny", "there")
    claim(storage, study_id, first)
    claim(storage, study_id, first)
    with pytest.raises(ResultsError, match="was begun at the same moment by another study, from /a/tiny on there"):
        claim(storage, study_id, second)
    assert stored_studies(storage)[0].owner == first


def test_doctor_says_what_a_folder_is(study: StudyFiles) -> None:
    def said(files: StudyFiles) -> str:
        rows = examine(files, None, None, None, named=True)
        assert next(row for row in rows if row["what"] == "database")["found"].startswith("4 finished trials agree")
        return str(next(row for row in rows if row["what"] == "study files")["found"])

    study.ledger.write_text("{}")
    study.samples.touch()
    assert said(study) == "tiny: 4 trials, every checksum holds"
    copy = StudyFiles(shutil.copytree(study.root, study.root.with_name("copy")))
    assert said(copy).endswith(f"; a copy, to be a study of its own; it was {study.root} when it was last continued")
    shutil.rmtree(study.root)
    assert "copy: 4 trials, every checksum holds; renamed or moved" in said(copy)


def test_a_copy_beside_its_original_is_a_study_of_its_own(study: StudyFiles, shared: str) -> None:
    before = study.trials_jsonl.read_bytes()
    copy = StudyFiles(shutil.copytree(study.root, study.root.with_name("copy")))
    assert "made from trials.jsonl" in " ".join(again(copy, 3))
    again(study, 2)
    assert study.trials_jsonl.read_bytes() == before
    one, other = read_settings(study.settings), read_settings(copy.settings)
    assert one.id != other.id
    assert (other.name, other.folder) == ("copy", str(copy.root))
    assert names(shared, copy) == {"copy/mlp", "copy/cnn"}
    assert names(shared, study) == {"tiny/mlp", "tiny/cnn"}
    assert copy.trials_jsonl.read_bytes().startswith(before)
    assert counted(copy) == {"mlp": 3, "cnn": 3}


def test_a_copy_of_the_same_name_takes_nothing_and_goes_on_as_it_is_told(study: StudyFiles, tmp_path: Path) -> None:
    copy = StudyFiles(shutil.copytree(study.root, tmp_path / "backup" / "tiny"))
    with pytest.raises(ResumeError, match="rename this folder and continue under its new --name"):
        again(copy, 3)
    renamed = StudyFiles(copy.root.rename(copy.root.with_name("again")))
    again(renamed, 3)
    assert counted(renamed) == {"mlp": 3, "cnn": 3}
    copy = StudyFiles(shutil.copytree(study.root, copy.root))
    again(copy, 3, f"sqlite:///{tmp_path}/another.db")
    assert counted(copy) == {"mlp": 3, "cnn": 3}
    again(study, 2)


def test_a_renamed_study_keeps_its_identity_and_its_trials(study: StudyFiles, shared: str) -> None:
    before = read_settings(study.settings)
    renamed = StudyFiles(study.root.rename(study.root.with_name("renamed")))
    assert again(renamed, 3) == []
    after = read_settings(renamed.settings)
    assert (after.id, after.name, after.folder) == (before.id, "renamed", str(renamed.root))
    assert names(shared) == {"renamed/mlp", "renamed/cnn"}
    assert counted(renamed) == {"mlp": 3, "cnn": 3}


def test_of_two_copies_whose_original_is_gone_one_goes_on_as_it(study: StudyFiles, shared: str) -> None:
    first = StudyFiles(shutil.copytree(study.root, study.root.with_name("first")))
    second = StudyFiles(study.root.rename(study.root.with_name("second")))
    again(first, 3)
    again(second, 4)
    assert counted(first) == {"mlp": 3, "cnn": 3}
    assert counted(second) == {"mlp": 4, "cnn": 4}
    assert names(shared, first) == {"first/mlp", "first/cnn"}
    assert names(shared, second) == {"second/mlp", "second/cnn"}


def test_a_study_can_move_to_another_database(own: StudyFiles, shared: str) -> None:
    again(own, 3, shared)
    assert names(shared, own) == {"tiny/mlp", "tiny/cnn"}
    assert counted(own) == {"mlp": 3, "cnn": 3}


# --- its own database ----------------------------------------------------------------------------------------------


def test_a_copy_gets_a_database_made_from_its_trials(own: StudyFiles) -> None:
    before = own.database.read_bytes()
    copy = StudyFiles(shutil.copytree(own.root, own.root.with_name("copy")))
    copy.database.write_bytes(before[: len(before) // 2])  # as if it had been written to meanwhile
    (said,) = again(copy, 3)
    assert said.startswith(f"{copy.root} is a copy of {own.root}")
    assert names(storage_url(copy, None)) == names(storage_url(copy, None), copy) == {"copy/mlp", "copy/cnn"}
    assert counted(copy) == {"mlp": 3, "cnn": 3}
    assert own.database.read_bytes() == before
    assert again(copy, 3) == []


def test_a_quasi_random_sequence_goes_on_in_a_copy(files: StudyFiles, make_settings: Settings) -> None:
    drive(files, make_settings(sampler="qmc"), 4)
    copy = StudyFiles(shutil.copytree(files.root, files.root.with_name("copy")))
    again(copy, 6)
    again(files, 6)
    assert [r.parameters for r in read_trials(copy.trials_jsonl)] == [
        r.parameters for r in read_trials(files.trials_jsonl)
    ]


def test_another_study_s_database_in_the_folder_is_replaced_as_the_message_says(
    own: StudyFiles, make_settings: Settings
) -> None:
    other = StudyFiles(own.root.parent / "other")
    drive(other, make_settings(name="tiny", seed=8), 2)  # called tiny when it was made
    shutil.copy(other.database, own.database)
    storage = open_storage(storage_url(own, None))
    with storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE studies SET study_name = replace(study_name, 'other/', 'tiny/')")
    storage.engine.dispose()
    with pytest.raises(ResumeError, match="is another one") as caught:
        again(own, 3)
    assert not next(row for row in examine(own, None, None, None, named=True) if row["what"] == "database")["sound"]
    main(command_in(str(caught.value)))
    again(own, 3)
    assert counted(own) == {"mlp": 3, "cnn": 3}


def test_trials_without_their_settings_are_not_a_new_study(own: StudyFiles, make_settings: Settings) -> None:
    kept = own.settings.read_bytes()
    own.settings.unlink()
    with pytest.raises(ResumeError, match=r"study\.toml is missing beside 4 trials.*restore it"):
        drive(own, make_settings(), 3)
    trials = own.trials_jsonl.read_bytes()
    own.trials_jsonl.unlink()
    with pytest.raises(ResumeError, match=r"restore .*study\.toml, or choose another --name"):
        drive(own, make_settings(), 3)
    own.settings.write_bytes(kept)
    own.trials_jsonl.write_bytes(trials)
    again(own, 3)


# --- older studies, which have no identity -------------------------------------------------------------------------


def test_an_older_study_is_adopted_if_its_trials_agree(study: StudyFiles, shared: str) -> None:
    forget_identities(study, shared)
    again(study, 3)
    assert names(shared, study) == {"tiny/mlp", "tiny/cnn"}
    assert counted(study) == {"mlp": 3, "cnn": 3}


def test_an_older_study_of_the_same_name_is_not_adopted(
    study: StudyFiles, shared: str, tmp_path: Path, make_settings: Settings
) -> None:
    forget_identities(study, shared)
    other = StudyFiles(tmp_path / "elsewhere" / "tiny")
    drive(other, make_settings(seed=9), 2)
    for settings in (load_settings(other.settings), make_settings(seed=8)):
        with pytest.raises(ResumeError, match=r"has trials that are not of .*elsewhere/tiny"):
            drive(other, settings, 3, shared)
        if other.exists():
            shutil.rmtree(other.root)
    again(study, 2)


@pytest.mark.parametrize("copied", [False, True])
def test_an_older_study_in_another_folder_was_renamed_or_copied(study: StudyFiles, shared: str, copied: bool) -> None:
    forget_identities(study, shared)
    place = study.root.with_name("later")
    later = StudyFiles(shutil.copytree(study.root, place) if copied else study.root.rename(place))
    change_settings(later.settings, single_family=True)  # what a command may write before it opens the database
    again(later, 3)
    assert counted(later) == {"mlp": 3, "cnn": 3}
    assert names(shared, later) == {"later/mlp", "later/cnn"}
    assert names(shared) == names(shared, later) | ({"tiny/mlp", "tiny/cnn"} if copied else set())
    if copied:
        again(study, 2)
        assert counted(study) == {"mlp": 2, "cnn": 2}


def test_an_older_study_in_its_own_database_goes_on_without_its_trials_file(own: StudyFiles) -> None:
    forget_identities(own, storage_url(own, None))
    own.trials_jsonl.unlink()
    again(own, 3)
    assert counted(own) == {"mlp": 3, "cnn": 3}


def test_an_older_database_that_disagrees_in_the_folder_is_damaged(own: StudyFiles) -> None:
    forget_identities(own, storage_url(own, None))
    storage = open_storage(storage_url(own, None))
    with storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trial_values SET value = 0.999")
    storage.engine.dispose()
    with pytest.raises(ResultsError, match="the database is damaged: rebuild it with"):
        again(own, 3)
