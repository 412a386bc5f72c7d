import numpy as np
import pytest
from PIL import Image, ImageDraw

from study.inference.cleaning import drop_borders, drop_frame, drop_lines, drop_specks, is_texture


def blank(side=120):
    return np.zeros((side, side), bool)


def test_a_ruled_line_goes_and_the_stroke_that_crosses_it_stays():
    stroke = blank()
    stroke[20:100, 50:60] = True
    ruled = stroke.copy()
    ruled[60:62] = True
    kept = drop_lines(ruled)
    assert kept[stroke].all()
    assert (kept & ~stroke).sum() <= 8


def test_a_slanted_ruled_line_goes():
    mask = blank()
    mask[20:100, 50:60] = True
    rows = np.round(40 + 0.05 * np.arange(120)).astype(int)
    mask[rows, np.arange(120)] = True
    assert not drop_lines(mask)[:, :40].any()


def test_a_wave_along_a_strip_far_wider_than_high_stays():
    columns = np.arange(1500)
    mask = np.zeros((40, 1500), bool)
    mask[np.round(20 + 15 * np.sin(columns / 30)).astype(int), columns] = True
    assert np.array_equal(drop_lines(mask), mask)
    assert np.array_equal(drop_lines(mask.T), mask.T)


def test_strokes_across_a_strip_are_no_ruled_lines():
    mask = np.zeros((44, 300), bool)
    for x in (20, 60, 100, 140, 180):  # 1s from edge to edge
        mask[1:43, x : x + 3] = True
    mask[10:34, 220:245] = ~np.pad(np.ones((18, 19), bool), 3)
    assert np.array_equal(drop_lines(mask), mask)
    assert np.array_equal(drop_lines(mask.T), mask.T)


def test_the_stroke_of_a_tightly_cropped_seven_is_no_ruled_line():
    seven = blank(60)
    seven[2:10, 2:58] = True
    for y in range(10, 58):
        seven[y, 50 - y // 2 : 57 - y // 2] = True
    assert np.array_equal(drop_lines(seven), seven)


def test_squared_paper_goes():
    stroke = blank()
    stroke[25:95, 52:62] = True
    mask = stroke.copy()
    mask[::24] = True
    mask[:, ::24] = True
    kept = drop_lines(mask)
    assert kept[stroke].mean() > 0.95
    assert (kept & ~stroke).mean() < 0.02


def test_a_frame_at_the_edge_goes():
    mask = blank()
    mask[:2], mask[-2:], mask[:, :2], mask[:, -2:] = True, True, True, True
    mask[40:80, 55:65] = True
    kept = drop_borders(mask)
    assert kept[50, 60]
    assert not kept[0].any()


def framed(inset=6, width=2):
    mask = blank()
    for side in (mask, mask[::-1], mask.T, mask.T[::-1]):
        side[inset : inset + width, inset:-inset] = True
    return mask


def test_a_frame_goes_as_a_whole():
    stroke = blank()
    stroke[30:90, 50:60] = True
    assert np.array_equal(drop_frame(framed() | stroke), stroke)


def test_a_stroke_that_crosses_the_frame_keeps_its_ink():
    stroke = blank()
    stroke[50:60, 60:120] = True
    kept = drop_frame(framed() | stroke)
    assert kept[stroke].mean() > 0.97
    assert (kept & ~stroke).sum() < 10


def test_a_frame_around_nothing_stays_for_it_may_be_a_nought():
    assert np.array_equal(drop_frame(framed()), framed())


def test_two_long_strokes_are_no_frame():
    seven = blank()
    seven[4:7, 10:110] = True
    seven[4:110, 106:109] = True
    assert np.array_equal(drop_frame(seven), seven)


def test_the_lines_of_a_page_go_however_large_the_digit():
    ring = blank(180)
    ring[20:160, 20:160] = True
    ring[40:140, 40:140] = False
    mask = ring.copy()
    mask[10::24] = True
    kept = drop_lines(mask)
    assert kept[ring].mean() > 0.97
    assert (kept & ~ring).sum() < 0.02 * ring.sum()


def test_specks_go_and_a_detached_bar_stays():
    mask = blank()
    mask[30:90, 50:60] = True
    mask[24:27, 50:80] = True
    mask[5, 5] = True
    kept = drop_specks(mask, mask.astype(np.float32))
    assert not kept[5, 5]
    assert kept[25, 60]


def test_noise_is_a_texture_and_a_stroke_is_none():
    assert is_texture(np.random.default_rng(0).random((100, 100)) > 0.6)
    mask = blank()
    mask[30:90, 50:60] = True
    assert not is_texture(mask)


def oval(side=200, inset=8, width=6):
    sheet = Image.new("L", (side, side), 0)
    ImageDraw.Draw(sheet).ellipse((inset + 12, inset, side - inset - 12, side - inset), outline=255, width=width)
    return np.asarray(sheet) > 0


def test_a_nought_with_a_loose_slash_is_no_frame():
    slashed = oval()
    slashed[80:120, 96:104] = True
    assert np.array_equal(drop_borders(slashed), slashed)


def test_a_digit_that_fills_its_picture_is_no_frame():
    three = oval(60, inset=0, width=4)
    three[:, :14] = False
    three[28:32, 24:36] = True  # a loose stroke in its middle
    assert np.array_equal(drop_borders(three), three)


def test_a_frame_that_lies_askew_goes():
    sheet = Image.new("L", (200, 200), 0)
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((14, 14, 186, 186), outline=255, width=3)
    frame = np.asarray(sheet.rotate(3)) > 0
    stroke = np.zeros_like(frame)
    stroke[60:140, 90:104] = True
    assert np.array_equal(drop_borders(frame | stroke), stroke)


@pytest.mark.parametrize("height", [8, 20, 60])
def test_a_tables_edge_goes_however_small_the_digit(height):
    stroke = blank(240)
    stroke[120 : 120 + height, 100:104] = True
    mask = stroke.copy()
    mask[:12] = True
    assert np.array_equal(drop_borders(mask), stroke)


def test_a_strip_alone_stays():
    mask = blank()
    mask[:10] = True
    mask[60, 60] = True
    assert np.array_equal(drop_borders(mask), mask)


def test_a_neighbours_piece_that_the_edge_has_cut_goes_and_a_loose_bar_stays():
    digit = blank(60)
    digit[2:58, 24:32] = True
    digit[50:58, 24:54] = True
    digit[0:4, 30:58] = True  # the bar of a five, loose above
    mask = digit.copy()
    mask[30:40, :5] = True
    assert np.array_equal(drop_borders(mask), digit)


def test_a_digit_cut_by_the_edge_is_no_piece():
    mask = blank(60)
    mask[5:55, 30:40] = True
    mask[5:55, :8] = True
    assert np.array_equal(drop_borders(mask), mask)


def test_what_is_left_of_a_frame_near_the_edge_goes():
    seven = blank(280)
    seven[20:36, 60:200] = True
    seven[20:240, 180:200] = True
    mask = seven.copy()
    mask[276:278, 4:276] = True
    assert np.array_equal(drop_borders(mask), seven)
