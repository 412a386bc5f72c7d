import re

import numpy as np
import pytest
from PIL import Image

from study.data.opening import open_gray
from study.inference.answer import Prediction
from study.inference.explain import ExplainPage, _boxes
from study.inference.predictor import Predictor
from study.inference.preprocess import look_at


@pytest.fixture
def explained(make_bundle, tmp_path):
    """The page about pictures, given by name."""

    def explain(**pictures):
        predictor = Predictor.load(make_bundle(threshold=0.5))
        paths = []
        for name, pixels in pictures.items():
            paths.append(tmp_path / f"{name}.png")
            if pixels is not None:
                Image.fromarray(pixels).save(paths[-1])
        with ExplainPage(tmp_path / "why", predictor.classes, predictor.threshold) as page:
            for answer in predictor.stream(paths):
                page.add(answer)
        return (tmp_path / "why" / "explain.html").read_text(encoding="utf-8")

    return explain


def paper(digit):
    return np.asarray(255 - np.pad(digit, 30), np.uint8)


def test_it_shows_every_step_the_answers_and_what_the_network_saw(explained, digits):
    page = explained(seven=paper(digits[0][0]))
    for words in ("seven.png", "in grey", "its ink", "strokes without lines", "what the network saw", "0.5000"):
        assert words in page
    assert page.count("data:image/png;base64,") == 4
    assert page.count("<meter") == 3
    assert page.endswith("</body></html>\n")


def test_it_says_why_an_answer_is_left_open(explained, digits):
    two = np.hstack([paper(digits[0][1]), paper(digits[0][2])])
    page = explained(two=two, blank=np.full((50, 50), 255, np.uint8), absent=None)
    assert "2 digits, at (left top right bottom)" in page
    assert "the picture is blank" in page
    assert "no such file" in page
    assert page.count("<section>") == 3


def test_a_picture_in_mnists_form_says_so(explained, digits):
    assert "passed untouched" in explained(own=digits[0][0])


def test_the_digits_of_a_row_stand_under_one_picture(explained, digits):
    row = np.hstack([paper(digits[0][i]) for i in range(4)])
    page = explained(row=row)
    assert page.count("<section>") == 1
    assert page.count("what the network saw</figcaption>") == 4


def test_a_hostile_name_is_text(explained, digits):
    page = explained(**{"<script>alert(1)<": paper(digits[0][0])})
    assert not re.search("<script", page)
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(("count", "said"), [(4, "the boxes of the 4 answers"), (2, "2 found at this size")])
def test_the_boxes_drawn_are_those_of_the_answers_or_of_all_that_one_answer_is_about(explained, digits, count, said):
    assert said in explained(row=np.hstack([paper(digits[0][i]) for i in range(count)]))


def test_answers_have_their_own_boxes_where_a_second_look_found_more(digits):
    look = look_at(open_gray(paper(digits[0][0])))
    left, top, right, bottom = look.in_picture(look.parts[0].box)
    middle = (left + right) // 2
    answers = [Prediction("row", "ok", box=box) for box in ((left, top, middle, bottom), (middle, top, right, bottom))]
    boxes, said = _boxes(look, answers)
    assert [box[0] for box in boxes] == [look.parts[0].box[0], look.in_sheet((middle, top, right, bottom))[0]]
    assert said == "the boxes of the 2 answers"
