"""Progress on stderr: a bar at a terminal, a line for each trial and run in a pipe."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from study.evaluation.finalists import Retraining
from study.search.driver import Search
from study.search.family import FamilySearch


def percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{100 * fraction:.2f} %"


def clock(seconds: float) -> str:
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02d}"


class Reporter:
    """What a person sees while a study works. Silent with `quiet`."""

    def __init__(self, quiet: bool) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._began = time.monotonic()
        self._last_best: dict[str, float] = {}

    def say(self, text: str) -> None:
        self._console.print(text, markup=False)

    def stage(self, name: str) -> None:
        self.end()
        self._began = time.monotonic()
        if self._console.is_terminal:
            columns = (
                TextColumn("[bold]{task.fields[stage]:<8}"),
                BarColumn(bar_width=16),
                TextColumn("{task.description}"),
            )
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task("starting", total=1.0, stage=name)
        else:
            self.say(f"{name} …")

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def search(self, search: Search, record: dict[str, Any] | None) -> None:
        done, left = _search_share(search, self._began)
        if self._bar is not None and self._task is not None:
            best = "  ".join(_standing(family) for family in search.families.values())
            self._bar.update(self._task, completed=done, description=f"{best}  {left}")
        if record is None:
            return
        best_value = search.families[record["family"]].best
        is_best = best_value is not None and best_value["number"] == record["number"]
        if self._bar is None or is_best:
            self.say(f"  {_trial_line(record)}{'  best of its family' if is_best else ''}  {left}")

    def retrain(self, retraining: Retraining, run: str | None) -> None:
        done = retraining.n_done / max(1, retraining.n_runs)
        elapsed = time.monotonic() - self._began
        left = f"{clock(elapsed / done - elapsed)} left" if done else ""
        if self._bar is not None and self._task is not None:
            text = f"{retraining.n_done} of {retraining.n_runs} runs  {left}"
            self._bar.update(self._task, completed=done, description=text)
        if run is not None and self._bar is None:
            self.say(f"  {run}  {retraining.n_done} of {retraining.n_runs}  {left}".rstrip())


def _standing(family: FamilySearch) -> str:
    best = family.best
    return f"{family.name} {family.counted}, best {percent(best['value'] if best else None)}"


def _trial_line(record: dict[str, Any]) -> str:
    name = f"{record['family']} #{record['number']}"
    reason = f"  {record['reason']}" if record["state"] == "FAIL" else ""
    return f"{name:<9} {record['state'].lower():<8} {percent(record['value']):>8}  {record['seconds']:5.1f} s{reason}"


def _search_share(search: Search, began: float) -> tuple[float, str]:
    """(share done, time left in words) by whichever limit is nearer."""
    limits, families = search.limits, list(search.families.values())
    shares = []
    if limits.n_trials is not None:
        shares.append(min(family.counted for family in families) / limits.n_trials)
    if limits.deadline is not None:
        left = limits.deadline - time.monotonic()
        shares.append((time.monotonic() - began) / max(1e-3, limits.deadline - began))
        return max(shares), f"{clock(left)} left"
    share = max(shares, default=0.0)
    elapsed = time.monotonic() - began
    return share, f"{clock(elapsed / share - elapsed)} left" if share > 0 else ""
