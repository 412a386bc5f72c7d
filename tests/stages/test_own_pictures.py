"""A study of somebody's own pictures, from the folder to the report, and its copy of them through all that happens."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from study.command.cli import main
from study.data.datasets import Dataset
from study.data.folder import has_split
from study.data.source import Source
from study.errors import LockedError
from study.records.files import read_json
from study.records.locking import StudyLock
from study.records.paths import StudyFiles
from study.records.settings import StudySettings, load_settings, save_settings
from study.stages.own_pictures import complete_copy, make_copy, origin_of


def study(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.fixture
def pictures(tmp_path: Path, mnist_slice: Dataset) -> Path:
    """Dark on light, as people scan: 200 to train on, 100 to test, all from MNIST's training file."""
    folder = tmp_path / "numerals"
    for number in range(300):
        part = folder / ("train" if number < 200 else "test") / str(int(mnist_slice.labels[number]))
        part.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 - mnist_slice.images[number].numpy()).resize((40, 40)).save(part / f"{number}.png")
    return folder


@pytest.fixture
def flags(tmp_path: Path, tiny_spaces: dict[str, Path]) -> list[object]:
    spaces = [word for path in tiny_spaces.values() for word in ("--space", path)]
    return ["--results", tmp_path / "results", "--workers", "1", *spaces, "--families", "mlp,cnn", "--n-trials", "2"]


def test_a_study_of_pictures_keeps_a_copy_and_goes_on_with_that(
    tmp_path: Path, flags: list[object], pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = StudyFiles(tmp_path / "results" / "numerals")
    assert study("run", *flags, "--data-dir", pictures, "--dry-run") == 0
    assert str(files.pictures) in capsys.readouterr().out
    assert not files.root.exists()
    assert study("run", *flags, "--data-dir", pictures) == 0
    said = capsys.readouterr().err
    assert "200 of 200 training pictures are fitted to 28 x 28" in said
    assert "100 of 100 test pictures are fitted to 28 x 28" in said
    assert "dark ink on light paper" in said
    assert len(read_json(files.seal)["openings"]) == 1
    before = load_settings(files.settings).dataset
    assert before.decoded is not None
    assert (before.name, before.data_dir, before.decoded.folder) == ("numerals", str(files.pictures), str(pictures))

    # Renamed, without the folder that it came from, it is read and continued.
    moved = StudyFiles(tmp_path / "results" / "other")
    files.root.rename(moved.root)
    aside = pictures.rename(tmp_path / "aside")
    named = ["--name", "other", *flags[:2]]
    assert study("doctor", *named) == study("export", *named) == study("run", *flags, "--name", "other") == 0
    assert load_settings(moved.settings).dataset.data_dir == str(moved.pictures)

    # A lost copy is decoded again, if there is something to decode.
    shutil.rmtree(moved.pictures)
    capsys.readouterr()
    assert study("run", *flags, "--name", "other") == 1
    assert "is gone, and so are those in" in capsys.readouterr().err
    assert study("run", *flags, "--name", "other", "--data-dir", aside) == 0
    after = load_settings(moved.settings).dataset
    assert after.sha256 == before.sha256
    assert after.decoded is not None
    assert after.decoded.folder == str(aside)


def test_other_pictures_do_not_pass_for_those_of_the_study(
    flags: list[object], pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study("run", *flags, "--data-dir", pictures, "--no-evaluate") == 0
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(pictures / "train" / "0" / "more.png")
    assert study("run", *flags, "--data-dir", pictures) == 1
    assert "not the pictures that this study was created with" in capsys.readouterr().err
    assert study("run", *flags, "--name", "numerals") == 0


def test_without_a_test_part_it_is_a_study_of_validation_until_there_is_one(
    tmp_path: Path, flags: list[object], pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = StudyFiles(tmp_path / "results" / "numerals")
    aside = (pictures / "test").rename(tmp_path / "test")
    assert study("run", *flags, "--data-dir", pictures) == 0
    said = capsys.readouterr()
    assert "there is no test part, so this is a validation-only study, as with --no-evaluate" in said.err
    assert "the data set has no test part, so there is no verdict" in said.out
    assert not files.seal.exists()
    assert study("evaluate", *flags, "--name", "numerals") == 1
    assert "data set numerals has no test part: add test/<digit>/*.png" in capsys.readouterr().err
    aside.rename(pictures / "test")
    assert study("run", *flags, "--data-dir", pictures) == 0
    assert len(read_json(files.seal)["openings"]) == 1


def test_an_npz_is_read_where_it_lies(
    tmp_path: Path, flags: list[object], mnist_slice: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.npz"
    images, labels = mnist_slice.images.numpy(), mnist_slice.labels.numpy()
    np.savez(path, x_train=images[:200], y_train=labels[:200], x_test=images[200:300], y_test=labels[200:300])
    files = StudyFiles(tmp_path / "results" / "mine")
    assert study("run", *flags, "--data-dir", path) == 0
    assert len(read_json(files.seal)["openings"]) == 1
    assert load_settings(files.settings).dataset.data_dir == str(path)
    assert not files.pictures.exists()
    capsys.readouterr()
    assert study("run", *flags, "--name", "mine") == 0
    assert "this study is complete" in capsys.readouterr().err
    assert study("doctor", "--name", "mine", *flags[:2]) == 0


def test_an_error_leaves_no_folder_behind(
    tmp_path: Path, flags: list[object], pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "train" / "3" / "bad.png").write_text("no picture")
    assert study("run", *flags, "--data-dir", pictures) == 1
    assert "1 of 201 pictures cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "results" / "numerals").exists()


def test_what_else_is_wrong_with_a_new_study_leaves_no_copy_behind(
    tmp_path: Path,
    flags: list[object],
    pictures: Path,
    make_settings: Callable[..., StudySettings],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "mine.toml").write_text('family = "cnn"\ncolour = 3\n')
    assert study("run", *flags, "--data-dir", pictures, "--given", tmp_path / "mine.toml") == 1
    assert "mine.toml: key 'colour': unknown" in capsys.readouterr().err
    old = StudyFiles(tmp_path / "results" / "old")
    old.root.mkdir(parents=True)
    save_settings(make_settings(name="old"), old.settings)
    assert study("run", *flags, "--data-dir", pictures, "--from", "old") == 1
    assert "its dataset is not this study's" in capsys.readouterr().err
    assert not (tmp_path / "results" / "numerals").exists()


def test_what_a_killed_command_left_does_not_become_another_folder_s_test_part(
    files: StudyFiles, pictures: Path
) -> None:
    make_copy(pictures, files)
    shutil.rmtree(pictures / "test")
    make_copy(pictures, files)
    own = Source("numerals", files.pictures)
    assert (has_split(own, "train"), has_split(own, "test")) == (True, False)


def test_the_copy_of_a_study_that_another_command_creates_is_left_alone(files: StudyFiles, pictures: Path) -> None:
    make_copy(pictures, files)
    (pictures / "test").rename(pictures / "aside")
    with StudyLock(files), pytest.raises(LockedError, match="is in use by process"):
        make_copy(pictures, files)
    assert has_split(Source("numerals", files.pictures), "test")


def test_a_folder_that_has_changed_is_not_recorded_as_that_of_the_copy(
    files: StudyFiles, pictures: Path, make_settings: Callable[..., StudySettings]
) -> None:
    decoded = origin_of(pictures)
    make_copy(pictures, files)
    recorded = make_settings().dataset.model_copy(update={"decoded": decoded})
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(pictures / "train" / "0" / "more.png")
    assert complete_copy(None, recorded, files)[0] == recorded

    # Of what is decoded again it is.
    for path in files.pictures.glob("t10k-*"):
        path.unlink()
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(pictures / "test" / "0" / "more.png")
    after = complete_copy(None, recorded, files)[0].decoded
    assert after is not None
    assert after.listing == decoded.listing | {"test": origin_of(pictures).listing["test"]}
