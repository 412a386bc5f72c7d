"""Clusters for tests, all of them on this machine: the marks of tests that need one, and what is on it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from study.execution.executors import Executor, InProcessExecutor
from study.execution.joining import few_processes, joined
from study.execution.ray_address import check_address
from study.training.loop import TrainingData

# Ray leaves files and processes to the end of the process that uses it, of which Python warns.
CLUSTER = [pytest.mark.cluster, pytest.mark.filterwarnings("default")]
PATIENCE = 60.0
# As `--cluster local` has it; and what is on its way between machines, one of which is lost or has just come, is asked
# for again after a second, where Ray waits for ten.
_SYSTEM = {"worker_niceness": 0, "object_manager_pull_timeout_ms": 1000}


def skip_or_fail() -> None:
    """Without Ray a test is skipped, or fails where STUDY_TESTS_REQUIRE names cluster."""
    if importlib.util.find_spec("ray") is None:
        required = "cluster" in os.environ.get("STUDY_TESTS_REQUIRE", "").split(",")
        (pytest.fail if required else pytest.skip)("Ray is not installed: pip install 'digit-study[cluster]'")


def machines_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every death of a worker of this process be that of its machine."""
    replaced = InProcessExecutor._replace
    monkeypatch.setattr(
        InProcessExecutor, "_replace", lambda *words: replace(replaced(*words), lost="machine far is lost")
    )


@contextlib.contextmanager
def over_local_cluster(data: TrainingData) -> Iterator[Executor]:
    """An executor with one worker over a new cluster."""
    skip_or_fail()
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as resources:
        patch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # which is not asked for
        cluster = resources.enter_context(joined("local", 1, PATIENCE, lambda _: None))
        from study.execution.cluster import ClusterExecutor

        with ClusterExecutor(cluster, 1, data) as executor:
            yield executor


def workers_on_cluster(executor: Executor) -> list[int]:
    """The processes of the workers of all hosts of an executor."""
    hosts = [host.about.process for host in executor._hosts]  # type: ignore[attr-defined]
    below = [child for host in hosts for child in psutil.Process(host).children(recursive=True)]
    return [child.pid for child in below if "forkserver" in " ".join(child.cmdline()) and not child.children()]


class Machines:
    """A cluster of pretended machines: Ray's processes for each, with `cores` and a folder of their own. The first one
    has none, and is where the tests are."""

    def __init__(self) -> None:
        skip_or_fail()
        check_address("local")
        from ray.cluster_utils import Cluster

        self._small = {"object_store_memory": 10**8, "include_dashboard": False}
        self._folder = tempfile.mkdtemp(prefix="ray-")  # pytest's own has too long a name for a socket
        Path(tempfile.gettempdir(), "ray").mkdir(exist_ok=True)  # Ray writes an address into it, and does not make it
        head = {"num_cpus": 0, "temp_dir": self._folder, "_system_config": _SYSTEM, **self._small}
        with few_processes():
            self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address: str = self._cluster.address

    def add(self, cores: int = 1, gpus: int = 0, store: int = 10**8, **environment: str) -> Any:
        """`store` are bytes for objects on their way."""
        size = {**self._small, "object_store_memory": store}
        return self._cluster.add_node(num_cpus=cores, num_gpus=gpus, env_vars=environment or None, **size)

    def kill(self, machine: Any) -> None:
        """As when its power fails: all of Ray's processes there at once."""
        self._cluster.remove_node(machine, allow_graceful=False)

    def kill_head(self) -> None:
        self._cluster.head_node.kill_gcs_server(check_alive=False)

    def end(self) -> None:
        self._cluster.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)
