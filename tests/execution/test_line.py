from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from multiprocessing import AuthenticationError
from queue import SimpleQueue
from typing import Any

import pytest

from study.execution.line import Door, connect, converse

HERE, PATIENCE = "127.0.0.1", 60.0


def test_who_knows_the_key_is_let_in_alone_and_each_hears_the_other_until_one_is_gone() -> None:
    door = Door(HERE)
    outbox: SimpleQueue[Any] = SimpleQueue()
    heard: list[Any] = []
    with ThreadPoolExecutor(2) as pool:
        inside = pool.submit(door.let_in)
        with pytest.raises(AuthenticationError):
            connect(HERE, door.port, b"another key")
        outside = connect(HERE, door.port, door.key)
        there = inside.result(PATIENCE)
        talk = pool.submit(converse, outside, outbox, heard.append)
        for message in ("a job", "an answer", None):
            outbox.put(message)
        assert (there.recv(), there.recv()) == ("a job", "an answer")
        there.send("an event")
        there.close()
        talk.result(PATIENCE)
    assert heard == ["an event"]
    with pytest.raises(ConnectionRefusedError):
        connect(HERE, door.port, door.key)
