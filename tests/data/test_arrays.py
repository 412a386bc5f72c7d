"""One .npz, as Keras's mnist.npz."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study.data.arrays import read_arrays
from study.data.datasets import load_train
from study.data.folder import form_of, has_split
from study.data.source import Source
from study.errors import DataError
from study.records.naming import default_name

LABELS = np.arange(10, dtype=np.uint8).repeat(3)
IMAGES = np.random.default_rng(0).integers(0, 256, (30, 28, 28), dtype=np.uint8)


def write(folder: Path, **arrays: Any) -> Path:
    path = folder / "mine.npz"
    np.savez(path, **({"x_train": IMAGES, "y_train": LABELS} | arrays))
    return path


def test_images_and_labels_are_as_they_are(tmp_path: Path) -> None:
    read = read_arrays(write(tmp_path, x_test=IMAGES[:5], y_test=LABELS[:5]), "test")
    assert np.array_equal(read.images, IMAGES[:5])
    assert read.labels.tolist() == [0, 0, 0, 1, 1]
    assert read.classes == tuple("0123456789")
    assert read.notes == ()


@pytest.mark.parametrize(
    ("images", "note"),
    [
        (IMAGES[..., None], None),
        (IMAGES[:, None].astype(np.int64), None),
        (IMAGES.astype(np.float64), None),
        ((IMAGES / 255).astype(np.float32), "numbers from 0 to 1 are read as grey levels 0 to 255"),
        (np.stack([IMAGES] * 3, axis=-1), "images in colour are read in grey"),
    ],
)
def test_other_forms_of_the_same_images_are_read_alike_and_said(tmp_path: Path, images: Any, note: str | None) -> None:
    read = read_arrays(write(tmp_path, x_train=images), "train")
    assert np.array_equal(read.images, IMAGES)
    assert read.notes == (() if note is None else (note,))


def test_another_size_is_fitted_and_said(tmp_path: Path) -> None:
    source = Source("mine", write(tmp_path, x_train=IMAGES.repeat(2, 1).repeat(2, 2)))
    dataset = load_train(source)
    assert np.array_equal(dataset.images, IMAGES)
    assert dataset.notes == ("images of 56 x 56 are fitted to 28 x 28",)


def test_the_file_or_its_folder_is_named_and_the_study_after_it(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert form_of(Source("mine", path)) == form_of(Source("mine", tmp_path)) == "npz"
    assert not has_split(Source("mine", path), "test")
    assert load_train(Source("mine", path)).sha256 == load_train(Source("mine", tmp_path)).sha256
    assert default_name(None, path) == "mine"


def test_a_recorded_digest_is_enforced(tmp_path: Path) -> None:
    recorded = load_train(Source("mine", write(tmp_path))).sha256
    path = write(tmp_path, x_train=IMAGES[::-1])
    with pytest.raises(DataError, match="sha256 of the unpacked train-images is"):
        load_train(Source("mine", path), expected_sha256=recorded)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x_train": IMAGES[0]}, r"x_train is uint8 \[28, 28\]; expected numbers \[N, H, W\]"),
        ({"x_train": IMAGES[:5]}, "5 images in x_train, but 30 labels in y_train"),
        ({"x_train": IMAGES - 300.0}, "x_train holds numbers from -300"),
        ({"x_train": IMAGES * np.nan}, "x_train holds numbers from nan"),
        ({"x_train": IMAGES.astype(str)}, "x_train is <U3"),
        ({"y_train": LABELS / 1.0}, r"y_train is float64 \[30\]; expected whole numbers \[N\]"),
        ({"y_train": np.eye(10, dtype=np.uint8)[LABELS]}, r"y_train is uint8 \[30, 10\]; expected whole numbers"),
        ({"y_train": LABELS.astype(int) - 1}, "y_train holds labels from -1 to 8, expected 0 to 255"),
        ({"y_train": LABELS // 2 * 2}, r"labels run from 0 to 8, without \[1, 3, 5\]"),
        ({"x_train": np.array([None] * 30)}, "x_train cannot be read"),
    ],
)
def test_what_else_is_in_it_is_refused(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_arrays(write(tmp_path, **arrays), "train")


def test_a_label_that_is_not_trained_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="y_test holds label 77, expected 0 to 9"):
        read_arrays(write(tmp_path, x_test=IMAGES[:1], y_test=[77]), "test")


def test_other_names_are_told_with_those_that_are_expected(tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    np.savez(path, images=IMAGES, labels=LABELS)
    with pytest.raises(DataError, match="y_train is not in it, found 'images', 'labels'; expected x_train, y_train"):
        read_arrays(path, "train")


def test_another_file_is_no_npz(tmp_path: Path) -> None:
    path = tmp_path / "notes.npz"
    path.write_text("notes")
    with pytest.raises(DataError, match=r"notes\.npz: is no \.npz file; expected one with x_train"):
        read_arrays(path, "train")


def test_reading_takes_at_most_twice_the_memory_of_the_array(tmp_path: Path) -> None:
    images = IMAGES.repeat(200, axis=0)
    path = write(tmp_path, x_train=images.astype(np.float32), y_train=LABELS.repeat(200))
    tracemalloc.start()
    read_arrays(path, "train")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= 2 * 4 * images.size
