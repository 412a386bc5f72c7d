"""Where a study's data are: absent for a while, moved, renamed, of another kind than they seem."""

from __future__ import annotations

import json
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from study.command.cli import main
from study.data.datasets import Dataset, load_train
from study.data.source import Source
from study.records.files import read_json
from study.records.paths import StudyFiles
from study.records.settings import load_settings, save_settings


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
    assert "leave the test split out with --no-evaluate" in said
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


@pytest.fixture(scope="module")
def odd_folder(tmp_path_factory: pytest.TempPathFactory, mnist_slice: Dataset) -> Path:
    """Dark ink on light paper, a class with one image, named classes, copies on both sides of both splits, blanks."""
    folder = tmp_path_factory.mktemp("odd") / "odd"
    folder.mkdir()
    labels = mnist_slice.labels
    first = torch.nonzero((labels[:300] < 4) & (labels[:300] > 0))[:, 0]
    train = torch.cat([torch.nonzero(labels == 0)[:1, 0], first, first[:20]])
    test = torch.cat([torch.arange(800, 860)[labels[800:860] < 4], first[:8]])
    blank = torch.zeros(1, 28, 28, dtype=torch.uint8)
    for stem, chosen in (("train", train), ("t10k", test)):
        images = 255 - torch.cat([mnist_slice.images[chosen], blank]).numpy()
        owners = np.append(labels[chosen].numpy(), 1).astype(np.uint8)
        header = struct.pack(">IIII", 0x803, *images.shape)
        (folder / f"{stem}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        (folder / f"{stem}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, len(owners)) + owners.tobytes())
    (folder / "classes.txt").write_text("\ufeffnought\nein s\n<b>two\n=three()\n", encoding="utf-8")
    return folder


def test_an_odd_data_set_goes_the_whole_way_and_every_oddity_is_said(
    tmp_path: Path, flags: list[object], odd_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loud = [flag for flag in flags if flag != "--quiet"]
    assert study("run", *loud, "--n-trials", "2", "--data-dir", odd_folder) == 0
    said = capsys.readouterr().err
    before, after = said.split("search …")
    assert "dark ink on light paper" in before
    assert "class 'nought' with 1 training image" in before
    assert re.search(r"8 of \d+ test images \(\d+\.?\d* %\) are also among the training images", before)
    assert "also in the part that is trained on" in before
    assert "blank images, all of one grey level: 1 training and 1 test" in before
    assert re.search(r"note: 8 of \d+ test images are also among the training images", after)
    assert "the report tells the accuracy on the others" in after

    files = StudyFiles(tmp_path / "results" / "one")
    data = load_settings(files.settings).dataset
    assert (data.inverted, data.classes) == (True, ("nought", "ein s", "<b>two", "=three()"))
    assert data.mean < 0.3
    report = read_json(files.report_json)
    assert report["protocol"]["inverted"]
    assert report["protocol"]["counts"]["validation"][0] == 0
    assert report["repeated"]["test_in_train"] == read_json(files.duplicates)["test_in_train"] == 8
    told = {item["flag"]: item["text"] for item in report["limits"]["items"]}
    assert {"test images trained on", "validation images trained on", "blank images"} <= told.keys()
    assert "On the others finalist " in told["test images trained on"]
    assert told["test images trained on"] in report["answer"]["caveats"]
    page = files.report_html.read_text(encoding="utf-8")
    assert "The files hold dark ink on light paper" in page
    assert "<b>two" not in page
    assert r"nought, ein s, \<b\>two, =three()" in (files.model / "MODEL_CARD.md").read_text(encoding="utf-8")

    # What the network was trained on, and what it reads, have the same form: bright ink.
    picture = tmp_path / "three.png"
    Image.fromarray(255 - load_train(Source.asked(None, odd_folder)).images[5].numpy()).save(picture)
    named = flags[:4]
    assert study("predict", picture, *named, "--save-input", tmp_path / "seen", "--format", "json") == 0
    row = json.loads(capsys.readouterr().out)[0]
    assert row["label"] == data.classes[row["digit"]]
    assert np.asarray(Image.open(next((tmp_path / "seen").iterdir())))[0].max() == 0
    assert study("export", *named) == 0

    # A renamed class in the file changes nothing of the study that was made.
    (odd_folder / "classes.txt").write_text("a\nb\nc\nd\n")
    assert study("run", *flags, "--n-trials", "2") == 0
    assert load_settings(files.settings).dataset.classes == data.classes

    # As an earlier version made it: it stays as it is, and that is said.
    older = load_settings(files.settings)
    old_data = older.dataset.model_copy(update={"inverted": False})
    save_settings(older.model_copy(update={"dataset": old_data}), files.settings)
    capsys.readouterr()
    assert study("search", *loud, "--n-trials", "2") == 0
    assert "note: this study reads its files' dark ink or grey ground as it is" in capsys.readouterr().err
    assert not load_settings(files.settings).dataset.inverted


def test_a_test_file_that_is_the_training_file_is_refused_before_anything_is_trained(
    tmp_path: Path, flags: list[object], write_idx: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_idx(tmp_path / "digits")
    for what in ("images-idx3", "labels-idx1"):
        shutil.copy(data / f"train-{what}-ubyte", data / f"t10k-{what}-ubyte")
    assert study("run", *flags, "--data-dir", data) == 1
    assert "the training and the test images are the same file" in capsys.readouterr().err
    assert study("data", "--data-dir", data) == 1
    assert not (tmp_path / "results").exists()
