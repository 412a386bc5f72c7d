"""On what a command trains: this machine's cores and GPUs, or the machines of a cluster."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from study.errors import UsageError
from study.execution.installation import Installation
from study.execution.ray_address import Cluster
from study.records.ledger import Machine
from study.records.run import Precision
from study.stages.machine import choose_device, describe_machine, fitting_workers, machine_with
from study.stages.request import Request
from study.training.loop import choose_precision

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Hardware:
    """On what a command trains; `fitting` is how many workers this machine feeds, or the cluster's do."""

    device: torch.device
    precision: Precision
    machine: Machine
    n_workers: int
    fitting: int
    cluster: Cluster | None = None

    @classmethod
    def of(cls, request: Request, cluster: Cluster | None) -> Hardware:
        if cluster is not None:
            return _of_gpus(request, cluster) if _asks_for_gpus(request, cluster) else _of_cores(request, cluster)
        device = choose_device(request.device)
        fitting = fitting_workers(device)
        precision, machine = choose_precision(device), describe_machine(device)
        return cls(device, precision, machine, request.workers or fitting, fitting)

    @property
    def n_at_once(self) -> int:
        return min(self.n_workers, self.fitting)


def _asks_for_gpus(request: Request, cluster: Cluster) -> bool:
    """Whether a cluster's GPUs train, of which the machines without one have no part; UsageError for a device that no
    cluster has."""
    if request.device not in ("auto", "cpu", "cuda"):
        raise UsageError(
            f"--device {request.device} with --cluster: expected cpu, or cuda for the GPUs of all its machines"
        )
    n_gpus = sum(place.n_gpus for place in cluster.places().values()) if request.device == "auto" else 0
    if n_gpus:
        cluster.say(f"note: cores train; the cluster has free GPUs, {n_gpus} of them, which --device cuda would use")
    return request.device == "cuda"


def _of_cores(request: Request, cluster: Cluster) -> Hardware:
    fitting = cluster.wait_for_room("CPU")
    n_workers = min(request.workers or fitting, fitting)
    return Hardware(CPU, choose_precision(CPU), describe_machine(CPU), n_workers, fitting, cluster)


def _of_gpus(request: Request, cluster: Cluster) -> Hardware:
    """The lowest precision of its machines is computed by all."""
    from study.execution.hosts import gpu_machines  # loads Ray

    most = cluster.wait_for_room("GPU")
    seen = gpu_machines(cluster, Installation.here(CPU))
    precision: Precision = "bf16" if all(one.installation.precision == "bf16" for one in seen) else "fp32"
    fitting = max(1, min(most, sum(one.fitting or 0 for one in seen)))
    machine, n_workers = machine_with(gpu for one in seen for gpu in one.gpus), min(request.workers or fitting, fitting)
    return Hardware(torch.device("cuda"), precision, machine, n_workers, fitting, cluster)
