"""How long an answer takes on the CPU: one image and a batch, each model alone and all in turn, on one thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from study.evaluation.test_set import load_run, named_runs, one_thread
from study.records.files import write_json
from study.records.paths import StudyFiles
from study.records.seal import weights_of
from study.records.settings import StudySettings
from study.statistics.result import strict

BATCH_SIZES = (1, 256)
WARM_UP = 3
FEWEST = 5
MOST = 300

Clock = Callable[[], float]


def run(
    files: StudyFiles, settings: StudySettings, seconds: float = 4.0, clock: Clock = time.perf_counter
) -> dict[str, Any]:
    """Write and return test/latency.json: per family and batch size the median and 95th percentile in milliseconds.

    "alone" repeats one model; "in turn" visits the models one after another, so that each finds the caches cold and
    a drift of the machine hits all alike. Images are random: no test image is read. `seconds` is shared by all.
    """
    runs = named_runs(files)
    made_from = weights_of(files, runs.values())
    models = {family: load_run(files.run(name))[0] for family, name in runs.items()}
    share = seconds / (2 * len(models) * len(BATCH_SIZES))
    rows = []
    with one_thread():
        for size in BATCH_SIZES:
            x = torch.randn((size, 1, 28, 28), generator=torch.Generator().manual_seed(0))
            alone = {family: measure({family: model}, x, share, clock)[family] for family, model in models.items()}
            in_turn = measure(models, x, share * len(models), clock)
            rows += [_row(family, size, "alone", alone[family]) for family in models]
            rows += [_row(family, size, "in turn", in_turn[family]) for family in models]
    about = {"device": "cpu", "threads": 1, "unit": "ms", "made_from": made_from}
    result: dict[str, Any] = strict({**about, "measurements": rows})
    write_json(files.test / "latency.json", result)
    return result


@torch.inference_mode()
def measure(models: Mapping[str, nn.Module], x: torch.Tensor, seconds: float, clock: Clock) -> dict[str, list[float]]:
    """Seconds of each forward pass of x [B, 1, 28, 28], the models in turn, after WARM_UP unmeasured rounds; at least
    FEWEST rounds and at most MOST."""
    taken: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(WARM_UP):
        for model in models.values():
            model(x)
    end = clock() + seconds
    for done in range(MOST):
        if done >= FEWEST and clock() >= end:
            break
        for name, model in models.items():
            start = clock()
            model(x)
            taken[name].append(clock() - start)
    return taken


def _row(family: str, size: int, order: str, taken: Sequence[float]) -> dict[str, Any]:
    median, high = np.quantile(np.asarray(taken) * 1000, [0.5, 0.95])
    return {"family": family, "batch_size": size, "order": order, "n": len(taken), "median": median, "p95": high}
