"""The fork server: what it has loaded, what it keeps away from workers, and how executors do without it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from study.errors import StudyError
from study.execution import processes
from study.execution.executors import ProcessExecutor
from study.execution.jobs import Died, Event, Finished, Job
from study.training.loop import TrainingData
from study.training.schedule import Schedule

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
import tempfile
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
        deadline = time.monotonic() + 60
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


TRAPS = sorted({*sys.stdlib_module_names, "study", "torch", "numpy", "optuna", "rich", "sqlalchemy"} - {"__main__"})
DRIVER = """
from study.execution import processes
if __name__ == "__main__":
    process = processes.start_process(print, ("trained",), "worker")
    process.join()
"""


@pytest.mark.parametrize("forking", [True, False])
def test_no_process_takes_a_module_from_the_current_folder(tmp_path: Path, forking: bool) -> None:
    """Neither the server nor a worker nor multiprocessing's tracker, which is a Python process, too."""
    for name in TRAPS:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'a').write('{name} ')")
    script = tmp_path / "scripts" / "driver.py"
    script.parent.mkdir()
    script.write_text(DRIVER.replace("process =", f"processes.FORKING = {forking}; process ="))
    ended = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert (ended.stdout, ended.stderr) == ("trained\n", "")
    assert not (tmp_path / "imported").exists(), (tmp_path / "imported").read_text()


SOCKET = """
import os, tempfile
from study.execution import processes
if __name__ == "__main__":
    process = processes.start_process(print, ("trained",), "worker")
    process.join()
    print(processes.get_temp_dir())
"""


@pytest.mark.parametrize("kind", ["long", "missing", "a file"])
def test_the_server_has_a_socket_whatever_the_folder_for_temporary_files(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / ("x" * 120) if kind == "long" else tmp_path / "tmp"
    if kind == "long":
        folder.mkdir()
    elif kind == "a file":
        folder.touch()
    (tmp_path / "driver.py").write_text(SOCKET)
    environment = {name: value for name, value in os.environ.items() if name not in ("TEMP", "TMP")}
    ended = subprocess.run(
        [sys.executable, tmp_path / "driver.py"],
        env=environment | {"TMPDIR": str(folder)},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert ended.stderr == ""
    trained, used = ended.stdout.split()
    assert trained == "trained"
    assert not Path(used).exists()
    assert not list(tmp_path.rglob("pymp-*"))


def test_no_folder_for_a_socket_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short, long = tmp_path, tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(processes, "_SHORT_FOLDERS", (str(tmp_path / "none"),))
    with pytest.raises(StudyError, match=r"TMPDIR .* 75 bytes at most, seen .*xxx.* set TMPDIR to such"):
        processes.short_folder()
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(short))
    assert processes.short_folder() == str(short)
