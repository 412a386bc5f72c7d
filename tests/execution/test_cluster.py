"""Machines of a cluster that join, are lost and differ: all of them pretended, by Ray's processes on this one."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from clusters import CLUSTER, PATIENCE, Machines
from pretended_gpus import believing, install_service
from runs import run_record
from tiny_spaces import TINY_MLP

import study
from study.errors import StudyError
from study.execution.installation import Installation
from study.execution.jobs import Died, Event, Finished, Job, Report, RunTarget
from study.execution.joining import joined
from study.execution.ray_address import Cluster
from study.records.paths import RunFiles
from study.training.loop import TrainingData
from study.training.schedule import Schedule

pytestmark = CLUSTER
CONFIG = TINY_MLP


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    found = Machines()
    yield found
    found.end()


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def cluster(machines: Machines, said: list[str]) -> Iterator[Cluster]:
    with joined(machines.address, 1, PATIENCE, said.append) as cluster:
        yield cluster


@pytest.fixture
def start(cluster: Cluster, training_data: TrainingData) -> Iterator[Callable[..., Any]]:
    """Starts an executor over the cluster, which ends with the test."""
    from study.execution.cluster import ClusterExecutor

    started = []

    def start(limit: int | None = None, patience: float = PATIENCE, *, alike: bool = False, device: str = "cpu") -> Any:
        waiting = replace(cluster, patience=patience)
        started.append(ClusterExecutor(waiting, limit, training_data, alike=alike, device=device))
        return started[-1]

    yield start
    for executor in started:
        executor.close()


def until(executor: Any, done: Callable[[Event | None], bool]) -> Event | None:
    """The first event that is it, or None if that came about without one; reports before it are answered with go."""
    last = time.monotonic() + PATIENCE
    while time.monotonic() < last:
        event: Event | None = executor.next_event(0.1)
        if done(event):
            return event
        if isinstance(event, Report):
            executor.answer(event.job, True)
    raise AssertionError("it did not come about")


def wait_until(found: Callable[[], bool]) -> None:
    last = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < last, "it did not come about"
        os.sched_yield()


def of_kind(kind: type[Event]) -> Callable[[Event | None], bool]:
    return lambda event: isinstance(event, kind)


def job(name: str, folder: Path | None = None) -> Job:
    run = None if folder is None else RunTarget(str(folder), "digest", run_record(), state_seconds=0.0)
    return Job(name, CONFIG, 5, Schedule.whole(2000, 50), "train", run)


def test_machines_that_join_bring_workers_and_lost_ones_take_them(
    machines: Machines, start: Callable[..., Any], said: list[str]
) -> None:
    first = machines.add()
    executor = start(patience=0.5)
    assert executor.n_workers == 1
    executor.submit(job("on the first"))
    until(executor, of_kind(Report))  # which waits for its answer
    second = machines.add(2)
    until(executor, lambda _: executor.n_workers == 3)
    machines.kill(first)
    death = until(executor, of_kind(Died))
    assert isinstance(death, Died)
    assert (death.job.id, death.worker, death.exit_code) == ("on the first", 0, None)
    assert death.lost is not None
    assert death.lost.endswith("is lost")
    assert any(death.lost in text for text in said)
    assert executor.n_workers == 2
    assert [(node.workers, node.lost) for node in executor.nodes()] == [((0,), death.lost), ((1, 2), None)]
    executor.submit(death.job)
    again = until(executor, of_kind(Report))
    assert isinstance(again, Report)
    assert again.worker in (1, 2)
    machines.kill(second)
    with pytest.raises(StudyError, match=r"no worker came in 0 s: none of the cluster's \d machines? has a free CPU"):
        until(executor, lambda _: False)


def test_a_host_that_is_killed_is_replaced_three_times_while_no_job_of_it_ends(
    machines: Machines, start: Callable[..., Any], said: list[str]
) -> None:
    machine = machines.add()
    executor = start()
    for number in range(2):
        executor.submit(job(f"job {number}"))
        until(executor, of_kind(Report))
        (host,) = executor._hosts
        os.kill(host.about.process, signal.SIGKILL)
        death = until(executor, of_kind(Died))
        assert isinstance(death, Died)
        assert death.lost is not None
        assert death.lost.startswith("the host on machine ")
        assert any(death.lost in text for text in said)
        if number == 0:
            until(executor, lambda _: executor._hosts.n_workers == 1)
            assert [(node.workers, node.lost) for node in executor.nodes()] == [((0,), death.lost), ((1,), None)]
            executor._hosts._n_lost[host.id] = 3  # as if it had been so twice more
    assert any("is left alone: its host was lost 4 times, and no job ended between" in text for text in said)
    assert executor._hosts._are_all_refused()
    machines.kill(machine)


def test_where_machines_are_to_be_alike_one_of_another_kind_that_joins_is_left_out(
    machines: Machines, start: Callable[..., Any], said: list[str]
) -> None:
    first = machines.add()
    executor = start(alike=True)
    assert executor._hosts._only_kind == executor.nodes()[0].kind
    executor._hosts._only_kind = "Another Processor"  # as if the first had one
    second = machines.add(2)
    until(executor, lambda _: any("is left out: its kind is" in text for text in said))
    assert "that of the others Another Processor" in said[-1]
    assert executor.n_workers == 1
    for machine in (first, second):
        machines.kill(machine)


def test_a_run_of_a_lost_machine_goes_on_elsewhere_bit_for_bit(
    machines: Machines, start: Callable[..., Any], tmp_path: Path
) -> None:
    machine = machines.add()
    executor = start()
    cut, whole = job("cut", tmp_path / "cut"), job("whole", tmp_path / "whole")
    executor.submit(cut)
    until(executor, lambda event: isinstance(event, Report) and RunFiles(tmp_path / "cut").state.exists())
    machines.kill(machine)
    other = machines.add(2)
    until(executor, of_kind(Died))
    executor.submit(cut)
    resumed = until(executor, of_kind(Report))
    assert isinstance(resumed, Report)
    assert resumed.examples > 50 * 50, "it began anew"
    executor.answer(cut, True)
    executor.submit(whole)
    for _ in range(2):
        end = until(executor, of_kind(Finished))
        assert isinstance(end, Finished)
        assert end.reason is None
    found = [{path.name for path in folder.iterdir()} for folder in (tmp_path / "cut", tmp_path / "whole")]
    assert found[0] == found[1] >= {"DONE", "model.safetensors"}
    weights = [RunFiles(tmp_path / name).weights.read_bytes() for name in ("cut", "whole")]
    assert weights[0] == weights[1]
    machines.kill(other)


def test_a_machine_with_other_code_is_refused_by_name_and_a_study_beside_another_gets_what_is_left(
    machines: Machines, start: Callable[..., Any], cluster: Cluster, tmp_path: Path, said: list[str]
) -> None:
    shutil.copytree(Path(study.__file__).parent, tmp_path / "study")
    with (tmp_path / "study" / "training" / "optim.py").open("a", encoding="utf-8") as stream:
        stream.write("# edited\n")
    edited = machines.add(PYTHONPATH=str(tmp_path))
    refused = r"machine .* is another installation: this package's code \w+ \(here \w+\); install the same there"
    with pytest.raises(StudyError, match=refused):
        start()
    like = machines.add(2)
    executor = start(1)
    assert executor.n_workers == 1
    beside = start()
    assert beside.n_workers == 1
    executor.submit(job("a"))
    beside.submit(job("b"))
    for one in (executor, beside):
        report = until(one, of_kind(Report))
        assert isinstance(report, Report)
    for machine in (edited, like):
        machines.kill(machine)
    with pytest.raises(StudyError, match="has a free GPU and a free CPU; add a machine with `ray start --address="):
        replace(cluster, patience=0.0).wait_for_room("GPU")


def test_gpus_of_the_machines_train_all_of_a_machine_or_what_another_study_left(
    machines: Machines, start: Callable[..., Any], cluster: Cluster, tmp_path: Path
) -> None:
    """GPUs in which a machine's processes only believe: the workers train on its processor."""
    from study.execution.hosts import gpu_machines

    log = tmp_path / "log"
    path = f"{install_service(tmp_path / 'bin', log)}{os.pathsep}{os.environ['PATH']}"
    of_cores, of_gpus = machines.add(), machines.add(3, gpus=2, PATH=path, **believing(tmp_path, "Pretended A"))
    (seen,) = gpu_machines(cluster, Installation.here(torch.device("cpu")))
    assert (seen.gpus, seen.fitting) == (("Pretended A", "Pretended A"), 2)
    executor = start(device="cuda")
    (node,) = executor.nodes()
    assert (node.workers, node.gpus, node.kind) == ((0, 1), ("Pretended A", "Pretended A"), "Pretended A")
    for name in ("a", "b"):
        executor.submit(job(name))
    for _ in range(2):
        end = until(executor, of_kind(Finished))
        assert isinstance(end, Finished)
        assert end.reason is None
    served = log.read_text().split()
    assert sorted(word.partition("(")[2] for word in served) == ["GPU-0)", "GPU-1)"]  # a service for each
    executor.close()
    wait_until(lambda: log.read_text().split()[2:] == ["quit", "quit"])

    half = start(1, device="cuda")
    assert half.nodes()[0].gpus == ("Pretended A",)
    other = machines.add(1, gpus=1, **believing(tmp_path, "Pretended B"))
    with pytest.raises(StudyError, match=r"of 2 kinds \(.*Pretended [AB]: .*Pretended [AB]: "):
        start(device="cuda", alike=True)
    for machine in (of_cores, of_gpus, other):
        machines.kill(machine)
