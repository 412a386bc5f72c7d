"""What is said of an address before Ray is asked, and of machines that are unlike; no cluster is needed."""

from __future__ import annotations

import socket
import sys
from dataclasses import replace

import pytest
import torch

from study.errors import StudyError, UsageError
from study.execution.installation import Installation
from study.execution.ray_address import check_address


@pytest.mark.parametrize("address", ["nonsense", ":6379", "host:", "host:0", "host:70000", "host:six"])
def test_an_address_that_can_be_none_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    for given, named in ((address, "--cluster"), ("auto", "RAY_ADDRESS")):
        with pytest.raises(UsageError, match=f"{named} '{address}' is not usable: expected local, auto or HOST:PORT"):
            check_address(given)


def test_without_ray_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")  # restored after it was changed
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(StudyError, match=r"--cluster auto needs Ray: pip install 'digit-study\[cluster\]'"):
        check_address("auto")


def test_an_address_at_which_nobody_answers_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", sys)  # whatever is there
    with socket.socket() as taken:  # bound, and never listened at
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(StudyError, match=rf"nobody answers there .*`ray start --head --port={port}`"):
            check_address(f"127.0.0.1:{port}")


def test_what_keeps_another_machine_from_the_same_results_is_named() -> None:
    ours = replace(Installation.here(torch.device("cpu")), precision="bf16")
    assert ours.difference(ours) is None
    unlike = replace(
        ours, versions={**ours.versions, "torch": "1.0", "Python": "3.9.1"}, code="0" * 12, precision="fp32"
    )
    named = ours.difference(unlike)
    assert named is not None
    for part in ("Python 3.9.1 (here ", "torch 1.0 (here ", "code 000000000000 (here ", "precision fp32 (here bf16)"):
        assert part in named
    assert replace(ours, precision="fp32").difference(ours) is None  # which every machine computes
