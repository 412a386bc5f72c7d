"""A private PostgreSQL server for tests: its own folder, a free port on loopback, an account that is not root."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PASSWORD = "kolibri-7f3a"
_ACCOUNTS = ("postgres", "nobody")  # whom root hands the server to, which refuses to be root's
# Waits until nobody holds the other end of its pipe: the tests closed it, or ended without a chance to.
_WATCH = 'read _; "$1" stop -m immediate -D "$2/data"; rm -rf "$2"'


def _folder_of_binaries() -> Path | None:
    candidates = [Path(found).resolve().parent] if (found := shutil.which("initdb")) else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    needed = ("initdb", "pg_ctl", "postgres")
    return next((folder for folder in candidates if all((folder / name).exists() for name in needed)), None)


BINARIES = _folder_of_binaries()


def missing() -> str | None:
    """Why there can be no server here."""
    if BINARIES is None:
        return "PostgreSQL is not installed: no initdb in PATH or /usr/lib/postgresql/*/bin"
    return None if importlib.util.find_spec("psycopg") else "psycopg is not installed"


def skip_or_fail() -> None:
    """Without a server a test is skipped, or fails where STUDY_TESTS_REQUIRE names postgresql."""
    reason = missing()
    if reason is not None:
        required = "postgresql" in os.environ.get("STUDY_TESTS_REQUIRE", "").split(",")
        (pytest.fail if required else pytest.skip)(reason)


class Server:
    """`url()` is an empty database of its own at each call."""

    def __init__(self, folder: Path) -> None:
        assert BINARIES is not None
        self._binaries, self._folder, self._data = BINARIES, folder, folder / "data"
        self._account = _account()
        self._who: dict[str, Any] = {"cwd": folder, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}}
        if self._account is not None:
            self._who |= {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
        self._n_databases = 0
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        if self._account is not None:
            os.chown(folder, self._account.pw_uid, self._account.pw_gid)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._call("initdb", "-D", self._data, "-U", "study", "-A", "scram-sha-256", "--pwfile", secret, "-E", "UTF8")
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write(f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nfsync = off\nshared_buffers = 16MB\n")
            settings.write(f"unix_socket_directories = '{folder}'\n")

    def _call(self, program: str, *words: object) -> None:
        command = [str(self._binaries / program), *map(str, words)]
        with tempfile.TemporaryFile() as said:  # no pipe: the server would keep it open
            ended = subprocess.run(command, stdout=said, stderr=said, **self._who)
            said.seek(0)
            assert ended.returncode == 0, said.read().decode()

    def watch(self) -> subprocess.Popen[bytes]:
        """A process that ends the server and removes its folder when this one lets go of it or is gone, killed or not.
        In a session of its own: what is sent to this process's group, by a terminal or by timeout, leaves it alone."""
        command = ["sh", "-c", _WATCH, "sh", str(self._binaries / "pg_ctl"), str(self._folder)]
        nowhere = subprocess.DEVNULL
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere, start_new_session=True, **self._who
        )

    def start(self) -> None:
        self._call("pg_ctl", "start", "-w", "-D", self._data, "-l", self._folder / "log")

    def stop(self) -> None:
        """As an administrator does: clients are sent away."""
        self._call("pg_ctl", "stop", "-w", "-m", "fast", "-D", self._data)

    def url(self, *, password: str | None = PASSWORD) -> str:
        self._n_databases += 1
        name = f"test{self._n_databases}"
        self.execute("postgres", f"CREATE DATABASE {name}")
        return self.url_of(name, password=password)

    def url_of(self, database: str, *, password: str | None = PASSWORD) -> str:
        secret = "" if password is None else f":{password}"
        return f"postgresql+psycopg://study{secret}@127.0.0.1:{self.port}/{database}"

    def execute(self, database: str, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement as the administrator; its rows, if it has any."""
        import psycopg

        words = {"host": "127.0.0.1", "port": self.port, "dbname": database, "user": "study", "password": PASSWORD}
        with psycopg.connect(autocommit=True, **words) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description is not None else []


def _account() -> pwd.struct_passwd | None:
    """Who is to run the server: None is whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    for name in _ACCOUNTS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    pytest.fail(f"root may not run PostgreSQL, and none of the accounts {_ACCOUNTS} exists")


@contextlib.contextmanager
def running_server() -> Iterator[Server]:
    # pytest's own folders are closed to other accounts, and too long for a socket's name.
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as folder:
        server = Server(Path(folder))
        with server.watch():
            server.start()
            yield server
