"""A search space against what its family and the training code understand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from study.data.datasets import Dataset
from study.errors import ConfigError, SpaceError
from study.models import FAMILIES, build, flops_per_image, parameter_count
from study.space import SearchSpace, branches, require_keys
from study.training.config import known_keys, training_config
from study.training.loop import Schedule, TrainingData, fit


def check_space(space: SearchSpace) -> None:
    """SpaceError unless every branch of the space is a configuration that its family and the training accept."""
    if space.family not in FAMILIES:
        raise SpaceError(
            f"{space.source}: key 'family': seen {space.family!r}, expected one of {', '.join(sorted(FAMILIES))}"
        )
    require_keys(space, known_keys(space.family) - {"family"})
    for config in branches(space):
        try:
            training_config(config)
            with torch.device("meta"):
                build(config, 10)
        except ConfigError as error:
            raise SpaceError(f"{space.source}: {error}") from None


def try_branches(space: SearchSpace, dataset: Dataset) -> Iterator[dict[str, Any]]:
    """Build every branch and train it on one batch; yields parameter count and FLOPs of each.

    SpaceError names the branch that cannot be trained.
    """
    check_space(space)
    for config in branches(space):
        training = training_config(config)
        n = min(training.batch_size, len(dataset.labels) // 2)
        index = torch.arange(n)
        data = TrainingData(dataset.images, dataset.labels, index, index + n, 0.13, 0.31, len(dataset.classes))
        model = build(config, len(dataset.classes))
        try:
            fit(model, data, training, Schedule((1,), (1,)), lambda *_: True, seed=0)
        except Exception as error:
            raise SpaceError(f"{space.source}: the branch {config} cannot be trained: {error}") from error
        yield {"parameters": parameter_count(model), "flops": flops_per_image(model), "config": config}
