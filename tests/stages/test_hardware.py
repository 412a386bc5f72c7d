"""On what a command trains that has joined a cluster; the cluster is a stand-in."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from study.errors import UsageError
from study.execution.host import About
from study.execution.installation import Installation
from study.execution.ray_address import Cluster, Place
from study.stages.hardware import Hardware
from study.stages.request import Request

CPU = torch.device("cpu")
PLACES = {
    "1": Place("c1", "10.0.0.1", {"CPU": 4.0}),
    "2": Place("c2", "10.0.0.2", {"CPU": 8.0, "GPU": 2.0}),
    "3": Place("c3", "10.0.0.3", {"CPU": 0.0, "GPU": 1.0}),  # its cores are another study's
}


def asked(**words: Any) -> Request:
    return Request("study run", 0.0, **words)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> Cluster:
    monkeypatch.setattr(Cluster, "places", lambda _: PLACES)
    here = replace(Installation.here(CPU), precision="bf16")
    seen = [
        About(here, "AMD EPYC", 1, ("H100", "H100"), 6),
        About(replace(here, precision="fp32"), "Xeon", 2, ("T4",), 3),
    ]
    # Loading the real one needs Ray.
    monkeypatch.setitem(sys.modules, "study.execution.hosts", SimpleNamespace(gpu_machines=lambda *_: seen))  # type: ignore[arg-type]
    return Cluster("10.0.0.1:6379", 0.0, said.append, "")


def test_cores_train_and_free_gpus_are_told(cluster: Cluster, said: list[str]) -> None:
    found = Hardware.of(asked(), cluster)
    assert (found.device, found.n_workers, found.fitting) == (CPU, 12, 12)
    assert said == ["note: cores train; the cluster has free GPUs, 3 of them, which --device cuda would use"]
    assert Hardware.of(asked(device="cpu", workers=3), cluster).n_workers == 3
    assert len(said) == 1


def test_gpus_train_where_they_are_asked_for_in_the_lowest_precision_of_their_machines(cluster: Cluster) -> None:
    found = Hardware.of(asked(device="cuda"), cluster)
    assert (found.device.type, found.precision, found.machine.gpu) == ("cuda", "fp32", "2 × H100, T4")
    assert (found.n_workers, found.fitting) == (8, 8)  # nine fit their memory, and eight cores are beside a GPU
    with pytest.raises(UsageError, match="--device cuda:1 with --cluster: expected cpu, or cuda for the GPUs of all"):
        Hardware.of(asked(device="cuda:1"), cluster)
