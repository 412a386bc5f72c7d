import numpy as np
from scipy import ndimage

from study.inference.hands import drawn_by_hands, read_hands
from study.inference.predictor import Predictor


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
    confidence, correct = read_hands(predictor, digits[0][:200], digits[1][:200].astype(np.int64), 80)
    assert confidence.shape == correct.shape == (80,)
    assert correct.mean() > 0.5
    assert confidence.min() >= 0.0
    assert confidence.max() <= 1.0
