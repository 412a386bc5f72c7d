import numpy as np
import torch
from scipy import ndimage

from study.inference.hands import drawn_by_hands, ones_with_upstrokes, other_forms, read_hands
from study.inference.predictor import Predictor
from study.inference.preprocess import looks_like_mnist


def test_pictures_are_the_same_for_the_same_seed_and_differ_between_seeds(digits):
    first, again, other = (drawn_by_hands(digits[0][0], np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_there_is_ink_in_all_of_them_and_both_polarities(digits):
    rng = np.random.default_rng(0)
    pictures = [drawn_by_hands(digit, rng) for digit in digits[0][:60]]
    assert min(int(np.ptp(picture)) for picture in pictures) > 40
    bright = [ndimage.median_filter(picture, 3)[:2].mean() > 127 for picture in pictures]
    assert 0.4 < np.mean(bright) < 0.95


def test_a_reader_knows_most_of_them_and_refusals_have_no_confidence(make_bundle, digits):
    predictor = Predictor.load(make_bundle())
    hands = read_hands(predictor, digits[0][:200], digits[1][:200].astype(np.int64), 80)
    assert hands.evidence.images.shape == (80, 28, 28)
    assert (hands.evidence.answers == hands.labels).mean() > 0.5
    assert hands.refused.mean() < 0.1


def test_ones_get_upstrokes_and_feet_and_have_the_form_of_mnist(digits):
    ones = digits[0][digits[1] == 1][:30]
    drawn = ones_with_upstrokes(ones)
    widths = [np.ptp(np.nonzero(one > 60)[1]) for one in (*ones, *drawn)]
    assert np.mean(widths[len(ones) :]) > np.mean(widths[: len(ones)]) + 1.5
    assert all(looks_like_mnist((one / 255).astype(np.float32)) for one in drawn)


def test_other_forms_are_those_of_the_class_one_where_there_is_one(digits):
    images, labels = (torch.from_numpy(part[:200].copy()) for part in digits)
    assert list(other_forms(images, labels, "0123456789")) == [1]
    assert other_forms(images, labels, ["a", "b"]) == {}
