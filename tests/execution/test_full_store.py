"""A cluster whose machines have no room for the training data."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from clusters import CLUSTER, PATIENCE, Machines

from study.errors import StudyError
from study.execution.joining import joined
from study.training.loop import TrainingData

pytestmark = CLUSTER


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    """Ray keeps on the disk what an object store cannot: here their disk counts as full."""
    monkeypatch.setenv("RAY_local_fs_capacity_threshold", "0.0001")
    found = Machines()
    found.add(store=84 * 10**6)
    yield found
    found.end()


def images(n: int) -> TrainingData:
    labels = torch.arange(n) % 10
    return TrainingData(
        torch.zeros(n, 28, 28, dtype=torch.uint8), labels, torch.arange(600), torch.arange(600, 800), 0.1, 0.3, 10
    )


def test_data_that_does_not_fit_is_told_in_one_line(machines: Machines) -> None:
    with joined(machines.address, 1, PATIENCE, lambda _: None) as cluster:
        from study.execution.cluster import ClusterExecutor

        for n, at in ((140_000, ", this machine: "), (118_000, "cannot work: ")):  # 110 MB; 93, which fit here
            with pytest.raises(StudyError, match=f"{at}the training data do not fit into Ray's object store") as caught:
                ClusterExecutor(cluster, None, images(n))
            assert "\n" not in str(caught.value)
