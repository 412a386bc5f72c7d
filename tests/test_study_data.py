"""Where a study's data are: absent for a while, moved, renamed, of another kind than they seem."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from study.cli import main
from study.config import load_settings
from study.results import StudyFiles, read_json


def study(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.fixture
def flags(tmp_path: Path, tiny_spaces: dict[str, Path]) -> list[object]:
    """Of a small study named `one`, for verbs that work on it."""
    spaces = [word for path in tiny_spaces.values() for word in ("--space", path)]
    chosen = ["--families", "mlp,cnn"]
    return ["--name", "one", "--results", tmp_path / "results", "--workers", "1", "--quiet", *spaces, *chosen]


def test_a_study_goes_on_without_its_test_files_and_where_its_data_were_moved(
    tmp_path: Path, flags: list[object], write_idx: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    named = flags[:4]
    files = StudyFiles(tmp_path / "results" / "one")
    old, aside = write_idx(tmp_path / "digits"), tmp_path / "aside"
    aside.mkdir()
    for path in old.glob("t10k-*"):
        path.rename(aside / path.name)

    # A command that would open the test split says so before anything is trained; its advice works.
    assert study("run", *flags, "--n-trials", "2", "--data-dir", old) == 1
    assert "test-images are not in it" in (said := capsys.readouterr().err)
    assert "`study run --no-evaluate`" in said
    assert not files.root.exists()
    assert study("run", *flags, "--n-trials", "2", "--data-dir", old, "--no-evaluate") == 0
    assert set(load_settings(files.settings).dataset.sha256) == {"train-images", "train-labels"}
    assert study("doctor", *named) == 0
    capsys.readouterr()
    assert study("evaluate", *flags) == 1
    assert "test-images are not in it" in capsys.readouterr().err

    # The folder moves, and the test files come.
    new = tmp_path / "moved" / "numerals"
    new.parent.mkdir()
    old.rename(new)
    for path in aside.glob("t10k-*"):
        path.rename(new / path.name)
    for verb in ("evaluate", "export"):
        assert study(verb, *(flags if verb == "evaluate" else named)) == 1
        assert f"{old}, the folder with data set digits, does not exist: give its new place with --data-dir" in (
            capsys.readouterr().err
        )
    assert study("doctor", *named, "--format", "json") == 1
    assert [row["what"] for row in json.loads(capsys.readouterr().out) if not row["sound"]] == ["dataset"]
    assert study("run", *flags, "--n-trials", "2", "--data-dir", new) == 0
    found = load_settings(files.settings).dataset
    assert (found.name, found.data_dir) == ("digits", str(new))
    assert set(found.sha256) == {f"{split}-{what}" for split in ("train", "test") for what in ("images", "labels")}
    assert len(read_json(files.seal)["openings"]) == 1
    assert study("examine", *flags) == study("doctor", *named) == study("export", *named) == 0

    # A complete study learns a new place, too, and the model that it shipped; its name is not the folder's.
    link = tmp_path / "link"
    link.symlink_to(new)
    assert study("run", *flags, "--n-trials", "2", "--data-dir", link, "--dataset", "other-name") == 0
    assert load_settings(files.settings).dataset.data_dir == str(link)
    assert read_json(files.model / "model.json")["dataset"]["data_dir"] == str(link)

    # Other files in the new place are refused before anything else is done.
    changed = shutil.copytree(new, tmp_path / "changed")
    labels = changed / "t10k-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\0")
    capsys.readouterr()
    assert study("run", *flags, "--n-trials", "3", "--data-dir", changed) == 1
    assert f"{labels}: sha256 of the unpacked test-labels is" in capsys.readouterr().err
    assert load_settings(files.settings).dataset.data_dir == str(link)


def test_a_data_set_of_another_orientation_is_another_one(
    tmp_path: Path, flags: list[object], write_idx: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_idx(tmp_path / "digits")
    assert study("search", *flags, "--n-trials", "1", "--data-dir", data) == 0
    assert study("search", *flags, "--n-trials", "2", "--data-dir", data, "--dataset", "emnist-digits") == 1
    assert "was created with --dataset digits, seen emnist-digits" in capsys.readouterr().err
