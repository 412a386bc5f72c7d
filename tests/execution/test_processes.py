"""The fork server: what it has loaded, what it keeps away from workers, and how executors do without it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from study.execution import processes
from study.execution.executors import ProcessExecutor
from study.execution.jobs import Died, Event, Finished, Job
from study.training.loop import Schedule, TrainingData

pytestmark = pytest.mark.skipif(not processes.FORKING, reason="workers are spawned here")
PATIENCE = 60.0  # seconds until an event that must come is given up
CONFIG = {
    "family": "mlp",
    "depth": 1,
    "width": [16],
    "activation": "relu",
    "normalisation": "none",
    "dropout": 0.0,
    "optimizer": "adamw",
    "learning_rate": 0.01,
    "batch_size": 50,
    "augmentation": "shift",
}
SHORT = Job("short", CONFIG, 0, Schedule((1,), ()))
LONG = Job("long", CONFIG, 0, Schedule((10**6,), ()))
Ask = Callable[[str], Any]


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Evaluates an expression in a process that was just forked from the server."""
    processes.start_server()
    with processes.worker_context().Pool(1) as pool:
        yield lambda expression: pool.apply(eval, (expression,))
        pool.close()
        pool.join()


def worker() -> psutil.Process:
    """The only process that this one has started and not ended."""
    (child,) = multiprocessing.active_children()
    return psutil.Process(child.pid)


def server() -> psutil.Process:
    parent = worker().parent()
    assert parent is not None
    return parent


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def event_of(executor: ProcessExecutor) -> Event:
    event = executor.next_event(PATIENCE)
    assert event is not None, "no event came"
    return event


def train_shortly(executor: ProcessExecutor) -> None:
    executor.submit(SHORT)
    end = event_of(executor)
    assert isinstance(end, Finished)
    assert end.reason is None


@pytest.mark.parametrize("module", ["study.execution.worker", "torch._dynamo", "torch.utils.flop_counter"])
def test_a_worker_is_born_with_all_that_training_needs(ask: Ask, module: str) -> None:
    assert ask(f"{module!r} in __import__('sys').modules")


TRAIN = """
import sys
import time
from study.execution.worker import train
before = set(sys.modules)
train(job, lambda *_: True, data=data, precision="bf16")
late = sorted(set(sys.modules) - before)
assert not late, late
"""


def test_training_loads_nothing_more(training_data: TrainingData) -> None:
    """What a first step loads late every worker would load for itself: it belongs to what the server loads."""
    processes.start_server()
    with processes.worker_context().Pool(1) as pool:
        pool.apply(exec, (TRAIN, {"job": SHORT, "data": training_data}))


def test_the_server_runs_one_thread(ask: Ask) -> None:
    assert server().num_threads() == 1


def test_the_server_never_looked_for_a_gpu(ask: Ask) -> None:
    # torch refuses a GPU to a process whose parent has looked for one, and says so on machines without one, too.
    assert ask("__import__('torch').cuda._is_in_bad_fork()") is False


def test_a_worker_inherits_no_open_file_of_the_driver(tmp_path: Path, training_data: TrainingData) -> None:
    path = tmp_path / "study.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    assert str(path) in {file.path for file in psutil.Process().open_files()}
    with ProcessExecutor(1, training_data):
        inherited = {file.path for file in worker().open_files()}
    connection.close()
    assert str(path) not in inherited


def test_a_worker_keeps_few_compiled_kernels(ask: Ask) -> None:
    """torch reads these sizes when it is loaded; with its own, a worker grows with every architecture it trains."""
    wanted = {name: os.environ.get(name, size) for name, size in processes.KERNEL_CACHES.items()}
    assert ask(f"{{name: __import__('os').environ.get(name) for name in {list(wanted)}}}") == wanted


def test_starting_the_server_leaves_the_environment_as_it_was() -> None:
    before = dict(os.environ)
    processes.start_server()
    assert dict(os.environ) == before


def test_a_server_that_was_killed_is_replaced(training_data: TrainingData) -> None:
    with ProcessExecutor(1, training_data) as executor:
        orphan = worker()
        executor.submit(LONG)
        server().send_signal(signal.SIGKILL)
        assert isinstance(event_of(executor), Died)
        train_shortly(executor)
        deadline = time.monotonic() + 10
        while is_alive(orphan) and time.monotonic() < deadline:
            os.sched_yield()
        assert not is_alive(orphan)


def test_without_a_fork_server_workers_are_spawned(
    training_data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "FORKING", False)
    with ProcessExecutor(1, training_data) as executor:
        assert server().pid == os.getpid()
        train_shortly(executor)


def test_the_server_takes_no_module_from_the_current_folder(tmp_path: Path) -> None:
    """The driver does not, since its own script lies elsewhere."""
    for name in ("torch.py", "study.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong module')")
    script = tmp_path / "scripts" / "driver.py"
    script.parent.mkdir()
    script.write_text(
        "from study.execution import processes\n"
        "if __name__ == '__main__':\n"
        "    processes.start_server()\n"
        "    with processes.worker_context().Pool(1) as pool:\n"
        "        print(pool.apply(eval, (\"'torch._dynamo' in __import__('sys').modules\",)))\n"
    )
    ended = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert (ended.stdout, ended.stderr) == ("True\n", "")
