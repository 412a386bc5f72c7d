"""How fast a configuration trains beside its family's typical one, by its first steps: what makes rungs of equal
seconds out of a ladder in examples."""

from __future__ import annotations

import time
from typing import Any

import torch

from study.records.run import Precision
from study.space.parameters import Config
from study.training.config import build_model, training_config
from study.training.loop import TrainingData, fit
from study.training.schedule import Schedule

_TRIES = 5  # of the typical configuration, which all others are measured against
_MOST = 8.0  # times as long or as short: no rung is one step, or a whole training


class Tempo:
    """Of one worker, which measures each family's typical configuration once."""

    def __init__(self, data: TrainingData, precision: Precision) -> None:
        self._data, self._precision = data, precision
        self._typical: dict[str, float] = {}
        # Other work on the machine must not shorten a trial. A GPU computes while its thread waits.
        self._clock = time.thread_time if data.images.device.type == "cpu" else time.perf_counter

    def scale(self, config: Config, typical: Config) -> float:
        """How many times the examples of `typical` a configuration sees in the same seconds."""
        with torch.random.fork_rng(devices=[]):  # of the CPU alone: to ask a GPU for its state would start it
            family = str(typical["family"])
            if family not in self._typical:
                self._typical[family] = min(self._seconds(typical) for _ in range(_TRIES))
            found = self._typical[family] / self._seconds(config)
        return round(min(_MOST, max(1 / _MOST, found)), 3)

    def _seconds(self, config: Config) -> float:
        """For an example of a step that is not among the first: those take longer, and on a GPU are not recorded."""
        marks: list[float] = []

        def look(_examples: int, _metrics: dict[str, Any]) -> bool:
            marks.append(self._clock())
            return True

        data, training = self._data, training_config(config)
        model = build_model(config, data.n_classes).to(data.images.device).to(memory_format=torch.channels_last)
        # Of both parts: it validates nothing.
        n = 2 if data.images.device.type == "cpu" else 6
        steps = Schedule((n,), (n - 1, n))
        fit(model, data, training, steps, look, seed=0, part="train+validation", precision=self._precision)
        return max(1e-6, marks[1] - marks[0]) / training.batch_size
