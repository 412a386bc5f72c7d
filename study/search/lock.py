"""The lock on a study in a database server, for commands that share the database and no results folder."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeVar

import sqlalchemy
from optuna.storages import RDBStorage
from sqlalchemy.engine import Connection, Engine

from study import interrupts
from study.errors import LockedError, ResultsError, StorageAwayError
from study.search.storage import connect_arguments, explain_failures, shown_url

Result = TypeVar("Result")
AWAY_SECONDS = 60.0  # how long a server that went away is waited for
_PAUSES = (0.1, 5.0)  # seconds between two tries: at first, and at most
_LABEL = "digit-study "  # what the name of a lock's connection begins with, for the server's administrator
_LONGEST_NAME = 63  # bytes that the server keeps
# A holder whose machine lost power must not hold the study for the two hours that the system's defaults take.
_KEEP_ALIVE = {"tcp_keepalives_idle": 30, "tcp_keepalives_interval": 10, "tcp_keepalives_count": 3}  # seconds, tries

_TRY = sqlalchemy.text("SELECT pg_try_advisory_lock(:key), pg_postmaster_start_time()")
_HOLDER = sqlalchemy.text(
    "SELECT activity.application_name FROM pg_locks JOIN pg_stat_activity AS activity USING (pid) "
    "WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND activity.datname = current_database() "
    "AND (classid::bigint << 32 | objid::bigint) = :key"
)


class Guard(Protocol):
    """Does what writes to the storage, under the study's lock."""

    def __call__(self, action: Callable[[], Result]) -> Result: ...


def at_once(action: Callable[[], Result]) -> Result:
    """The guard of a storage that needs none."""
    return action()


class StorageLock:
    """Exclusive hold of a study in a PostgreSQL database, by an advisory lock of a session that does nothing else: the
    server ends it with the holder's death. SQLite needs none, because its file lies in the folder that is locked."""

    def __init__(self, storage: RDBStorage, name: str, say: Callable[[str], None]) -> None:
        self._engine = _lock_engine(storage)
        self._name = name
        self._say = say
        self._connection: Connection | None = None
        self._server_since: datetime | None = None
        self._patience = AWAY_SECONDS
        self._lost: LockedError | None = None

    def __enter__(self) -> StorageLock:
        if self._engine is not None:
            self._server_since = self._take(self._engine)
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()

    def guarded(self, action: Callable[[], Result]) -> Result:
        """Do `action` while the lock is held, anew after a server that went away has come back.

        StorageAwayError when it did not come back in time or a signal asks to end, LockedError when the lock is lost;
        neither is waited for twice.
        """
        if self._engine is None:
            return action()
        deadline, pause = time.monotonic() + self._patience, _PAUSES[0]
        said = False
        while True:
            try:
                self._confirm(self._engine)
                return action()
            except StorageAwayError as error:
                if interrupts.requested() or time.monotonic() + pause > deadline:
                    self._patience = 0.0
                    raise
                if not said:
                    self._say(f"{_first_part(error)}; trying again for {self._patience:.0f} s")
                    said = True
                time.sleep(pause)
                pause = min(2 * pause, _PAUSES[1])

    def _confirm(self, engine: Engine) -> None:
        """Make sure that the lock is held, or take it again from a server that was started anew."""
        if self._lost is not None:
            raise self._lost
        if self._connection is not None:
            try:
                self._connection.execute(sqlalchemy.select(1))
                return
            except StorageAwayError:
                self._let_go()
        since = self._take(engine)
        if since != self._server_since:
            self._server_since = since
            return
        # The server was there all the time: whoever ended the connection, another command may have come between.
        self._let_go()
        self._lost = LockedError(
            f"the lock on study '{self._name}' in {shown_url(engine)} is lost: its connection was ended; "
            "nothing finished is lost, continue with the same command"
        )
        raise self._lost

    def _take(self, engine: Engine) -> datetime:
        """Take the lock; returns since when the server runs. LockedError names whoever else holds it."""
        connection = engine.connect()
        try:
            holder = f"{_LABEL}process {os.getpid()} on {socket.gethostname()}"[:_LONGEST_NAME]
            for setting, value in {"application_name": holder, **_KEEP_ALIVE}.items():
                connection.execute(sqlalchemy.select(sqlalchemy.func.set_config(setting, str(value), False)))
            taken, since = connection.execute(_TRY, {"key": _key(self._name)}).one()
            if not taken:
                raise LockedError(
                    f"study '{self._name}' in {shown_url(engine)} is in use by {_holder(connection, self._name)}; "
                    "wait for it to end, or stop it, then run this again"
                )
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return since  # type: ignore[no-any-return]  # rows are untyped

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def storage_holder(storage: RDBStorage, name: str) -> str | None:
    """Who holds a study's lock in the storage, in words; None if nobody does, or if the storage has no such locks."""
    engine = _lock_engine(storage)
    if engine is None:
        return None
    with engine.connect() as connection:
        return _holder(connection, name)


def _holder(connection: Connection, name: str) -> str | None:
    holder = connection.execute(_HOLDER, {"key": _key(name)}).scalars().first()
    return None if holder is None else holder.removeprefix(_LABEL) or "another command"


def _lock_engine(storage: RDBStorage) -> Engine | None:
    """Connections of their own, outside the storage's pool and outside any transaction."""
    if storage.engine.dialect.name != "postgresql":
        return None
    engine = sqlalchemy.create_engine(
        storage.engine.url,
        poolclass=sqlalchemy.NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args=connect_arguments(storage.engine.url),
    )
    explain_failures(engine)
    return engine


def _key(name: str) -> int:
    """The lock's number: 64 bits with a sign, as the server wants them."""
    return int.from_bytes(hashlib.sha256(f"{_LABEL}{name}".encode()).digest()[:8], signed=True)


def _first_part(error: ResultsError) -> str:
    """What happened, without what to do about it."""
    return str(error).rpartition(";")[0]
