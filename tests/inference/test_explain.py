import re

import numpy as np
import pytest
from PIL import Image

from study.inference.explain import ExplainPage
from study.inference.predictor import Predictor


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
