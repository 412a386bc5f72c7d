"""The three-way split, the pool's configurations, and the rows of one small run of each way."""

import functools
import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pool
import pytest
import torch
from _data import dev_data, random_configs
from _rows import Rows

from study.data.datasets import load_train, stratified_split
from study.training.loop import TrainingData

CONFIG: dict[str, Any] = {
    "family": "mlp",
    "depth": 1,
    "width": [16],
    "activation": "relu",
    "normalisation": "batch",
    "dropout": 0.0,
    "optimizer": "adamw",
    "learning_rate": 1e-2,
    "batch_size": 32,
}


def test_the_three_parts_are_disjoint_and_validation_is_the_program_s() -> None:
    data, dev_test = dev_data()
    parts = [set(part.tolist()) for part in (data.train, data.validation, dev_test)]
    assert [len(part) for part in parts] == [40_000, 10_000, 10_000]
    assert len(set.union(*parts)) == 60_000
    labels = load_train("mnist").labels
    assert parts[1] == set(stratified_split(labels, 0)[1].tolist())
    shares = torch.bincount(labels[dev_test]) / 10_000 - torch.bincount(labels) / 60_000
    assert shares.abs().max() < 2e-4


def test_more_configurations_begin_with_the_same_ones() -> None:
    assert random_configs("cnn", 3, 0) == random_configs("cnn", 5, 0)[:3]
    assert random_configs("cnn", 1, 0) != random_configs("cnn", 1, 1)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    full = 1350
    rungs = tuple(full // share for share in (27, 9, 3, 1))
    monkeypatch.setattr(pool, "FULL", full)
    monkeypatch.setattr(pool, "RUNGS", rungs)
    monkeypatch.setattr(pool, "TRUNK_RUNGS", rungs[:3])
    monkeypatch.setattr(pool, "CURVE", tuple(full * mark // 9 for mark in range(1, 10)))


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(("way", "rung"), [("whole", 1350), ("whole", 50), ("restarts", 1350), ("trunk", 450)])
def test_a_run_gives_every_row_once(training_data: TrainingData, way: str, rung: int) -> None:
    task = pool.Task("mlp", 0, way, rung, CONFIG)
    rows = pool.record(task, training_data, training_data.validation[:50])
    keys = [tuple(row[name] for name in pool.KEY) for row in rows]
    assert sorted(keys) == sorted(task.keys)
    assert {row["status"] for row in rows} == {"ok"}
    last = {row["way"]: row for row in rows}
    if way == "trunk":
        # 14 steps up to the last rung; the copies took 20 % of 2, 5 and 14 steps, each at least one.
        assert last["ema"]["examples"] == 14 * 32
        assert last["cooldown"]["examples"] == (14 + 1 + 1 + 3) * 32
    elif way == "restarts" or rung == 1350:
        assert last[way]["examples"] == 42 * 32
        assert last[way]["value"] > 0.4
    else:
        assert last[way]["examples"] == 2 * 32
        assert last[way]["dev_test"] is not None


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(("way", "rung"), [("whole", 1350), ("restarts", 1350), ("trunk", 450)])
def test_a_failing_run_is_rows_too(training_data: TrainingData, way: str, rung: int) -> None:
    config = {**CONFIG, "optimizer": "sgd", "learning_rate": 1e30, "normalisation": "none"}
    task = pool.Task("mlp", 0, way, rung, config)
    rows = pool.record(task, training_data, training_data.validation[:50])
    assert len(rows) == len(task.keys)
    assert all(row["status"].startswith("failed: ") and row["value"] is None and row["examples"] for row in rows)


def test_a_copy_goes_on_from_the_same_state_and_leaves_the_run_alone(training_data: TrainingData) -> None:
    config = pool.training_config(CONFIG)
    run = pool.Run(config, pool.build_model(CONFIG, 0), training_data, 0)
    run.train([1.0, 1.0])
    twin = run.copy(1)
    before = [parameter.clone() for parameter in run.model.parameters()]
    states = [side.optimizer.state_dict()["state"] for side in (run, twin)]
    assert all(torch.equal(states[0][key]["exp_avg"], states[1][key]["exp_avg"]) for key in states[0])
    twin.train([0.5])
    assert all(map(torch.equal, before, run.model.parameters()))
    assert states[0][0]["step"] == 2
    assert not all(map(torch.equal, before, twin.model.parameters()))


def test_an_average_moves_by_its_share(training_data: TrainingData) -> None:
    run = pool.Run(pool.training_config(CONFIG), pool.build_model(CONFIG, 0), training_data, 0)
    start = {name: value.clone() for name, value in run.model.state_dict().items()}
    average = pool.Average(run.model, 4.0)
    run.train([1.0], average)
    now = run.model.state_dict()
    for name, value in average.model.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, 0.75 * start[name] + 0.25 * now[name])


def test_configurations_and_rows_that_are_recorded_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "pool.csv"
    (tmp_path / "pool_mlp_configs.jsonl").write_text(json.dumps({"number": 0, **CONFIG}) + "\n")
    assert pool.pool_configs(out, "mlp") == {0: CONFIG}
    arguments = Namespace(ways="whole,restarts", families="mlp", first=0, count=1, warm=False)
    left = functools.partial(pool.tasks_left, out=out, arguments=arguments)
    rows = Rows(out, pool.KEY)
    assert [task.rung for task in left(rows)] == [80_000, 26_667, 8_889, 2_963, 80_000]
    for way, rung in [("whole", 8_889), ("whole", 80_000), ("restarts", 2_963)]:
        rows.add({"family": "mlp", "number": 0, "way": way, "rung": rung, "status": "ok"})
    # The curve of the longest run is missing, and the other rungs of the restarts.
    assert [(task.way, task.rung) for task in left(rows)] == [
        ("whole", 80_000),
        ("whole", 26_667),
        ("whole", 2_963),
        ("restarts", 80_000),
    ]
