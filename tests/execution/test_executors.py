"""One contract for all executors, on real tiny training; then what only processes can do."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import multiprocessing
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from clusters import CLUSTER, over_local_cluster, workers_on_cluster
from runs import run_record
from tiny_spaces import TINY_MLP

import study.execution.executors as executors_module
from study.execution.executors import Executor, InProcessExecutor, ProcessExecutor
from study.execution.jobs import (
    Died,
    Ended,
    EqualSeconds,
    Event,
    Finished,
    Job,
    Outcome,
    Reached,
    Report,
    RungMetrics,
    RunTarget,
)
from study.execution.worker import Answers, serve, train
from study.records.files import read_json
from study.records.paths import RunFiles
from study.records.run import read_record
from study.training.loop import TrainingData
from study.training.schedule import Schedule

CONFIG = TINY_MLP
SCHEDULE = Schedule((4, 4), (4, 8))
PATIENCE = 60.0  # seconds until an event that must come is given up
OVER_RAY = pytest.param("cluster", marks=CLUSTER)
KINDS = ("process", "in_process", OVER_RAY)


@pytest.fixture(scope="module")
def executors(training_data: TrainingData) -> Iterator[dict[str, Executor]]:
    """Those of this machine with one worker each, kept alive: every test leaves them idle."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    work = functools.partial(train, data=training_data, precision="fp32")
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(ProcessExecutor(1, training_data, precision="fp32", threads=1))
        yield {"process": process, "in_process": stack.enter_context(InProcessExecutor(1, work))}
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def over_ray(training_data: TrainingData) -> Iterator[Executor]:
    """The third kind with one worker, on a cluster of this machine alone."""
    with over_local_cluster(training_data) as executor:
        yield executor


@pytest.fixture(params=KINDS)
def executor(request: pytest.FixtureRequest) -> Executor:
    return executor_of(request.param, request)


def executor_of(kind: str, request: pytest.FixtureRequest) -> Executor:
    found: Executor = request.getfixturevalue("over_ray" if kind == "cluster" else "executors")
    return found if kind == "cluster" else found[kind]


def job(name: str = "a", schedule: Schedule = SCHEDULE, seed: int = 5, **config: Any) -> Job:
    return Job(name, CONFIG | config, seed, schedule)


def event_of(executor: Executor) -> Event:
    event = executor.next_event(PATIENCE)
    assert event is not None, "no event came"
    return event


def drain(executor: Executor, n_jobs: int) -> list[Event]:
    """All events until `n_jobs` ended, every report answered with go."""
    events: list[Event] = []
    while n_jobs:
        events.append(event_of(executor))
        if isinstance(events[-1], Report):
            executor.answer(events[-1].job, True)
        else:
            n_jobs -= 1
    return events


def test_a_job_reports_at_every_mark_and_finishes(executor: Executor) -> None:
    executor.submit(job())
    first, second, end = drain(executor, 1)
    assert isinstance(first, Report)
    assert isinstance(second, Report)
    assert isinstance(end, Finished)
    assert (first.examples, second.examples) == (200, 400)
    assert first.metrics.validation is not None
    assert 0 <= first.metrics.validation.accuracy <= 1
    assert len(pickle.dumps(first)) < 2000  # the logits stay where they are, or they would cross the pipe at every rung
    assert end.reason is None
    assert end.job.id == "a"
    assert end.outcome.n_parameters == 784 * 16 + 16 + 16 * 10 + 10
    assert end.outcome.training_seconds is not None
    assert 0 < end.outcome.training_seconds <= end.held_seconds


def test_rungs_of_equal_seconds_have_as_many_examples_as_were_measured(executors: dict[str, Executor]) -> None:
    equal = EqualSeconds((100, 300), CONFIG | {"batch_size": 10})
    executors["process"].submit(dataclasses.replace(job(batch_size=10), equal_seconds=equal))
    first, second, end = drain(executors["process"], 1)
    assert isinstance(first, Report)
    assert isinstance(second, Report)
    assert isinstance(end, Finished)
    scale = end.outcome.rung_scale
    assert scale is not None
    assert 1 / 8 <= scale <= 8
    for report, examples in ((first, 100), (second, 300)):
        assert report.examples == pytest.approx(examples * scale, abs=10)


def test_a_job_may_learn_from_a_part_of_the_images(executor: Executor, training_data: TrainingData) -> None:
    some, seen = dataclasses.replace(job(), images=60), list[RungMetrics]()
    executor.submit(some)
    executor.submit(job("b"))
    events = drain(executor, 2)
    part = training_data.learning_from(60)
    train(job(), lambda _, metrics: seen.append(metrics) or True, data=part, precision="fp32")
    told = {name: [e.metrics for e in events if isinstance(e, Report) and e.job.id == name] for name in ("a", "b")}
    assert [one.train_loss for one in told["a"]] == pytest.approx([one.train_loss for one in seen])
    assert told["a"][1].train_loss != told["b"][1].train_loss


def test_a_worker_trains_on_until_it_is_told_not_to() -> None:
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        answers, seen = Answers(theirs), RungMetrics(1.0, 0.1, 0.1, None)
        assert answers.tell(100, seen)
        assert answers.goes_on()  # as long as nothing is said
        assert ours.recv() == Reached(100, seen)
        ours.send(True)
        assert answers.tell(200, seen)  # one answer at most is to come: it has waited for the first
        assert ours.recv() == Reached(200, seen)
        ours.send(False)
        assert not answers.goes_on()
        assert not answers.tell(300, seen)
        assert not answers.settle()
        assert not ours.poll()  # of the third nothing was said


def test_what_is_answered_to_a_job_that_failed_is_no_job() -> None:
    def failing(job: Job, answers: Answers) -> Outcome:
        assert answers.tell(100, RungMetrics(1.0, 0.1, 0.1, None))
        raise ValueError(job.id)

    ours, theirs = multiprocessing.Pipe()
    thread = threading.Thread(target=serve, args=(theirs, failing), daemon=True)
    thread.start()
    with ours, theirs:
        for name in ("a", "b"):
            ours.send(job(name))
            assert isinstance(ours.recv(), Reached)
            ours.send(True)
            assert ours.recv() == Ended(f"ValueError: {name}", Outcome())
        ours.send(None)
        thread.join()


def test_a_job_that_is_stopped_does_not_train_to_its_next_mark(executors: dict[str, Executor]) -> None:
    far = 2_000_000  # steps, of which PATIENCE does not see the end
    executors["process"].submit(job(schedule=Schedule((4, far), (4, 4 + far))))
    report = event_of(executors["process"])
    assert isinstance(report, Report)
    executors["process"].answer(report.job, False)
    assert isinstance(event_of(executors["process"]), Finished)


def test_stop_ends_a_job_at_its_mark(executor: Executor) -> None:
    executor.submit(job())
    report = event_of(executor)
    executor.answer(report.job, False)
    end = event_of(executor)
    assert isinstance(end, Finished)
    assert end.reason is None


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"optimizer": "sgd", "learning_rate": 1e30}, "not finite by step 4"),
        ({"activation": "swish"}, "configuration of family 'mlp': key 'activation'"),
        ({"batch_size": "many"}, "batch_size"),
    ],
)
def test_a_failure_becomes_a_reason_of_one_line_and_the_worker_goes_on(
    executor: Executor, config: dict[str, Any], reason: str
) -> None:
    executor.submit(job(**config))
    end = drain(executor, 1)[-1]
    assert isinstance(end, Finished)
    assert reason in str(end.reason)
    assert "\n" not in str(end.reason)
    executor.submit(job())
    assert drain(executor, 1)[-1].job.id == "a"


def test_more_jobs_than_workers_wait_their_turn(executor: Executor) -> None:
    for name in "abc":
        executor.submit(job(name))
    assert list(executor.running()) == ["a"]
    ends = [event.job.id for event in drain(executor, 3) if isinstance(event, Finished)]
    assert ends == ["a", "b", "c"]
    assert executor.running() == {}


def test_what_no_worker_has_started_can_be_withdrawn(executor: Executor) -> None:
    for name in "abc":
        executor.submit(job(name))
    assert [waiting.id for waiting in executor.withdraw()] == ["b", "c"]
    assert executor.withdraw() == []
    assert [event.job.id for event in drain(executor, 1)] == ["a", "a", "a"]
    assert executor.next_event(0) is None


def test_an_idle_executor_has_no_event(executor: Executor) -> None:
    assert executor.next_event(0.01) is None
    assert executor.n_workers == 1
    (node,) = executor.nodes()
    assert (node.name, node.workers, node.lost) == (socket.gethostname(), (0,), None)


def test_a_run_writes_its_folder(executor: Executor, tmp_path: Path) -> None:
    target = RunTarget(str(tmp_path / "run"), "digest", run_record())
    executor.submit(Job("run", CONFIG, 5, SCHEDULE, "train", target))
    drain(executor, 1)
    files = RunFiles(tmp_path / "run")
    assert read_json(files.done) == {"hash": "digest"}
    metrics = read_json(files.metrics)
    assert (metrics["examples"], metrics["steps"]) == (400, 8)
    assert metrics["training_seconds"] <= metrics["seconds"]
    assert files.validation.exists()
    assert read_record(files).node == executor.nodes()[0].name


def without_seconds(events: list[Event]) -> list[RungMetrics]:
    return [dataclasses.replace(event.metrics, training_seconds=0.0) for event in events if isinstance(event, Report)]


@pytest.mark.parametrize("kind", ["process", OVER_RAY])
def test_all_executors_compute_the_same(
    executors: dict[str, Executor], kind: str, request: pytest.FixtureRequest
) -> None:
    found = []
    for executor in (executors["in_process"], executor_of(kind, request)):
        executor.submit(job(seed=11))
        found.append(without_seconds(drain(executor, 1)))
    assert found[0] == found[1]


def test_another_seed_computes_another_thing(executors: dict[str, Executor]) -> None:
    found = []
    for seed in (1, 2, 1):
        executors["in_process"].submit(job(seed=seed))
        found.append(without_seconds(drain(executors["in_process"], 1)))
    assert found[0] == found[2] != found[1]


# --- processes alone -------------------------------------------------------------------------------------------------


def pid_of(executor: Executor, worker: int) -> int:
    """Of a worker of an executor that has one, if it is on a cluster."""
    if isinstance(executor, ProcessExecutor):
        return next(
            int(child.pid or 0) for child in multiprocessing.active_children() if child.name == f"worker-{worker}"
        )
    (pid,) = workers_on_cluster(executor)
    return pid


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("kind", ["process", OVER_RAY])
def test_a_killed_worker_is_reported_and_replaced(
    kind: str, request: pytest.FixtureRequest, sent: signal.Signals
) -> None:
    executor = executor_of(kind, request)
    executor.submit(job("victim"))
    executor.submit(job("next"))
    report = event_of(executor)
    os.kill(pid_of(executor, report.worker), sent)
    death = event_of(executor)
    assert isinstance(death, Died)
    assert death.job.id == "victim"
    assert (death.exit_code, death.lost) == (-sent, None)
    executor.answer(death.job, True)  # too late, and harmless
    end = drain(executor, 1)[-1]
    assert isinstance(end, Finished)
    assert (end.job.id, end.reason) == ("next", None)


@pytest.mark.parametrize("niceness", [pytest.param(psutil.Process().nice(), marks=CLUSTER)])
def test_training_on_a_cluster_of_this_machine_is_as_urgent_as_the_command(over_ray: Executor, niceness: int) -> None:
    """Ray would have it wait for whatever else computes."""
    assert {psutil.Process(pid).nice() for pid in workers_on_cluster(over_ray)} == {niceness}


DRIVER = """
import contextlib, signal, psutil, torch
from study.execution.executors import ProcessExecutor
from study.execution.jobs import Job
from study.training.loop import TrainingData
from study.training.schedule import Schedule

def of_processes(data):
    return ProcessExecutor(2, data)

@contextlib.contextmanager
def over_ray(data):
    from study.execution.joining import joined
    with joined("local", 2, 60.0, lambda text: None) as cluster:
        from study.execution.cluster import ClusterExecutor
        with ClusterExecutor(cluster, 2, data) as executor:
            yield executor

if __name__ == "__main__":
    images = torch.zeros(200, 28, 28, dtype=torch.uint8)
    data = TrainingData(images, torch.arange(200) % 10, torch.arange(100), torch.arange(100, 200), 0.1, 0.3, 10)
    config = {config!r}
    with contextlib.suppress(KeyboardInterrupt), {kind}(data) as executor:
        executor.submit(Job("long", config, 0, Schedule((10**6,), (1, 10**6))))
        executor.answer(executor.next_event(60).job, True)  # now it trains and will not look at its pipe again
        executor.next_event(0)
        print(*(child.pid for child in psutil.Process().children(recursive=True)), flush=True)
        signal.pause()
"""


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("kind", ["of_processes", pytest.param("over_ray", marks=CLUSTER)])
def test_nothing_is_left_of_a_driver_that_ends_by_a_signal(tmp_path: Path, kind: str, sent: signal.Signals) -> None:
    """Its workers, the server that they were forked from, multiprocessing's own tracker, and their files."""
    script = tmp_path / "driver.py"
    script.write_text(DRIVER.replace("{config!r}", repr(CONFIG)).replace("{kind}", kind))
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryDirectory() as folder,  # pytest's own has too long a name for a socket
        subprocess.Popen(
            [sys.executable, script],
            # torch's own cache is one for all runs, and none of their files.
            env={**os.environ, "TMPDIR": folder, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)},
            stdout=pipe,
            stderr=pipe,
            text=True,
            process_group=0,
        ) as driver,
    ):
        assert driver.stdout is not None
        children = [int(pid) for pid in driver.stdout.readline().split()]
        assert len(children) >= 3
        assert all(is_alive(pid) for pid in children)
        if sent == signal.SIGINT:
            os.killpg(driver.pid, sent)  # as a terminal does
        else:
            driver.send_signal(sent)
        assert driver.communicate(timeout=PATIENCE) == ("", "")
        deadline = time.monotonic() + PATIENCE
        while any(is_alive(pid) for pid in children) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not [pid for pid in children if is_alive(pid)]
        assert not list(Path(folder).iterdir())


def test_closing_ends_idle_and_busy_workers(training_data: TrainingData) -> None:
    before = {child.pid for child in multiprocessing.active_children()}
    with ProcessExecutor(2, training_data) as executor:
        mine = {child.pid for child in multiprocessing.active_children()} - before
        executor.submit(job())
        event_of(executor)
    assert len(mine) == 2
    assert not any(is_alive(pid) for pid in mine)


@pytest.mark.parametrize("raised", ["at once", "while training"])
def test_a_worker_ends_when_its_device_no_longer_serves_it(
    training_data: TrainingData, monkeypatch: pytest.MonkeyPatch, raised: str
) -> None:
    """Later jobs would all fail with it. What a GPU says then is raised by hand: none can be broken here."""
    ours, theirs = multiprocessing.Pipe()
    ours.send(job())

    def broken(*_: object, **__: object) -> None:
        raise torch.AcceleratorError("an illegal memory access was encountered")

    work = broken
    if raised == "while training":
        monkeypatch.setattr("study.execution.worker.fit", broken)
        work = functools.partial(train, data=training_data, precision="fp32")
    with pytest.raises(torch.AcceleratorError):
        serve(theirs, work)
    assert not ours.poll()


def test_workers_are_spread_over_the_gpus_and_replaced_in_place(
    training_data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker's environment is its last argument; the processes are pretended."""
    started: list[tuple[str, dict[str, str]]] = []

    def start(_: object, arguments: tuple[Any, ...], name: str) -> Any:
        started.append((name, arguments[-1]))
        return SimpleNamespace(
            sentinel=None, exitcode=1, join=lambda _: None, is_alive=lambda: False, close=lambda: None
        )

    monkeypatch.setattr(executors_module, "start_process", start)
    views = [{"CUDA_VISIBLE_DEVICES": name} for name in ("GPU-a", "GPU-b")]
    with ProcessExecutor(3, training_data, environments=views) as executor:
        assert started == [("worker-0", views[0]), ("worker-1", views[1]), ("worker-2", views[0])]
        for name in "ab":
            executor.submit(job(name))
        assert [event_of(executor).job.id for _ in "ab"] == ["a", "b"]  # nobody is at the other end of their pipes
        assert started[3:] == [("worker-0", views[0]), ("worker-1", views[1])]
