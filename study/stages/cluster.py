"""Joining the cluster on which a command trains. Imports no torch, so that it can begin before torch is there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from study.execution.joining import Asked, Wanted, joining
from study.execution.ray_address import Cluster, Say
from study.stages.cores import available_cores
from study.stages.request import Request


@contextlib.contextmanager
def joining_cluster(request: Request, *, trains: bool = True) -> Iterator[Callable[[Say], Cluster | None]]:
    """Begin to join the cluster that a command asks for, which is left at the end of the block. What is yielded waits
    until it is joined; it gives None where a command asks for none. What a command needs that `trains` begins there
    meanwhile."""
    if request.cluster is None:
        yield lambda say: None
        return
    # Which machines have GPUs that serve is asked first.
    workers = Wanted(request.workers, "cpu") if trains and request.device in ("auto", "cpu") else None
    cores, machines = request.workers or available_cores(), request.cluster_machines
    with joining(Asked(request.cluster, cores, request.cluster_patience, machines, workers)) as begun:
        yield begun.wait
