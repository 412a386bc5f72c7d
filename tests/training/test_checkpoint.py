from __future__ import annotations

import csv
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from study.records.files import read_json, write_json
from study.records.paths import RunFiles
from study.training import checkpoint
from study.training.checkpoint import HISTORY_HEADER, is_done, run_hash, save_run, set_aside
from study.training.config import build_model

MLP = {"family": "mlp", "depth": 1, "width": [8], "activation": "relu", "normalisation": "batch", "dropout": 0.0}
ROW = {"examples": 100, "epoch": 0.5, "learning_rate": 0.1, "train_loss": 2.0, "seconds": 0.1}


@pytest.fixture
def run(tmp_path: Path) -> RunFiles:
    return RunFiles(tmp_path / "runs" / "mlp-t1-seed0")


def save(run: RunFiles, digest: str = "d", *, validation: bool = True) -> nn.Module:
    torch.manual_seed(0)
    model = build_model(MLP, 10)
    logits = np.arange(30, dtype=np.float32).reshape(3, 10)
    save_run(
        run,
        model,
        run={"family": "mlp", "seed": 1},
        config=MLP,
        history=[ROW, ROW | {"validation_accuracy": 0.5}],
        metrics={"accuracy": 0.5, "temperature": None},
        validation=(logits, np.array([1, 2, 3])) if validation else None,
        digest=digest,
    )
    return model


def test_a_saved_run_can_be_rebuilt_from_its_folder_alone(run: RunFiles) -> None:
    model = save(run)
    with run.config.open("rb") as stream:
        stored = tomllib.load(stream)
    rebuilt = build_model(stored["config"], 10)
    rebuilt.load_state_dict(load_file(run.weights))
    x = torch.rand(4, 1, 28, 28)
    assert torch.equal(model.eval()(x), rebuilt.eval()(x))
    assert stored["run"] == {"family": "mlp", "seed": 1}


def test_the_folder_holds_history_metrics_and_logits(run: RunFiles) -> None:
    save(run)
    with run.history.open() as stream:
        rows = list(csv.reader(stream))
    assert tuple(rows[0]) == HISTORY_HEADER
    assert rows[1] == ["100", "0.5", "0.1", "2.0", "", "", "0.1"]
    assert rows[2][5] == "0.5"
    assert read_json(run.metrics) == {"accuracy": 0.5, "temperature": None}
    with np.load(run.validation) as arrays:
        assert arrays["logits"].shape == (3, 10)
        assert arrays["labels"].tolist() == [1, 2, 3]


def test_a_final_run_has_no_validation_logits(run: RunFiles) -> None:
    save(run, validation=False)
    assert not run.validation.exists()


def test_done_is_written_last(run: RunFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save(run)
    assert not run.is_done()
    assert not run.weights.exists()
    assert not [path for path in run.root.iterdir() if path.name.endswith(".part")]


def test_the_same_run_is_done(run: RunFiles) -> None:
    assert not is_done(run, "d")
    save(run, "d")
    assert is_done(run, "d")
    assert run.root.exists()


def test_another_run_s_folder_is_moved_away_whole(run: RunFiles) -> None:
    save(run, "before")
    assert not is_done(run, "now")
    assert not run.root.exists()
    (old,) = (run.root.parent / "old").iterdir()
    assert old.name.startswith("mlp-t1-seed0-")
    assert RunFiles(old).is_done()
    assert RunFiles(old).weights.exists()


def test_the_same_name_can_be_set_aside_twice(run: RunFiles) -> None:
    for _ in range(2):
        save(run)
        set_aside(run)
    assert len(list((run.root.parent / "old").iterdir())) == 2


def test_an_unfinished_folder_is_written_over(run: RunFiles) -> None:
    write_json(run.metrics, {"accuracy": 0.1})
    assert not is_done(run, "d")
    save(run, "d")
    assert is_done(run, "d")
    assert read_json(run.metrics)["accuracy"] == 0.5


def test_a_run_s_identity_ignores_the_order_of_keys_and_nothing_else() -> None:
    one = {"config": {"a": 1, "b": 2}, "seed": 3}
    assert run_hash(one) == run_hash({"seed": 3, "config": {"b": 2, "a": 1}})
    assert run_hash(one) != run_hash(one | {"seed": 4})
    assert run_hash(one) != run_hash({"config": {"a": 1, "b": 3}, "seed": 3})
