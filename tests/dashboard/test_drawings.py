from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from study.dashboard import drawings

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("points", [[(100.0, 0.5)], [(0.0, 1.0), (0.0, 1.0)], [(100.0, 90.0), (1200.0, 95.25)]])
def test_a_curve_stays_within_its_frame_whatever_its_points(points: list[tuple[float, float]]) -> None:
    tree = ET.fromstring(drawings.curve("Accuracy", points, "examples"))
    marks = [(float(mark.attrib["cx"]), float(mark.attrib["cy"])) for mark in tree.iter(f"{SVG}circle")]
    assert len(marks) == len(points)
    assert all(60 <= x <= 440 and 40 <= y <= 190 for x, y in marks)


def test_a_curve_says_where_it_ended() -> None:
    assert {"Accuracy", "95.25", "1,200"} <= set(texts(drawings.curve("Accuracy", [(100, 90), (1200, 95.25)], "n")))


def test_confusions_are_counted_and_empty_cells_are_not_drawn() -> None:
    labels, predicted = np.array([0, 0, 0, 2]), np.array([0, 0, 1, 2])
    svg = drawings.confusion("A title", labels, predicted, ["a", "b", "<c> & more"])
    assert [text for text in texts(svg) if text.isdigit()] == ["2", "1", "1"]
    assert "<c> & m…" in texts(svg)


def test_digits_stand_in_rows_of_ten_over_their_captions() -> None:
    images = np.zeros((11, 28, 28), dtype=np.uint8)
    tree = ET.fromstring(drawings.digits("Misread", images, [f"{n} → 0" for n in range(11)]))
    places = [(image.attrib["x"], image.attrib["y"]) for image in tree.iter(f"{SVG}image")]
    assert len({y for _, y in places[:10]}) == 1
    assert places[10] == (places[0][0], "116")
