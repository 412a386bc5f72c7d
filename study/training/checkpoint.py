"""A finished run on disk: everything from which its model can be rebuilt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from study.records.paths import RunFiles
from study.records.run import HistoryRow, RunMetrics, RunRecord, write_run


def save_run(
    files: RunFiles,
    model: nn.Module,
    record: RunRecord,
    config: Mapping[str, Any],
    history: Sequence[HistoryRow],
    metrics: RunMetrics,
    *,
    validation: tuple[NDArray[np.float32], NDArray[np.int64]] | None,
    digest: str,
) -> None:
    """Write a run's folder with the weights of its model, as `write_run` does."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_run(
        files,
        record,
        config,
        history,
        metrics,
        validation=validation,
        save_weights=lambda part: save_file(weights, part),
        digest=digest,
    )
