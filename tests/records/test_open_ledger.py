from __future__ import annotations

from pathlib import Path

import pytest

from study.records import open_ledger as module
from study.records.files import read_json
from study.records.open_ledger import OpenLedger


class Clock:
    """Stands in for the time module: the monotonic clock moves by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_start_up_is_charged_too(tmp_path: Path, clock: Clock) -> None:
    ledger = OpenLedger.open(tmp_path / "ledger.json", "study run", clock.now - 2.0, {})
    assert ledger.used == 2.0
    assert ledger.left(300) == 298.0


def test_seconds_are_summed_over_commands(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "ledger.json"
    for seconds in (10.0, 5.0):
        ledger = OpenLedger.open(path, "study run", clock.now, {"torch": "2"})
        clock.now += seconds
        ledger.save()
        clock.now += 1000  # nobody works between commands
    again = OpenLedger.open(path, "study report", clock.now, {})
    assert again.used_before == again.used == 15.0
    assert [command["seconds"] for command in read_json(path)["commands"]] == [10.0, 5.0]
    assert read_json(path)["commands"][0]["versions"] == {"torch": "2"}


def test_a_stage_is_charged_over_commands_and_when_it_fails(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "ledger.json"
    ledger = OpenLedger.open(path, "study run", clock.now, {})
    with pytest.raises(RuntimeError), ledger.stage("search"):  # noqa: PT012
        clock.now += 4
        assert (ledger.stage_seconds("search"), ledger.stage_seconds_now("search")) == (0.0, 4.0)
        raise RuntimeError
    ledger = OpenLedger.open(path, "study run", clock.now, {})
    with ledger.stage("search"):
        clock.now += 3
        assert (ledger.stage_seconds("search"), ledger.stage_seconds_now("search")) == (4.0, 7.0)
    assert (ledger.stage_seconds("search"), ledger.stage_seconds_now("search")) == (7.0, 7.0)
    assert ledger.stage_seconds("report") == 0.0


@pytest.mark.parametrize("stage", ["ablation", "audit"])
def test_an_examination_on_request_takes_nothing_from_the_budget(tmp_path: Path, clock: Clock, stage: str) -> None:
    path = tmp_path / "ledger.json"
    ledger = OpenLedger.open(path, "study run", clock.now, {})
    clock.now += 10
    ledger.save()
    began = clock.now
    clock.now += 3  # starting up
    ledger = OpenLedger.open(path, "study examine", began, {})
    with ledger.stage(stage):
        clock.now += 600
        ledger.tick()  # a kill after it changes nothing
        assert OpenLedger.open(path, "study run", clock.now, {}).left(300) == 290.0
    ledger.save()
    again = OpenLedger.open(path, "study run", clock.now, {})
    assert (again.left(300), again.stage_seconds(stage)) == (290.0, 600.0)


def test_a_command_that_finds_nothing_to_do_takes_nothing_from_the_budget(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "ledger.json"
    ledger = OpenLedger.open(path, "study run", clock.now, {})
    clock.now += 9  # starting up
    ledger.charge_nothing()
    ledger.save()
    assert (ledger.used, OpenLedger.open(path, "study run", clock.now, {}).left(300)) == (0.0, 300.0)


def test_an_examination_of_the_study_s_own_is_part_of_its_budget(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "ledger.json"
    with OpenLedger.open(path, "study examine", clock.now, {}).stage("examine"):
        clock.now += 20
    assert OpenLedger.open(path, "study run", clock.now, {}).left(300) == 280.0


def test_what_another_ledger_is_charged_is_not_charged_here(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "ledger.json"
    ledger = OpenLedger.open(path, "study run", clock.now, {})
    clock.now += 3
    with ledger.paused():
        other = OpenLedger.open(tmp_path / "other.json", "study run", clock.now, {})
        clock.now += 50
        assert (other.used, read_json(path)["commands"][0]["seconds"]) == (50.0, 3.0)  # a kill now forgets nothing
        assert ledger.used == 3.0
    clock.now += 2
    assert ledger.used == 5.0
    with pytest.raises(RuntimeError), ledger.paused():  # noqa: PT012
        clock.now += 7
        raise RuntimeError
    ledger.save()
    assert [command["seconds"] for command in read_json(path)["commands"]] == [5.0]


def test_a_kill_in_a_long_stage_forgets_at_most_five_seconds(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "ledger.json"
    ledger = OpenLedger.open(path, "study run", clock.now, {})
    with ledger.stage("search"):
        for _ in range(97):
            clock.now += 1
            ledger.tick()
        killed = OpenLedger.open(path, "study run", clock.now, {})
        assert killed.used_before >= 92
        assert killed.stage_seconds("search") >= 92
        assert ledger.stage_seconds("search") == 0.0  # what runs now is not counted twice
    assert ledger.stage_seconds("search") == 97.0


def test_a_tick_seldom_writes(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "ledger.json"
    ledger = OpenLedger.open(path, "study run", clock.now, {})
    ledger.save()
    written = path.stat().st_mtime_ns
    clock.now += 1
    ledger.tick()
    assert path.stat().st_mtime_ns == written
