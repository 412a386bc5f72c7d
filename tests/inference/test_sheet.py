import numpy as np
import pytest
from PIL import Image, ImageDraw

from study.inference.sheet import sheet_of


def scene(ground, paper, box=(60, 30, 220, 150), ink=40, angle=0.0):
    """A sheet with a seven on it, lying on another ground: grey [180, 300] in 0 ... 1."""
    picture = Image.new("L", (300, 180), ground)
    draw = ImageDraw.Draw(picture)
    draw.rectangle(box, fill=paper)
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    draw.line([(x - 25, y - 40), (x + 25, y - 40), (x - 10, y + 40)], fill=ink, width=6)
    return np.asarray(picture.rotate(angle, fillcolor=ground), np.float32) / 255


@pytest.mark.parametrize(("ground", "paper", "ink"), [(30, 220, 60), (210, 255, 10), (250, 20, 240)])
def test_what_lies_around_a_sheet_takes_its_tone(ground, paper, ink):
    sheet = sheet_of(scene(ground, paper, ink=ink))
    height, width = sheet.gray.shape
    assert 100 <= height <= 121
    assert 140 <= width <= 161
    assert 60 <= sheet.left <= 70
    assert 30 <= sheet.top <= 40
    assert np.isclose(sheet.gray, paper / 255, atol=0.01).mean() > 0.8
    assert not np.isclose(sheet.gray, ground / 255, atol=0.02).any()


def test_a_sheet_that_lies_askew_is_found():
    sheet = sheet_of(scene(30, 220, angle=7))
    assert np.isclose(sheet.gray, 220 / 255, atol=0.01).mean() > 0.8
    assert not np.isclose(sheet.gray, 30 / 255, atol=0.02).any()


def test_a_page_without_a_sheet_is_the_whole_picture():
    page = scene(220, 220)
    assert sheet_of(page).gray is page


def test_a_sheet_with_nothing_on_it_is_no_sheet():
    assert sheet_of(scene(30, 220, ink=220)).gray.shape == (180, 300)


def test_light_that_falls_off_makes_no_sheet():
    page = scene(255, 255, ink=0) * np.linspace(0.3, 1.0, 300, dtype=np.float32)
    assert sheet_of(page).gray is page


def test_a_fat_nought_on_black_is_no_sheet():
    picture = Image.new("L", (200, 200), 0)
    ImageDraw.Draw(picture).ellipse((40, 20, 160, 180), outline=255, width=40)
    assert sheet_of(np.asarray(picture, np.float32) / 255).gray.shape == (200, 200)


def test_a_sheet_in_a_picture_of_28_pixels_is_not_looked_for():
    small = scene(30, 220)[::6, ::6]
    assert sheet_of(small).gray is small


def test_a_band_too_low_to_have_a_middle_is_no_sheet():
    page = np.full((64, 512), 50, np.uint8)
    page[24:36, 100:220] = 250
    page[28:32, 140:146] = 20
    gray = page.astype(np.float32) / 255
    assert sheet_of(gray).gray is gray
