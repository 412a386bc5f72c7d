"""Progress on stderr: a bar at a terminal, a line for each trial and run in a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from study.records.trial import TrialRecord
from study.retraining.finalists import Retraining
from study.search.driver import Search
from study.search.family import FamilySearch

_STAGE_WIDTH, _BAR_WIDTH = 8, 16  # in columns of the terminal


def percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{100 * fraction:.2f} %"


def clock(seconds: float) -> str:
    """'0:22', '11:59', '12:00:00'."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class _TimeLeft(ProgressColumn):
    """Goes on counting where nothing happens for a while."""

    def __init__(self, left: Callable[[], str]) -> None:
        super().__init__()
        self._left = left

    def render(self, task: Task) -> Text:
        return Text(self._left())


class Reporter:
    """What a person sees while a study works. Silent with `quiet`."""

    def __init__(self, quiet: bool, now: Callable[[], float] = time.monotonic) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self._now = now
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._began = now()
        self._ends_at: float | None = None  # when the stage will have ended
        self._after: float | None = 0.0
        self._share_before: float | None = None  # of the stage, done by earlier commands
        self._step = ""
        self._about = ""

    def say(self, text: str) -> None:
        self._console.print(text, markup=False)

    def stage(self, name: str, seconds: float | None = None, after: float | None = 0.0) -> None:
        self.end()
        self._began, self._after, self._share_before, self._step = self._now(), after, None, ""
        self._expect(seconds)
        self._open(name)

    def _open(self, name: str) -> None:
        """Begin to show a stage."""
        if self._console.is_terminal:
            columns = (
                TextColumn(f"[bold]{{task.fields[stage]:<{_STAGE_WIDTH}}}"),
                BarColumn(bar_width=_BAR_WIDTH),
                TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis")),
                _TimeLeft(self.left),
            )
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task("", total=None, stage=name)
        else:
            self.say(f"{name} …  {self.left()}".rstrip())

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def left(self) -> str:
        """How long the command will still take, or the stage where no budget plans what follows it."""
        if self._ends_at is None:
            return ""
        seconds = max(0.0, self._ends_at - self._now())
        return f"{clock(seconds)} left of this stage" if self._after is None else f"{clock(seconds + self._after)} left"

    def step(self, text: str, share: float | None = None) -> None:
        if share is not None:
            self._done(share)
        self._show(share, text)
        if text != self._step:
            self._log(f"  {text}  {self.left()}")
        self._step = text

    def _log(self, text: str) -> None:
        """Say what nothing else shows."""
        if self._bar is None:
            self.say(text.rstrip())

    def about(self, what: str) -> None:
        self._about = what

    def search(self, search: Search, record: TrialRecord | None) -> None:
        done = self._share_of(search)
        self._show(done, self._about + self._fitting(list(search.families.values())))
        if record is None:
            return
        best = search.families[record.family].best
        is_best = best is not None and best.number == record.number
        line = f"  {self._about}{_trial_line(record)}{'  best of its family' if is_best else ''}  {self.left()}"
        if is_best:
            self.say(line.rstrip())
        else:
            self._log(line)

    def retrain(self, retraining: Retraining, run: str | None) -> None:
        self._expect(retraining.seconds_left)
        counted = f"{self._about}{retraining.n_done} of {retraining.n_runs} runs"
        self._show(retraining.n_done / max(1, retraining.n_runs), counted)
        if run is not None:
            self._log(f"  {run}  {counted}  {self.left()}")

    def _expect(self, seconds: float | None) -> None:
        """The stage will end in so many seconds."""
        self._ends_at = None if seconds is None else self._now() + seconds

    def _done(self, share: float) -> None:
        """So much of the stage is done, from which follows how long the rest takes."""
        if self._share_before is None:
            self._share_before = share
        gained = share - self._share_before
        self._expect((self._now() - self._began) * (1 - share) / gained if gained > 0 else None)

    def _show(self, share: float | None, text: str) -> None:
        if self._bar is not None and self._task is not None:
            total = None if share is None else 1.0
            self._bar.update(self._task, total=total, completed=share or 0.0, description=text)

    def _fitting(self, families: Sequence[FamilySearch]) -> str:
        """Where the families stand, in as many words as a line of the terminal has room for."""
        around = _STAGE_WIDTH + _BAR_WIDTH + 3 + len(self.left()) + len(self._about)  # a blank between two columns
        said = _standings(families)
        return next((text for text in said if len(text) <= self._console.width - around), said[-1])

    def _share_of(self, search: Search) -> float:
        """The share of a search that is done, by whichever limit is nearer."""
        limits, shares = search.limits, [0.0]
        if limits.n_trials is not None:
            families = search.families.values()
            shares.append(min(_share_of_trials(family, limits.n_trials) for family in families))
        if limits.deadline is None:
            self._done(shares[-1])
            return shares[-1]
        self._expect(limits.deadline - self._now())
        shares.append((self._now() - self._began) / max(1e-3, limits.deadline - self._began))
        return max(shares)


def _standings(families: Sequence[FamilySearch]) -> list[str]:
    """Trials and best accuracy of each family, then in fewer words, at last of the best family alone."""
    bests = {family.name: family.best.value if family.best else None for family in families}
    leader = max(families, key=lambda family: bests[family.name] or 0.0)
    trials = sum(family.counted for family in families)
    return [
        "  ".join(f"{family.name} {family.counted}, best {percent(bests[family.name])}" for family in families),
        "  ".join(f"{family.name} {family.counted}, {percent(bests[family.name])}" for family in families),
        f"{trials} trials, best {leader.name} {percent(bests[leader.name])}",
    ]


def _trial_line(record: TrialRecord) -> str:
    reason = f"  {record.reason}" if record.state == "FAIL" else ""
    value, seconds = percent(record.value), record.held_seconds
    given = f"  {record.origin_in_words}" if record.origin == "given" else ""
    return f"{record.title:<9} {record.state.lower():<8} {value:>8}  {seconds:5.1f} s{given}{reason}"


def _share_of_trials(family: FamilySearch, wanted: int) -> float:
    """Of the trials asked for, or of what a smaller space holds."""
    return 1.0 if family.is_whole else family.counted / wanted
