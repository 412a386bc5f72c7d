"""Recorded outcomes and the studies simulated from them, in tiny counts."""

from __future__ import annotations

from pathlib import Path

import aa_outcomes
import numpy as np
import pytest
import torch
from _data import random_configs
from _rows import RECORDED
from aa_outcomes import DONE, FAILED, FINAL_SEEDS, Outcomes, Task, other_search, same_configuration

from study.statistics.power import LUCK
from study.training.loop import TrainingData


def made(configs: int, seeds: int, n: int, *, gap: float = 0.0, seed: int = 0) -> Outcomes:
    """Networks that err independently, each image as often as any other of its configuration; accuracies fall by `gap`
    from one configuration to the next."""
    rng = np.random.default_rng(seed)
    right = 0.98 - gap * np.arange(configs)[:, None, None]
    parts = [rng.random((configs, seeds, n)) < right for _ in range(2)]
    return Outcomes(*parts, np.full((configs, seeds), DONE, dtype=np.uint8))


def test_outcomes_are_kept_as_bits_and_come_back(tmp_path: Path) -> None:
    outcomes = made(3, 4, 1001)
    outcomes.states[1, 2] = FAILED
    outcomes.save(tmp_path / "outcomes.npz")
    found = Outcomes.load(tmp_path / "outcomes.npz")
    assert (found.validation == outcomes.validation).all()
    assert (found.dev_test == outcomes.dev_test).all()
    assert (found.states == outcomes.states).all()
    assert (tmp_path / "outcomes.npz").stat().st_size < 3 * 4 * 2 * 1001 / 8 + 2000


def test_a_configuration_with_a_failed_seed_is_left_out() -> None:
    outcomes = made(3, 4, 50)
    outcomes.states[1, 2] = FAILED
    assert (outcomes.usable().dev_test == outcomes.dev_test[[0, 2]]).all()


def test_a_run_is_recorded_and_what_is_there_is_not_trained_again(training_data: TrainingData) -> None:
    dev_test = torch.arange(100)
    config = random_configs("mlp", 1, seed=1)[0] | {"batch_size": 64}
    task, right = aa_outcomes.train(Task("mlp", 0, 1, config, 1280), training_data, dev_test)
    assert right is not None
    assert [len(part) for part in right] == [len(training_data.validation), 100]
    outcomes = Outcomes.empty(2, 2, len(training_data.validation), 100)
    aa_outcomes.add(outcomes, task, right)
    assert (outcomes.dev_test[0, 1] == right[1]).all()
    left = [(task.number, task.seed_index) for task in aa_outcomes.tasks("mlp", outcomes.states)]
    assert left == [(0, 0), (1, 0), (1, 1)]


def test_a_search_chooses_a_good_configuration_and_leaves_unused_seeds() -> None:
    outcomes, rng = made(10, 8, 3000, gap=0.01), np.random.default_rng(0)
    for _ in range(10):
        finalist, free = aa_outcomes.search(outcomes, np.arange(10), rng)
        assert finalist <= 1
        assert len(set(free.tolist())) == 8 - 2


def test_the_same_configuration_raises_few_alarms_and_a_bootstrap_too_many() -> None:
    outcomes = made(12, 8, 4000)
    fixed = aa_outcomes.same_configuration(outcomes, "fixed", 300)
    drawn = aa_outcomes.same_configuration(outcomes, "bootstrap", 300)
    assert fixed.studies == 300
    assert fixed.alarms / 300 <= 0.08
    assert drawn.alarms > 1.5 * fixed.alarms


@pytest.mark.parametrize("images", ["fixed", "bootstrap"])
def test_power_grows_with_the_gap(images: str) -> None:
    outcomes = made(6, 8, 4000, gap=0.004)
    rates = [aa_outcomes.power(outcomes, gap, images, 60, most=0.002) for gap in (0.004, 0.012)]
    few, many = (rate.alarms for rate in rates if rate is not None)
    assert few < many
    assert many > 45


def test_without_a_pair_so_far_apart_there_is_no_power() -> None:
    assert aa_outcomes.power(made(3, 8, 500), 0.5, "fixed", 10) is None


def test_the_table_says_how_much_is_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = made(8, 2 + 2 * FINAL_SEEDS, 400, gap=0.002)
    aa_outcomes.print_table("cnn", outcomes, 5)
    out = capsys.readouterr().out
    assert "8 configurations with all seeds; 64 of 64 runs recorded" in out
    assert out.count("same configuration") == 2
    outcomes.states[2:] = aa_outcomes.MISSING
    aa_outcomes.print_table("cnn", outcomes, 5)
    assert "too few to simulate from" in capsys.readouterr().out


def test_the_report_has_the_rates_of_the_networks_that_were_recorded() -> None:
    recorded = [Outcomes.load(RECORDED / f"outcomes_{family}.npz").usable() for family in ("cnn", "mlp")]
    for simulate, known, about in (
        (same_configuration, LUCK.other_seeds, 0.03),
        (other_search, LUCK.other_search, 0.1),
    ):
        found = [simulate(outcomes, "fixed", 100) for outcomes in recorded]
        shares = [rates.alarms / rates.studies for rates in found]
        assert (min(shares), max(shares)) == pytest.approx(known, abs=about)
