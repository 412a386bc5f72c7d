from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import METRICS, RECORD, ROW
from safetensors.torch import load_file
from torch import nn

from study.records.paths import RunFiles
from study.records.run import read_run
from study.training import checkpoint
from study.training.checkpoint import save_run
from study.training.config import build_model

MLP = {"family": "mlp", "depth": 1, "width": [8], "activation": "relu", "normalisation": "batch", "dropout": 0.0}


@pytest.fixture
def run(tmp_path: Path) -> RunFiles:
    return RunFiles(tmp_path / "runs" / "mlp-t1-seed0")


def save(run: RunFiles) -> nn.Module:
    torch.manual_seed(0)
    model = build_model(MLP, 10)
    logits = np.arange(30, dtype=np.float32).reshape(3, 10)
    save_run(run, model, RECORD, MLP, [ROW], METRICS, validation=(logits, np.array([1, 2, 3])), digest="d")
    return model


def test_a_saved_run_can_be_rebuilt_from_its_folder_alone(run: RunFiles) -> None:
    model = save(run)
    rebuilt = build_model(dict(read_run(run).config), 10)
    rebuilt.load_state_dict(load_file(run.weights))
    x = torch.rand(4, 1, 28, 28)
    assert torch.equal(model.eval()(x), rebuilt.eval()(x))


def test_done_is_written_last(run: RunFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save(run)
    assert not run.is_done()
    assert not run.weights.exists()
    assert not [path for path in run.root.iterdir() if path.name.endswith(".part")]
