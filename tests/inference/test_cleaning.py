import numpy as np

from study.inference.cleaning import drop_borders, drop_lines, drop_specks, is_texture


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
