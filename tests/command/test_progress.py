"""What a person sees while a study works, on a clock that the test turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from types import SimpleNamespace

import pytest
from bench import Bench, Settings
from rich.console import Console

from study.command.progress import Reporter, clock
from study.records.paths import StudyFiles
from study.search.turns import Limits


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Clock:
    return Clock()


Said = Callable[[], list[str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    return lambda: [line.strip() for line in capsys.readouterr().err.splitlines()]


def test_times_of_seconds_minutes_and_hours() -> None:
    assert [clock(s) for s in (-1, 22, 300, 3599.6, 43_200)] == ["0:00", "0:22", "5:00", "1:00:00", "12:00:00"]


def test_the_time_left_is_the_command_s(watch: Clock, said: Said) -> None:
    reporter = Reporter(quiet=False, now=watch)
    reporter.stage("examine", seconds=20.0, after=10.0)
    reporter.step("latency")
    watch.now += 5
    reporter.step("baselines")
    reporter.step("baselines")
    watch.now += 50
    reporter.step("robustness")
    assert said() == ["examine …  0:30 left", "latency  0:30 left", "baselines  0:25 left", "robustness  0:10 left"]


def test_where_no_budget_says_what_follows_the_time_left_is_the_stage_s(watch: Clock, said: Said) -> None:
    reporter = Reporter(quiet=False, now=watch)
    reporter.stage("retrain", after=None)
    reporter.step("1 of 5", share=0.2)  # as an earlier command left it
    watch.now += 10
    reporter.step("3 of 5", share=0.6)
    reporter.stage("report")
    assert said() == ["retrain …", "1 of 5", "3 of 5  0:10 left of this stage", "report …"]


class Retraining:
    seconds_left, n_done, n_runs = 60.0, 0, 10


def test_retraining_has_an_estimate_before_its_first_run_has_ended(watch: Clock, said: Said) -> None:
    reporter, retraining = Reporter(quiet=False, now=watch), Retraining()
    reporter.stage("retrain", after=15.0)
    reporter.retrain(retraining, None)  # type: ignore[arg-type]
    assert reporter.left() == "1:15 left"
    retraining.n_done, retraining.seconds_left = 1, 50.0
    reporter.retrain(retraining, "mlp-t4-seed0")  # type: ignore[arg-type]
    assert said() == ["retrain …", "mlp-t4-seed0  1 of 10 runs  1:05 left"]


@pytest.mark.parametrize("terminal", [False, True])
def test_a_search_says_the_command_s_time(
    terminal: bool,
    files: StudyFiles,
    make_settings: Settings,
    watch: Clock,
    said: Said,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    reporter, bench = Reporter(quiet=False, now=watch), Bench(files, make_settings())
    search = bench.search(Limits(None, 1, None))
    for limits, after, left in (
        (Limits(None, None, watch.now + 100), 60.0, "2:40 left"),
        (Limits(None, 4, None), None, ""),
    ):
        search.limits = limits
        reporter.stage("search", after=after)
        reporter.search(search, None)
        assert reporter.left() == left
        reporter.search(search, bench.records[-1])
        reporter.end()
        assert any(line.endswith(f"best of its family  {left}".rstrip()) for line in said())
    bench.close()


def test_a_bar_says_what_examine_does_and_counts_on(
    watch: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    reporter = Reporter(quiet=False, now=watch)
    reporter.stage("examine", seconds=20.0, after=5.0)
    reporter.step("robustness to corrupted images")
    assert reporter._bar is not None
    reporter._bar.refresh()
    watch.now += 7
    reporter._bar.refresh()
    reporter.end()
    shown = capsys.readouterr().err
    assert "robustness to corrupted images" in shown
    assert "0:25 left" in shown
    assert "0:18 left" in shown
    assert "starting" not in shown


def test_quiet_says_nothing(watch: Clock, said: Said) -> None:
    reporter = Reporter(quiet=True, now=watch)
    reporter.stage("examine", seconds=20.0)
    reporter.step("latency")
    reporter.say("families: mlp, cnn")
    assert said() == []


@dataclass(frozen=True)
class Family:
    name: str
    counted: int
    best: SimpleNamespace


@pytest.mark.parametrize(
    ("n", "said"), [(2, "cnn 104, 99.01 %  mlp 104, 99.02 % "), (4, "416 trials, best mixer 99.04 %")]
)
def test_the_bar_of_a_search_is_one_line_at_80_columns(
    n: int, said: str, watch: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = ["cnn", "mlp", "transformer", "mixer"][:n]
    families = {name: Family(name, 104, SimpleNamespace(value=0.9901 + i / 1e4)) for i, name in enumerate(names)}
    search = SimpleNamespace(families=families, limits=Limits(deadline=watch.now + 3599))
    terminal = StringIO()
    reporter = Reporter(quiet=False, now=watch)
    reporter._console = Console(file=terminal, force_terminal=True, width=80, color_system=None)
    reporter.stage("search", 3599.0, 60.0)
    reporter.search(search, None)  # type: ignore[arg-type]
    assert reporter._bar is not None
    (shown,) = Console(width=80, color_system=None).render_lines(reporter._bar.get_renderable())
    reporter.end()
    line = "".join(piece.text for piece in shown)
    assert said in line
    assert "1:00:59 left" in line
    assert "…" not in line
