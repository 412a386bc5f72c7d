"""The simulation of false alarms: its study generator, and the rates in a small run."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture(scope="module")
def aa_power() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "aa_power.py"
    spec = importlib.util.spec_from_file_location("aa_power", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["aa_power"] = module
    spec.loader.exec_module(module)
    return module


def test_drawn_finalists_have_the_accuracies_that_were_asked_for(aa_power: ModuleType) -> None:
    scenario = aa_power.Scenario("gap", 3, 0.01, 0.0, 1.0, 0.02)
    centres = aa_power.difficulties(0.01), aa_power.difficulties(0.03)
    rng = np.random.default_rng(0)
    drawn = [aa_power.draw_study(scenario, centres, rng) for _ in range(20)]
    assert np.mean([a.mean() for a, _ in drawn]) == pytest.approx(0.99, abs=0.001)
    assert np.mean([b.mean() for _, b in drawn]) == pytest.approx(0.97, abs=0.002)


def test_with_seed_spread_images_alone_give_the_smallest_p_value(aa_power: ModuleType) -> None:
    scenario = aa_power.Scenario("same", 3, 0.02, 0.3, 0.0)
    rng, centre = np.random.default_rng(1), aa_power.difficulties(0.02)
    p = np.array([aa_power.p_values(*aa_power.draw_study(scenario, (centre, centre), rng)) for _ in range(40)])
    study, images_only, plus_plain = p.T
    assert (images_only <= study + 1e-12).all()
    assert (study < 0.05).mean() < (images_only < 0.05).mean()
    assert study.mean() < plus_plain.mean()


def test_searches_spread_as_they_were_asked_to_around_an_equal_mean(aa_power: ModuleType) -> None:
    rng = np.random.default_rng(2)
    bad = aa_power.Spread(0.0005, 0.2, 0.005)
    errors = bad.draw(50_000, rng)
    assert errors.mean() == pytest.approx(0.0, abs=5e-5)
    assert errors.std() == pytest.approx(np.sqrt(0.0005**2 + 0.16 * 0.005**2), rel=0.02)
    centres = np.array([aa_power.difficulties(float(error), size=20_000) for error in aa_power._ERRORS])
    families = aa_power.Families("made", aa_power.Spread(), bad)
    drawn = [aa_power.draw_families(families, 0.003, 4, centres, rng) for _ in range(60)]
    assert np.mean([a.mean() for a, _ in drawn]) == pytest.approx(1 - 0.007, abs=0.0005)
    assert np.mean([b.mean() for _, b in drawn]) == pytest.approx(1 - 0.010, abs=0.001)


def test_a_line_of_families_has_its_rate_and_its_interval(aa_power: ModuleType) -> None:
    centres = np.array([aa_power.difficulties(float(error), size=20_000) for error in aa_power._ERRORS])
    line = aa_power.simulate_families(aa_power.FAMILIES[1], 0.003, 3, 20, 0, centres)
    name, (searches, gap, rate) = line[:22].strip(), line[22:].split()[:3]
    assert (name, searches, gap) == ("sd 0.05 and 0.05", "3", "0.3")
    assert 30 <= float(rate) <= 100
