"""The server that tests start for themselves ends with them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from postgresql import skip_or_fail

PATIENCE = 60.0  # seconds
SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from postgresql import running_server
with running_server() as server:
    [(folder,)] = server.execute("postgres", "SHOW data_directory")
    print(server.port, folder, flush=True)
    sys.stdin.read()
"""


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("sent", [None, signal.SIGTERM, signal.SIGKILL])
def test_a_server_ends_with_the_process_that_started_it(sent: signal.Signals | None) -> None:
    skip_or_fail()
    script = SCRIPT.format(tests=str(Path(__file__).parent))
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        port, data = process.stdout.readline().split()
        folder = Path(data).parent
        assert answers(int(port))
        assert folder.is_dir()
        if sent is not None:
            process.send_signal(sent)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == (0 if sent is None else -sent)
    deadline = time.monotonic() + (0 if sent is None else PATIENCE)
    while (answers(int(port)) or folder.exists()) and time.monotonic() < deadline:
        os.sched_yield()
    assert not answers(int(port))
    assert not folder.exists()
