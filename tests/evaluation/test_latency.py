"""Latency on a clock that the test drives."""

import itertools
import json
from typing import Any

import pytest
import torch

from study.evaluation import latency


def test_every_family_is_measured_alone_and_in_turn_for_both_sizes(opened_study: Any) -> None:
    latency.run(opened_study.files, opened_study.settings, seconds=0.0)
    found = json.loads((opened_study.files.test / "latency.json").read_text())
    rows = {(row["family"], row["batch_size"], row["order"]) for row in found["measurements"]}
    assert rows == set(itertools.product(("cnn", "mlp"), (1, 256), ("alone", "in turn")))
    assert all(0 < row["median"] <= row["p95"] and row["n"] == latency.FEWEST for row in found["measurements"])


def test_passes_are_timed_by_the_clock_and_end_with_the_time() -> None:
    ticks = itertools.count()
    taken = latency.measure({"a": torch.nn.Identity()}, torch.zeros(1), 20.0, lambda: float(next(ticks)))
    assert set(taken["a"]) == {1.0}
    assert latency.FEWEST < len(taken["a"]) < latency.MOST


def test_median_and_95th_percentile_are_in_milliseconds() -> None:
    row = latency._row("cnn", 1, "alone", [0.001] * 19 + [0.101])
    assert (row["median"], row["p95"]) == (pytest.approx(1.0), pytest.approx(6.0))


def test_the_number_of_threads_is_put_back(opened_study: Any) -> None:
    before = torch.get_num_threads()
    latency.run(opened_study.files, opened_study.settings, seconds=0.0)
    assert torch.get_num_threads() == before
