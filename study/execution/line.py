"""A connection between the driver and a host, on which each says what is new. Between machines of a cluster it needs
what Ray's own connections do: that they reach each other. Imports no torch.

A call of Ray's took two milliseconds, and a worker trains in vain until it is told to stop.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from collections.abc import Callable
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from queue import SimpleQueue
from typing import Any

_ANSWER_SECONDS = 30.0
# So that no firewall on the way forgets a line on which nothing is said for long, and each end notices, after two
# minutes, that the other is out of reach.
_PROBES = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}  # seconds, seconds, probes; not on every system


class Door:
    """Where one other process may connect that knows the `key`."""

    def __init__(self, address: str) -> None:
        self._server = socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.port: int = self._server.getsockname()[1]
        self.key = secrets.token_bytes(32)

    def let_in(self) -> Connection:
        """The connection to it, once it is there; whoever does not know the key is sent away."""
        with self._server:
            while True:
                line = _line(self._server.accept()[0])
                with contextlib.suppress(AuthenticationError, EOFError, OSError):
                    deliver_challenge(line, self.key)
                    answer_challenge(line, self.key)
                    return line
                line.close()


def connect(address: str, port: int, key: bytes) -> Connection:
    """The connection to a door. OSError, EOFError or AuthenticationError where there is none."""
    line = _line(socket.create_connection((address, port), _ANSWER_SECONDS))
    answer_challenge(line, key)
    deliver_challenge(line, key)
    return line


def converse(line: Connection, outbox: SimpleQueue[Any], hear: Callable[[Any], None]) -> None:
    """Send what is put into the outbox, up to a None, and hear what comes, until the other process is gone. Sending has
    a thread: a state of a run is large, and a machine that is cut from the network takes none."""

    def send() -> None:
        with contextlib.suppress(OSError):
            while (message := outbox.get()) is not None:
                line.send(message)

    threading.Thread(target=send, daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        while True:
            hear(line.recv())


def _line(end: socket.socket) -> Connection:
    end.settimeout(None)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else a message may wait for word of the one before
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _PROBES.items():
        if hasattr(socket, name):
            end.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return Connection(end.detach())
