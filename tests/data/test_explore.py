"""Exploring a data set: numbers, picture and page, on a small slice."""

import json

import numpy as np
import pytest
import torch

from study.data import datasets, explore
from study.data.duplicates import Fingerprints, count_repeats
from study.data.remarks import Survey

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def dataset():
    images = torch.zeros(12, 28, 28, dtype=torch.uint8)
    images[:, 5:20, 10] = torch.arange(1, 13, dtype=torch.uint8)[:, None] * 20
    images[11] = images[10]
    return datasets.Dataset("mine", images, torch.arange(12) % 3, ("0", "1", "2"), {"train-images": "ab" * 32})


@pytest.fixture
def summary(dataset):
    counts = datasets.SplitCounts(("0", "1", "2"), (5, 6, 7), {"test-labels": "cd" * 32})
    repeats = count_repeats(Fingerprints.of(dataset.images), Fingerprints.of(dataset.images[:2]))
    return explore.summarise(Survey(dataset, counts, repeats))


def test_summary_counts_classes_of_both_splits(summary):
    assert summary["counts"] == {"train": [4, 4, 4], "test": [5, 6, 7]}


def test_summary_agrees_with_numpy_on_pixels(summary, dataset):
    scaled = dataset.images.numpy() / 255
    pixels = summary["pixels"]
    assert (pixels["mean"], pixels["std"]) == pytest.approx((scaled.mean(), scaled.std()))
    assert (pixels["min"], pixels["max"]) == (0, 220)
    assert sum(pixels["histogram"]) == scaled.size


def test_summary_finds_the_repeated_image(summary):
    assert summary["duplicates"] == 1
    assert summary["repeats"]["test_in_train"] == 2


def test_a_page_says_what_is_odd(tmp_path, summary, dataset):
    explore.write_page(tmp_path / "page.html", summary, dataset)
    page = (tmp_path / "page.html").read_text()
    assert "1 training images repeat another one exactly, 2 test images a training image." in page
    assert "<strong>Note:</strong> 2 of 2 test images (100 %) are also among the training images" in page


def test_without_a_test_split_its_counts_are_zero(dataset):
    survey = Survey(dataset, None, count_repeats(Fingerprints.of(dataset.images)))
    assert explore.summarise(survey)["counts"]["test"] == [0, 0, 0]


def test_summary_is_json(summary):
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_class_means_by_hand(dataset):
    expected = dataset.images[dataset.labels == 1].numpy().mean(0)
    np.testing.assert_allclose(explore.class_means(dataset)[1], expected)


def test_samples_are_of_their_class_distinct_and_seeded(dataset):
    rows = explore.sample_indices(dataset, 3, seed=0)
    assert [dataset.labels[row].unique().tolist() for row in rows] == [[0], [1], [2]]
    assert all(len(set(row)) == 3 for row in rows)
    assert rows == explore.sample_indices(dataset, 3, seed=0)
    assert rows != explore.sample_indices(dataset, 3, seed=1)


def test_the_grid_shows_one_row_per_class(dataset):
    sheet = explore.sample_grid(dataset, per_class=2, seed=0)
    assert sheet.height == 3 * 30
    cells = np.asarray(sheet)[:, -60:]
    first = dataset.images[explore.sample_indices(dataset, 2, 0)[1][0]].numpy()
    np.testing.assert_array_equal(cells[31 : 31 + 28, :28], first)


def test_a_class_with_few_examples_leaves_cells_empty(dataset):
    sheet = np.asarray(explore.sample_grid(dataset, per_class=6, seed=0))
    assert (sheet[:, -60:] == 255).all()


def test_the_page_is_one_file_that_asks_for_nothing(tmp_path, summary, dataset):
    explore.write_page(tmp_path / "page.html", summary, dataset)
    page = (tmp_path / "page.html").read_text()
    assert "<link" not in page
    assert 'src="http' not in page
    assert page.count("data:image/png;base64,") >= 1
    assert page.count("Plotly.newPlot(") >= 3
    assert '"showSendToCloud": false' in page


def test_names_are_escaped(tmp_path, summary, dataset):
    hostile = {**summary, "dataset": HOSTILE, "classes": [HOSTILE, "<b>x</b>", "2"]}
    explore.write_page(tmp_path / "page.html", hostile, dataset)
    page = (tmp_path / "page.html").read_text()
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<b>x" not in page
