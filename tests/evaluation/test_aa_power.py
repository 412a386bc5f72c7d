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
