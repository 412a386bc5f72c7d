import numpy as np
import pytest

from study.inference.ink import _fit_surface, _median, _quadratic, ink_of, otsu, separability


def bar(height=100, width=100):
    mask = np.zeros((height, width), bool)
    mask[20:80, 45:55] = True
    return mask


@pytest.mark.parametrize(("ground", "ink"), [(1.0, 0.0), (0.0, 1.0), (0.6, 0.3), (0.2, 0.5)])
def test_ink_is_found_in_both_polarities(ground, ink):
    gray = np.where(bar(), ink, ground).astype(np.float32)
    found, uncertain = ink_of(gray)
    assert not uncertain
    assert np.array_equal(found > 0.5, bar())


@pytest.mark.parametrize(("invert", "expected"), [("yes", True), ("no", False)])
def test_a_given_polarity_is_obeyed(invert, expected):
    gray = np.where(bar(), 0.1, 0.9).astype(np.float32)
    assert bool(ink_of(gray, invert)[0][50, 50] > 0.5) is expected


def test_a_gradient_of_light_is_flattened():
    light = np.linspace(0.35, 1.0, 100, dtype=np.float32)[None, :] * np.ones((100, 1), np.float32)
    found, _ = ink_of(np.where(bar(), 0.3 * light, light).astype(np.float32))
    assert np.array_equal(found > 0.5, bar())


def test_a_shadow_with_an_edge_is_no_ink():
    light = np.where(np.arange(100)[None, :] < 30, 0.5, 0.95).astype(np.float32) * np.ones((100, 1), np.float32)
    found, _ = ink_of(np.where(bar(), 0.15 * light, light).astype(np.float32))
    assert (found > 0.5)[bar()].mean() > 0.95
    assert (found > 0.5)[~bar()].mean() < 0.05


def test_noise_on_blank_paper_is_no_ink():
    gray = 0.9 + 0.01 * np.random.default_rng(0).standard_normal((100, 100))
    assert not ink_of(gray.astype(np.float32))[0].any()


def test_grey_levels_of_a_blurred_stroke_survive():
    x = np.abs(np.arange(100) - 50)[None, :] * np.ones((100, 1))
    found, _ = ink_of((1 - np.exp(-((x / 8) ** 2))).astype(np.float32))
    assert len(np.unique(np.round(found[50], 2))) > 7


def test_otsu_parts_two_levels():
    assert 0.2 < otsu(np.array([0.2] * 50 + [0.8] * 5, np.float32)) < 0.8


def test_separability_is_one_for_two_levels_and_low_for_a_ramp():
    assert separability(np.array([0.2] * 50 + [0.8] * 50, np.float32)) == pytest.approx(1.0)
    assert separability(np.linspace(0, 1, 100, dtype=np.float32)) == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize("n", [1, 2, 3, 100, 101])
def test_the_median_is_that_of_numpy(n):
    for values in (np.random.default_rng(n).standard_normal(n).astype(np.float32), np.zeros(n, np.float32)):
        assert _median(values) == np.median(values)


def test_the_fit_of_the_ground_ends_early_only_where_more_would_find_the_same(monkeypatch):
    y, x = (grid.ravel() for grid in np.meshgrid(*2 * [np.linspace(-1, 1, 60, dtype=np.float32)], indexing="ij"))
    basis, rim = np.stack(_quadratic(x, y), axis=-1), np.maximum(np.abs(x), np.abs(y)) > 0.8
    rng = np.random.default_rng(0)
    planes = [(0.6 + 0.2 * x + 0.02 * rng.standard_normal(x.size)).astype(np.float32) for _ in range(10)]
    for plane in planes:
        plane.reshape(60, 60)[20:40, 25:35] = 0.1
    found = [_fit_surface(basis, plane, rim) for plane in planes]
    monkeypatch.setattr(np, "array_equal", lambda *_: False)
    for plane, early in zip(planes, found, strict=True):
        assert _fit_surface(basis, plane, rim).tolist() == early.tolist()
