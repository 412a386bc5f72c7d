from __future__ import annotations

import tomllib
from collections.abc import Callable

import numpy as np

from study.records.paths import StudyFiles
from study.records.run import Layer
from study.report.finalist import Block, blocks
from study.report.section import Report
from study.report.sections import classes


def test_layers_are_drawn_with_what_works_on_their_output() -> None:
    conv, norm = Layer("3 × 3 convolution", (8, 14, 14), 72), Layer("batch normalisation", (8, 14, 14), 16)
    head = Layer("flatten", (1568,), 0), Layer("linear", (10,), 15_690)
    drawn = list(blocks([conv, norm, *head]))
    assert drawn == [
        Block("3 × 3 convolution, batch normalisation", (8, 14, 14), 88),
        Block("flatten, linear", (10,), 15_690),
    ]
    assert drawn[0].output == "8 × 14 × 14"
    assert drawn[0].drawn[1] == 14


def test_a_finalist_stands_for_itself(
    case_made: Callable[[str], Report], case_files: Callable[[str], StudyFiles], case_page: Callable[[str], str]
) -> None:
    page = case_made("clear win")[classes].pages["mlp"]
    with np.load(case_files("clear win").predictions) as arrays:
        wrong = arrays["mlp-final-seed0"].argmax(axis=1) != arrays["labels"]
        assert page.n_misread == wrong.sum() >= len(page.misread) > 0
        assert all(wrong[image.index] and len(image.answers["mlp"]) == 3 for image in page.misread)
    first, second = page.groups
    assert first.images + second.images == len(wrong)
    assert page.config is not None
    assert tomllib.loads(page.config)["family"] == "mlp"
    assert page.courses[0].name.startswith("its trial, ")
    assert f'href="#{page.anchor}"' in case_page("clear win")
    assert f'id="{page.anchor}"' in case_page("clear win")


def test_before_the_test_split_is_read_a_finalist_has_what_validation_tells(case_made: Callable[[str], Report]) -> None:
    page = case_made("validation only")[classes].pages["cnn"]
    assert (page.misread, page.groups) == ((), ())
    assert page.courses
