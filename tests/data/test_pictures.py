"""A folder of pictures, one folder for each digit: decoded to what MNIST's files would hold."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from study.data.datasets import load_train
from study.data.folder import form_of, has_split
from study.data.pictures import copy_as_idx, listing, read_pictures
from study.data.source import Source
from study.errors import DataError


def stroke(digit: int, size: tuple[int, int] = (28, 28)) -> Image.Image:
    """Bright on dark, another brightness for each digit: (width, height)."""
    plane = np.zeros(size[::-1], np.uint8)
    width, height = size
    plane[height // 4 : 3 * height // 4, width // 4 : width // 2] = 150 + 10 * digit
    return Image.fromarray(plane)


def save(folder: Path, split: str, digit: object, name: str, picture: Image.Image) -> Path:
    path = folder / split / str(digit) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for digit in range(3):
        for name in ("b.png", "a.png"):
            save(tmp_path, "train", digit, name, stroke(digit))
    return tmp_path


def test_pictures_of_28_by_28_are_taken_to_the_pixel_sorted_by_class_and_name(folder: Path) -> None:
    save(folder, "train", 1, "aa.png", Image.fromarray(np.arange(784).reshape(28, 28).astype(np.uint8)))
    read = read_pictures(folder, "train")
    assert read.images.shape == (7, 28, 28)
    assert read.labels.tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert read.classes == ("0", "1", "2")
    assert np.array_equal(read.images[3].numpy(), np.arange(784).reshape(28, 28).astype(np.uint8))
    assert read.notes == ()


def test_other_sizes_are_fitted_colours_greyed_and_both_are_said(folder: Path) -> None:
    save(folder, "train", 0, "c.png", stroke(0, (56, 56)))
    save(folder, "train", 1, "c.png", stroke(1).convert("RGB"))
    save(folder, "train", 2, "c.png", Image.new("L", (14, 28), 90))  # on its own ground it is made as wide as high
    read = read_pictures(folder, "train")
    assert np.array_equal(read.images[2], read.images[0])
    assert np.array_equal(read.images[5], read.images[3])
    assert (read.images[8] == 90).all()
    assert read.notes == (
        "2 of 9 training pictures are fitted to 28 x 28, their proportions kept",
        "1 of 9 training pictures are in colour: read in grey",
    )


def test_files_that_are_no_pictures_are_left_out_and_named_hidden_ones_are_not(folder: Path) -> None:
    (folder / "train" / "0" / "notes.txt").write_text("x")
    (folder / "train" / "0" / ".hidden.png").write_text("x")
    (folder / "train" / ".cache").mkdir()
    save(folder, "train", "", "loose.png", stroke(1))
    read = read_pictures(folder, "train")
    assert len(read.labels) == 6
    (note,) = read.notes
    assert note.endswith("are left out, being no pictures of a class: '0/notes.txt', 'loose.png'")


def test_of_many_bad_files_the_first_ten_are_listed(folder: Path) -> None:
    for number in range(13):
        (folder / "train" / "1" / f"x{number:02}.png").write_text("no picture")
    with pytest.raises(DataError) as raised:
        read_pictures(folder, "train")
    said = str(raised.value)
    assert said.startswith("13 of 19 pictures cannot be read: ")
    assert said.count("not a picture") == 10
    assert "x09.png" in said
    assert "x10.png" not in said
    assert said.endswith("and 3 more; mend or remove them")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["cat", "dog", "0"], "class 'cat', 'dog', expected folders named 0 to 9"),
        (["10"], "class '10', expected folders named 0 to 9"),
        (["0", "2"], r"labels run from 0 to 2, without \[1\]"),
        (["4"], "labels run from 4 to 4"),
        ([], r"no picture in it; expected train/<digit>/\*\.png"),
    ],
)
def test_other_classes_are_refused(tmp_path: Path, names: list[str], said: str) -> None:
    (tmp_path / "train").mkdir()
    for name in names:
        save(tmp_path, "train", name, "a.png", stroke(1))
    with pytest.raises(DataError, match=said):
        read_pictures(tmp_path, "train")


def test_a_test_class_that_is_not_trained_on_is_refused(folder: Path) -> None:
    save(folder, "test", 7, "a.png", stroke(7))
    with pytest.raises(DataError, match="class 7 seen, expected 0 to 2"):
        read_pictures(folder, "test")


def test_the_copy_as_idx_holds_the_same_and_has_the_same_digests(folder: Path, tmp_path: Path) -> None:
    save(folder, "test", 1, "a.png", stroke(1))
    place = tmp_path / "copy"
    for split in ("train", "test"):
        copy_as_idx(folder, split, place)
    pictures, copy = (load_train(Source("mine", where)) for where in (folder, place))
    assert form_of(Source("mine", place)) == "idx"
    assert pictures.sha256 == copy.sha256
    assert pictures.classes == copy.classes
    assert np.array_equal(pictures.images, copy.images)
    assert has_split(Source("mine", place), "test")


def test_a_recorded_digest_is_enforced(folder: Path) -> None:
    recorded = load_train(Source("mine", folder)).sha256
    load_train(Source("mine", folder), expected_sha256=recorded)
    save(folder, "train", 2, "a.png", stroke(9))
    with pytest.raises(DataError, match="sha256 of the unpacked train-images is"):
        load_train(Source("mine", folder), expected_sha256=recorded)


def test_a_listing_changes_with_names_and_sizes(folder: Path) -> None:
    before = listing(folder, "train")
    assert listing(folder, "train") == before
    path = save(folder, "train", 2, "z.png", stroke(2))
    after = listing(folder, "train")
    assert after != before
    path.write_bytes(path.read_bytes() + b"0")
    assert listing(folder, "train") not in (before, after)


def test_decoding_takes_at_most_twice_the_memory_of_the_array(folder: Path, tmp_path: Path) -> None:
    for number in range(3000):
        save(folder, "train", number % 3, f"{number}.png", stroke(number % 3))
    copy_as_idx(folder, "train", tmp_path / "warm")
    tracemalloc.start()
    copy_as_idx(folder, "train", tmp_path / "copy")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= 2 * 3006 * 784


def test_what_was_found_and_the_three_forms_are_said(tmp_path: Path) -> None:
    for digit in range(2):
        save(tmp_path, "", digit, "a.png", stroke(digit))
    with pytest.raises(DataError) as raised:
        load_train(Source("mine", tmp_path))
    said = str(raised.value)
    assert "found '0/', '1/': the digits' folders belong into a folder train/" in said
    assert "train/<digit>/*.png" in said
    assert "one .npz with x_train, y_train, x_test, y_test" in said
