from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from cases import CASES
from markup import Page

from study.report import first_screen
from study.report.first_screen import charts, layers
from study.report.section import Report

Made = Callable[[str], Report]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "clear win",
            "The convolutional network cnn #11 reads these images better than the fully connected network mlp #23: "
            "99.42 %",
        ),
        ("small win", "but too little better to matter"),
        ("equal", "equally well, to within 0.2 points"),
        ("too close", "too close to call"),
        ("two seeds", "too few repetitions"),
        ("contradicted", "network cnn #11 reads these images better than the"),
        ("five searches", "cnn reads these images better than the fully connected network mlp"),
    ],
)
def test_the_outcome_is_told_in_everyday_words(name: str, said: str, case_made: Made) -> None:
    plain = case_made(name)[first_screen].plain
    assert plain is not None
    assert said in plain
    assert not re.search(r"Holm|finalist|interval|split|\bp [<=]", plain)


@pytest.mark.parametrize("name", ["validation only", "one family", "empty", "all failed", "non-finite"])
def test_without_a_pair_nothing_is_told(name: str, case_made: Made) -> None:
    assert case_made(name)[first_screen].plain is None


def test_everybody_stands_on_one_scale_in_the_colour_of_the_family(case_made: Made) -> None:
    found = case_made("examined")[first_screen]
    kinds = [row.kind for row in found.rows]
    assert kinds[:2] == ["finalist", "finalist"]
    assert {"ensemble", "baseline"} <= set(kinds)
    assert kinds.index("baseline") > kinds.index("ensemble")
    (chart,) = charts(found)
    assert len(chart.figure["data"]) == len(chart.rows) == len(kinds)
    low, high = (10**end for end in chart.figure["layout"]["xaxis"]["range"])
    assert all(low < trace["x"][0] < high for trace in chart.figure["data"])


def test_a_network_without_an_error_is_drawn_too(case_made: Made) -> None:
    found = case_made("clear win")[first_screen]
    perfect = replace(found, rows=(replace(found.rows[0], accuracy=1.0, interval95=(0.9963, 1.0)),))
    assert charts(perfect)[0].figure["data"][0]["x"][0] > 0


def test_architectures_are_told_in_words() -> None:
    cnn = {"stages": 3, "convs_per_stage": 2, "width": 16, "growth": 2.0, "kernel_size": 3}
    about = {"activation": "relu", "normalisation": "batch"}
    assert layers(cnn | about) == (
        "3 stages of two 3 × 3 convolutions, 16 channels at first, twice as many from stage to stage, relu, batch "
        "normalisation"
    )
    mlp = {"depth": 2, "width": [512, 256], "activation": "gelu", "normalisation": "none"}
    assert layers(mlp) == "2 hidden layers of 512, 256 units, gelu"
    assert layers({"patch": 4}) is None


@pytest.mark.parametrize("name", CASES)
def test_the_folded_page_shows_few_numbers(name: str, case_page: Callable[[str], str]) -> None:
    assert len(re.findall(r"\d[\d,.]*", " ".join(Page(case_page(name)).seen))) <= 150
