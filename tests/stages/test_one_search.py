"""The workers of a command: they end beside what follows, and nobody goes on before they have where that matters."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from study.stages import one_search
from study.stages.one_search import Workers

PATIENCE = 60.0


class Executor:
    """One whose workers end when they are let go."""

    n_workers = 2

    def __init__(self, error: Exception | None = None) -> None:
        self.let_go, self.has_ended, self._error = threading.Event(), threading.Event(), error

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.let_go.wait(PATIENCE)
        self.has_ended.set()
        if self._error is not None:
            raise self._error


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Workers]:
    def begin(resources: contextlib.ExitStack, *executors: Executor) -> Workers:
        session: Any = SimpleNamespace(
            cluster=None, n_workers=2, data=None, device=SimpleNamespace(type="cpu"), precision="fp32"
        )
        waiting = iter(executors)
        monkeypatch.setattr(one_search, "ProcessExecutor", lambda *_, **__: next(waiting))
        monkeypatch.setattr(one_search, "in_view", lambda _: "cpu")
        monkeypatch.setattr(one_search, "models_of", lambda _: ())
        monkeypatch.setattr(one_search, "shared_gpus", lambda _: contextlib.nullcontext([{}]))
        return Workers(session, resources)

    return begin


def test_workers_end_beside_what_follows_and_others_can_begin(start: Callable[..., Workers]) -> None:
    first, second = Executor(), Executor()
    with contextlib.ExitStack() as resources:
        workers = start(resources, first, second)
        assert workers.executor is first
        workers.let_end()
        assert not first.has_ended.is_set()
        assert workers.executor is second
        first.let_go.set()
        second.let_go.set()
        workers.close()
        assert first.has_ended.is_set()
        assert second.has_ended.is_set()
        workers.close()  # there are none


def test_a_command_ends_after_its_workers(start: Callable[..., Workers]) -> None:
    only = Executor()
    with contextlib.ExitStack() as resources:
        assert start(resources, only).executor is only
        only.let_go.set()
    assert only.has_ended.is_set()


def test_what_goes_wrong_while_they_end_is_told(start: Callable[..., Workers]) -> None:
    fails = Executor(OSError("no space"))
    fails.let_go.set()
    with contextlib.ExitStack() as resources:
        workers = start(resources, fails)
        assert workers.executor is fails
        workers.let_end()
        with pytest.raises(OSError, match="no space"):
            workers.close()
