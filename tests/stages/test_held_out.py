"""What validates each search of a study."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from study.data.datasets import pixel_statistics, split_sha256, stratified_split
from study.records.settings import StudySettings
from study.stages.held_out import part_of
from study.training.loop import TrainingData

N = 240


def data(groups: np.ndarray | None = None, *, split_by: np.ndarray | None = None) -> TrainingData:
    labels = np.arange(N) % 10
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (N, 28, 28), dtype=np.uint8))
    parts = (torch.from_numpy(part) for part in stratified_split(labels, 0, groups=split_by))
    named = None if groups is None else torch.from_numpy(groups)
    return TrainingData(images, torch.from_numpy(labels), *parts, 0.5, 0.3, 10, named)


Make = Callable[..., StudySettings]


def test_each_search_but_the_first_holds_out_another_sixth_unless_the_study_is_older(
    make_settings: Make,
) -> None:
    own, older, known = make_settings(validation="own"), make_settings(), data()
    assert part_of(own, known, 1).data is known is part_of(older, known, 3).data
    for number in (2, 7):
        part = part_of(own, known, number)
        train, validation = stratified_split(known.labels, 0, sixth=number - 1)
        assert part.data.train.tolist() == train.tolist()
        assert part.data.validation.tolist() == validation.tolist() != known.validation.tolist()
        assert (part.dataset.sixth, part.dataset.split_sha256) == (number - 1, split_sha256(validation))
        assert (part.data.mean, part.data.std) == pixel_statistics(known.images[train])
        assert (part.dataset.mean, part.dataset.n_validation) == (part.data.mean, len(validation))


def test_groups_stay_on_one_side_unless_the_study_was_split_before_they_were_known(make_settings: Make) -> None:
    own, groups = make_settings(validation="own"), np.arange(N) // 10
    for split_by in (groups, None):
        part = part_of(own, data(groups, split_by=split_by), 3).data
        both = set(groups[part.train.numpy()]) & set(groups[part.validation.numpy()])
        assert bool(both) == (split_by is None)
