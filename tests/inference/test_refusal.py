import numpy as np
import pytest

from study.data.opening import open_gray
from study.inference.answer import Prediction
from study.inference.predictor import Predictor
from study.inference.preprocess import prepare
from study.inference.refusal import BLURS, NO_DIGIT, measure_refusals


@pytest.mark.parametrize("kind", NO_DIGIT)
def test_a_kind_is_drawn_from_its_seed_alone_and_can_be_read(digits, kind):
    once, again = (NO_DIGIT[kind](np.random.default_rng(3), digits[0], 50) for _ in range(2))
    assert once.dtype == np.uint8
    assert np.array_equal(once, again)
    assert prepare(open_gray(once))


def test_every_kind_is_measured(make_bundle, digits):
    rows = measure_refusals(Predictor.load(make_bundle()), *digits, per_kind=4)
    assert len(rows) == len(NO_DIGIT) + 1 + len(BLURS)
    assert {row["pictures"] for row in rows} == {4}
    by_kind = {row["picture"]: row for row in rows}
    assert by_kind["blank"]["abstained"] == 1.0
    assert by_kind["blank"]["wrong"] == 0.0
    assert by_kind["two digits"]["abstained"] == 1.0


@pytest.mark.parametrize(("n_digits", "pictures"), [(100, 20), (600, 30), (2000, 50)])
def test_fewer_digits_have_fewer_pictures_of_each_kind(digits, n_digits, pictures):
    images, labels = (np.resize(part, (n_digits, *part.shape[1:])) for part in digits)

    def predict(_, groups):
        return [[Prediction(f"input {number}", "error") for number in range(len(group))] for group in groups]

    rows = measure_refusals(None, images, labels, predict=predict)
    assert {row["pictures"] for row in rows} == {pictures}
    assert {row["abstained"] for row in rows} == {1.0}


def test_an_answer_to_what_is_no_digit_is_wrong_and_to_a_digit_only_a_wrong_one(make_bundle, digits):
    """A model that never abstains by itself: letters are answered, all wrongly; most inverted digits rightly."""
    rows = {row["picture"]: row for row in measure_refusals(Predictor.load(make_bundle()), *digits, per_kind=20)}
    assert rows["letter"]["wrong"] == pytest.approx(1 - rows["letter"]["abstained"])
    assert rows["letter"]["wrong"] > 0.5
    assert rows["digit, inverted"]["wrong"] < 0.3
