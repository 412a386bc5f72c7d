"""On what a command trains: this machine's cores and GPUs, or the machines of a cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from study.errors import UsageError
from study.execution.ray_address import Cluster, joined
from study.stages.machine import available_cores, choose_device, fitting_workers
from study.stages.request import Request


@contextlib.contextmanager
def cluster_of(request: Request, say: Callable[[str], None]) -> Iterator[Cluster | None]:
    """The cluster that a command asks for, joined until the end of the block; None if it asks for none."""
    if request.cluster is None:
        yield None
        return
    cores = request.workers or available_cores()
    machines = request.cluster_machines
    with joined(request.cluster, cores, request.cluster_patience, say, machines) as cluster:
        yield cluster


@dataclass(frozen=True, slots=True)
class Hardware:
    """On what a command trains; `fitting` is how many workers this machine feeds, or the cluster's do."""

    device: torch.device
    n_workers: int
    fitting: int
    cluster: Cluster | None = None

    @classmethod
    def of(cls, request: Request, cluster: Cluster | None) -> Hardware:
        if cluster is not None:
            if request.device not in ("auto", "cpu"):
                raise UsageError(f"--device {request.device} with --cluster: expected cpu, on which a cluster trains")
            fitting = cluster.wait_for_room("CPU")
            return cls(torch.device("cpu"), min(request.workers or fitting, fitting), fitting, cluster)
        device = choose_device(request.device)
        fitting = fitting_workers(device)
        return cls(device, request.workers or fitting, fitting)

    @property
    def n_at_once(self) -> int:
        return min(self.n_workers, self.fitting)
