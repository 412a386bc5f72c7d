"""Pictures that are there twice."""

from __future__ import annotations

import numpy as np
import torch

from study.data.datasets import Dataset
from study.data.duplicates import Fingerprints, Repeats, count_repeats


def test_copies_are_found_by_their_pixels_alone(mnist_slice: Dataset) -> None:
    images = mnist_slice.images[:100]
    train, test = images[:60], torch.cat([images[60:], images[[3, 3, 7]]])
    train = torch.cat([train, images[:4]])
    prints, other = Fingerprints.of(train), Fingerprints.of(test)
    assert (prints.repeated, other.repeated) == (4, 1)
    assert other.also_in(prints).tolist() == [40, 41, 42]
    changed = test.clone()
    changed[40, 0, 0] ^= 1
    assert Fingerprints.of(changed).also_in(prints).tolist() == [41, 42]


def test_blank_pictures_are_counted_apart(mnist_slice: Dataset) -> None:
    blank = torch.stack([torch.full((28, 28), level, dtype=torch.uint8) for level in (0, 0, 255)])
    train = Fingerprints.of(torch.cat([mnist_slice.images[:30], blank]))
    test = Fingerprints.of(torch.cat([mnist_slice.images[30:50], blank[:2], mnist_slice.images[:1]]))
    parts = np.arange(20), np.arange(20, 33)
    assert count_repeats(train, test, parts) == Repeats(
        n_train=33,
        within_train=0,
        blank_train=3,
        n_test=23,
        test_in_train=1,
        blank_test=2,
        n_validation=13,
        validation_in_train=0,
    )


def test_parts_of_the_training_file_are_compared_by_their_indices(mnist_slice: Dataset) -> None:
    train = Fingerprints.of(torch.cat([mnist_slice.images[:20], mnist_slice.images[:5]]))
    found = count_repeats(train, None, (np.arange(20), np.arange(20, 25)))
    assert (found.validation_in_train, found.test_in_train, found.n_test) == (5, None, None)
