"""Folders of IDX files: a known data set's own names and forms, the same as when it was downloaded."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import struct
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from study.data import datasets
from study.data.source import Source
from study.errors import DataError
from study.records.settings import DatasetSettings

LABELS = np.arange(10, dtype=np.uint8).repeat(2)


def idx_bytes(array: Any, kind: int = 8) -> bytes:
    array = np.asarray(array)
    values = array.astype(np.uint8 if kind == 8 else ">i4")
    return bytes((0, 0, kind, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + values.tobytes()


def pictures(size: int = 28) -> np.ndarray:
    """A lopsided picture for each label, bright on dark: row 1 is ink."""
    images = np.zeros((len(LABELS), size, size), np.uint8)
    images[:, 1, 2:-2] = 200 + LABELS[:, None]
    return images


def write(folder: Path, prefix: str, test: str = "test", images: np.ndarray | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    images = pictures() if images is None else images
    for stem, content in (("train", images), (test, images[::-1])):
        (folder / f"{prefix}{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(content)))
        (folder / f"{prefix}{stem}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(LABELS)))
    return folder


def offer(monkeypatch: pytest.MonkeyPatch, **classes: Any) -> None:
    """Stand in for torchvision's data sets."""
    module = types.ModuleType("torchvision.datasets")
    vars(module).update(classes)
    package = types.ModuleType("torchvision")
    package.datasets = module  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", module)


def refuse(root: str, download: bool, **_: Any) -> None:
    raise OSError("no route to host")


class Emnist:
    def __init__(self, root: str, download: bool, train: bool, split: str) -> None:
        self.data = torch.from_numpy(pictures().copy())
        self.targets = torch.from_numpy(LABELS.copy())


def test_emnist_from_a_folder_is_what_a_download_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, EMNIST=Emnist)
    downloaded = datasets.load_train("emnist-digits")
    offer(monkeypatch, EMNIST=refuse)
    with pytest.raises(DataError, match=r"name a folder with its files: --dataset emnist-digits --data-dir DIR"):
        datasets.load_train("emnist-digits")
    folder = write(tmp_path / "files", "emnist-digits-")
    found = datasets.load_train(Source.asked("emnist-digits", folder))
    assert found.images[:, 2:-2, 1].ge(200).all()
    assert torch.equal(found.images, downloaded.images)
    assert (found.classes, found.sha256) == (downloaded.classes, downloaded.sha256)
    assert datasets.load_test("emnist-digits", folder).images[0, 2:-2, 1].eq(209).all()


@pytest.mark.parametrize("place", ["", "EMNIST/raw"])
@pytest.mark.parametrize("prefix", ["", "emnist-letters-"])
def test_every_split_of_emnist_is_turned_upright(tmp_path: Path, place: str, prefix: str) -> None:
    write(tmp_path / place, prefix)
    found = datasets.load_train("emnist-letters", tmp_path)
    assert found.images[:, 2:-2, 1].ge(200).all()


def test_a_folder_s_name_says_nothing_about_its_files(tmp_path: Path) -> None:
    folder = write(tmp_path / "emnist-digits", "")
    assert datasets.load_train(Source.asked(None, folder)).images[:, 1, 2:-2].ge(200).all()


def test_another_data_set_s_file_names_are_recognised_and_the_advice_works(tmp_path: Path) -> None:
    folder = write(tmp_path / "x", "emnist-digits-")
    with pytest.raises(
        DataError, match=r"emnist-digits-test-images-idx3-ubyte\.gz is there: .* --dataset emnist-digits"
    ):
        datasets.load_train(Source.asked(None, folder))
    assert len(datasets.load_train(Source.asked("emnist-digits", folder))) == len(LABELS)


def test_a_study_made_before_orientation_was_recorded_stays_as_it_is(tmp_path: Path) -> None:
    folder = write(tmp_path / "x", "", "t10k")
    plain = datasets.load_train(Source.asked(None, folder))
    old = {"name": "emnist-digits", "data_dir": str(folder), "classes": plain.classes, "sha256": plain.sha256}
    counts = {"n_train": 16, "n_validation": 4, "split_seed": 0, "split_sha256": "0", "mean": 0.1, "std": 0.3}
    recorded = DatasetSettings(**old, **counts)
    assert torch.equal(datasets.load_train(Source.recorded(recorded)).images, plain.images)
    downloaded = recorded.model_copy(update={"data_dir": None, "sha256": {}})
    upright = datasets.load_train(Source.recorded(downloaded, folder))
    assert torch.equal(upright.images, plain.images.transpose(1, 2))


def test_qmnist_s_own_label_table_is_read(tmp_path: Path) -> None:
    write(tmp_path, "qmnist-")
    for split in ("train", "test"):
        (tmp_path / f"qmnist-{split}-labels-idx1-ubyte.gz").unlink()
        writers = 2100 + np.arange(len(LABELS)) // 2
        table = np.stack([LABELS.astype(int), LABELS, writers, *[np.full(len(LABELS), 70_000)] * 5], axis=1)
        (tmp_path / f"qmnist-{split}-labels-idx2-int.gz").write_bytes(gzip.compress(idx_bytes(table, 12)))
    train = datasets.load_train("qmnist", tmp_path)
    assert train.labels.tolist() == LABELS.tolist()
    assert train.groups.tolist() == writers.tolist()
    assert datasets.test_counts("qmnist", tmp_path).counts == (2,) * 10
    damaged = tmp_path / "qmnist-train-labels-idx2-int.gz"
    damaged.write_bytes(idx_bytes(np.full((20, 8), 1000), 12))
    with pytest.raises(DataError, match="labels from 1000 to 1000, expected 0 to 255"):
        datasets.load_train("qmnist", tmp_path)


def test_qmnist_50k_is_tested_on_what_follows_the_first_10_000_test_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def table(n: int) -> np.ndarray:
        return np.stack([np.arange(n) % 10, np.zeros(n, int), np.arange(n)], axis=1)

    for split, n in (("train", 20), ("test", 10_030)):
        pixels = np.arange(n, dtype=np.uint8)[:, None, None].repeat(2, 1).repeat(2, 2)
        (tmp_path / f"qmnist-{split}-images-idx3-ubyte").write_bytes(idx_bytes(pixels))
        (tmp_path / f"qmnist-{split}-labels-idx2-int").write_bytes(idx_bytes(table(n), 12))
    test = datasets.load_test("qmnist-50k", tmp_path)
    assert (len(test), len(datasets.load_test("qmnist", tmp_path))) == (30, 10_030)
    assert test.images[:, 0, 0].tolist() == [n % 256 for n in range(10_000, 10_030)]
    assert (test.labels.tolist(), test.groups.tolist()) == ([*range(10)] * 3, [*range(10_000, 10_030)])
    assert len(datasets.load_train("qmnist-50k", tmp_path)) == 20

    class Part:
        def __init__(self, root: str, download: bool, what: str) -> None:
            parts = {"train": pictures(2), "test50k": np.arange(10_000, 10_030).astype(np.uint8)[:, None, None]}
            self.data = np.broadcast_to(parts[what], (len(parts[what]), 2, 2)).copy()
            self.targets = torch.from_numpy(table(10_030)[-len(self.data) :])

    offer(monkeypatch, QMNIST=Part)
    assert datasets.load_test("qmnist-50k").sha256["test-labels"] == test.sha256["test-labels"]
    (tmp_path / "qmnist-test-labels-idx2-int").write_bytes(idx_bytes(table(10_000), 12))
    with pytest.raises(DataError, match=r"10,000 values, expected more than 10,000"):
        datasets.test_counts("qmnist-50k", tmp_path)


def test_groups_lie_in_text_beside_the_labels(tmp_path: Path) -> None:
    folder = write(tmp_path, "", "t10k")
    assert datasets.load_train("mine", folder).groups is None
    for split in ("train", "t10k"):
        (folder / f"{split}-groups.txt").write_text("".join(f"{number // 4 - 1}\n" for number in range(len(LABELS))))
    expected = (np.arange(len(LABELS)) // 4 - 1).tolist()
    assert datasets.load_train("mine", folder).groups.tolist() == expected
    assert datasets.load_test("mine", folder).groups.tolist() == expected
    (folder / "t10k-groups.txt").write_text("1\n2\n")
    with pytest.raises(DataError, match=r"t10k-groups\.txt: 2 lines for 20 images"):
        datasets.test_counts("mine", folder)


def test_usps_s_own_files_are_read(tmp_path: Path) -> None:
    rows = [f"{label + 1} " + " ".join(f"{k + 1}:{1 if k < 16 else -1}" for k in range(256)) + "\n" for label in LABELS]
    for name in ("usps.bz2", "usps.t.bz2"):
        (tmp_path / name).write_bytes(bz2.compress("".join(rows).encode()))
    found = datasets.load_train("usps", tmp_path)
    assert found.labels.tolist() == LABELS.tolist()
    assert found.images[:, 0].eq(255).all()
    assert found.images[:, 3:].eq(0).all()
    with pytest.raises(DataError, match=r"usps\.bz2: sha256 of the unpacked train-images is .*, expected 00"):
        datasets.load_train("usps", tmp_path, {"train-images": "00"})
    with pytest.raises(DataError, match="--dataset usps"):
        datasets.load_train(Source.asked(None, tmp_path))
    (tmp_path / "usps.bz2").write_bytes(b"cut")
    with pytest.raises(DataError, match=r"usps\.bz2: cannot be read as USPS's file"):
        datasets.load_train("usps", tmp_path)


def test_usps_as_idx_files_is_read_too(tmp_path: Path) -> None:
    write(tmp_path, "", images=pictures(16))
    assert datasets.load_train("usps", tmp_path).images.shape == (20, 28, 28)


def test_fashion_has_its_class_names_from_a_folder_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"garment {n}" for n in range(10)]
    offer(monkeypatch, FashionMNIST=types.SimpleNamespace(classes=names))
    write(tmp_path, "", "t10k")
    assert datasets.load_train("fashion-mnist", tmp_path).classes == tuple(names)
    assert datasets.load_train(Source.asked(None, tmp_path)).classes == tuple("0123456789")


def test_what_an_earlier_version_recorded_of_a_known_set_holds(tmp_path: Path) -> None:
    write(tmp_path, "emnist-digits-")
    raw = gzip.decompress((tmp_path / "emnist-digits-train-images-idx3-ubyte.gz").read_bytes())
    datasets.load_train("emnist-digits", tmp_path, {"train-images": hashlib.sha256(raw).hexdigest()})
    with pytest.raises(DataError, match="expected 00"):
        datasets.load_train("emnist-digits", tmp_path, {"train-images": "00"})
