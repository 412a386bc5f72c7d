"""A finished run on disk: everything from which its model can be rebuilt, and DONE written last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from study.records.files import read_json, write_csv, write_json, write_npz, write_text, write_with
from study.records.made_of import lacking
from study.records.paths import RunFiles

HISTORY_HEADER = (
    "examples",
    "epoch",
    "learning_rate",
    "train_loss",
    "validation_loss",
    "validation_accuracy",
    "seconds",
)


def run_hash(identity: Mapping[str, Any]) -> str:
    """sha256 of what makes a run the same run: configuration, data part, seed and schedule."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def is_done(files: RunFiles, digest: str) -> bool:
    """True if this very run is finished and whole. A folder of another run, or one that has lost a file, is moved to
    `runs/old/`."""
    if not files.is_done():
        return False
    if read_json(files.done).get("hash") == digest and not lacking(files):
        return True
    set_aside(files)
    return False


def set_aside(files: RunFiles) -> Path:
    old = files.root.parent / "old" / f"{files.root.name}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    old.parent.mkdir(parents=True, exist_ok=True)
    return files.root.rename(old)


def save_run(
    files: RunFiles,
    model: nn.Module,
    *,
    run: Mapping[str, Any],
    config: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    metrics: Mapping[str, Any],
    validation: tuple[NDArray[np.float32], NDArray[np.int64]] | None,
    digest: str,
) -> None:
    """Write a run folder: configuration, history, metrics, validation logits [N, C] and labels [N], weights, DONE."""
    files.root.mkdir(parents=True, exist_ok=True)
    write_text(files.config, tomli_w.dumps({"run": dict(run), "config": dict(config)}))
    write_csv(files.history, HISTORY_HEADER, [[row.get(key, "") for key in HISTORY_HEADER] for row in history])
    write_json(files.metrics, dict(metrics))
    if validation is not None:
        logits, labels = validation
        write_npz(files.validation, {"logits": logits, "labels": labels})
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_with(files.weights, lambda part: save_file(weights, part))
    write_json(files.done, {"hash": digest})
