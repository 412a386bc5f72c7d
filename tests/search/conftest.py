from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.engine import Engine


def _no_sync(connection: Any, _: object) -> None:
    if hasattr(connection, "execute"):
        connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No power fails in these tests: hundreds of trials need not wait for the disk."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    sqlalchemy.event.listen(Engine, "connect", _no_sync)
    yield
    sqlalchemy.event.remove(Engine, "connect", _no_sync)
