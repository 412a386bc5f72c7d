"""The searches of one study, one after the other or, where workers are many, side by side."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator

from study.errors import FamilyStoppedError
from study.execution.shares import Share, Shares
from study.records.trial import TrialRecord
from study.report.wording import count
from study.retraining.finalists import Retraining
from study.search.driver import Search
from study.stages.one_search import OneSearch, Progress, Workers
from study.stages.repeats import open_repeat
from study.stages.run_plan import n_side_by_side

Action = Callable[[OneSearch], None]


class Searches:
    """The first search, in the study's own session, and `n` in all; `spare` are seconds that the others left of their
    budgets."""

    def __init__(self, first: OneSearch, workers: Workers, n: int) -> None:
        self.n = n
        self.spare = 0.0
        self.n_to_come = 0  # of searches side by side those that have not begun
        self._first = first
        self._progress = first.progress
        self._workers = workers
        self._failures: list[FamilyStoppedError] = []

    def each(self, action: Action) -> None:
        """Do it in every search. FamilyStoppedError, once all are done, if one gave up."""
        self._failures = []
        at_once = n_side_by_side(self._first)
        if at_once > 1:
            self._side_by_side(action, at_once)
        else:
            self._one_by_one(action)
        if self._failures:
            raise self._failures[0]

    def _attempt(self, action: Action, one: OneSearch) -> None:
        try:
            action(one)
        except FamilyStoppedError as error:
            self._failures.append(error)

    def _one_by_one(self, action: Action) -> None:
        self._attempt(action, self._first)
        for number in range(2, self.n + 1):
            with self._open(number, self._progress) as one:
                self._attempt(action, one)

    def _side_by_side(self, action: Action, at_once: int) -> None:
        """The first one begins, since the others have its ladders and spend no more than it may. They all write by
        themselves, as if each were alone on fewer workers."""
        shown, self.n_to_come = _Shown(self._progress), self.n
        each = count(self._workers.n_workers // at_once, "worker")
        self._progress.say(f"{at_once} of {self.n} searches at once, on {each} each")

        def work(number: int) -> Callable[[Share], None]:
            return lambda share: self._beside_others(action, number, shown.of(number), share)

        if self._first.session.cluster is not None:
            _ = self._workers.executor  # here, where a signal ends the wait for machines
        Shares(self._workers).run([work(number) for number in range(1, self.n + 1)], at_once)

    def _beside_others(self, action: Action, number: int, progress: _OfOne, share: Share) -> None:
        self.n_to_come -= 1
        first = self._first
        opened = first.beside_others(share, progress) if number == 1 else self._open(number, progress, share)
        with progress.at_work(), opened as one:
            self._attempt(action, one)

    @contextlib.contextmanager
    def _open(self, number: int, progress: Progress, share: Share | None = None) -> Iterator[OneSearch]:
        """Search `number`, from 2 on, in a session of its own."""
        study, first, goal = self._first.session, self._first, self._first.goal
        repeat = study.files.repeat(number)
        watch = shlex.join(["study", "dashboard", "--name", repeat.root.name, "--results", str(repeat.root.parent)])
        self._progress.say(f"search {number} of {self.n} in {repeat.root}; watch it: {watch}")
        with (
            open_repeat(study, number, goal.share, goal.n_trials, share) as session,
            contextlib.ExitStack() as resources,
        ):
            yield OneSearch(session, progress, resources, self._workers, first=first, number=number, share=share)
            if goal.share is not None:
                self.spare += max(0.0, session.ledger.left(goal.share))


_STAGES = ("search", "retrain")


class _Shown:
    """What is shown of searches side by side: the stage of the one that is least far, and what is done in that."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.stages: dict[int, str] = {}  # of those at work
        self._stage: str | None = None

    def of(self, number: int) -> _OfOne:
        return _OfOne(self, number)

    def look(self, seconds: float | None, after: float | None) -> None:
        least = min(self.stages.values(), key=_STAGES.index, default=None)
        if least is not None and least != self._stage:
            self._stage = least
            self.progress.stage(least, seconds, after)

    def shows(self, number: int) -> bool:
        return self.stages.get(number) == self._stage


class _OfOne:
    """Progress of one search among others: it says whose it is."""

    def __init__(self, shown: _Shown, number: int) -> None:
        self._shown = shown
        self._number = number
        self._progress = shown.progress

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._shown.stages.pop(self._number, None)
            self._shown.look(None, None)
            self._progress.about("")

    def about(self, what: str) -> None:
        self._progress.about(what)

    def say(self, text: str) -> None:
        self._progress.say(f"search {self._number}: {text}")

    def stage(self, name: str, seconds: float | None = None, after: float | None = 0.0) -> None:
        self._shown.stages[self._number] = name
        self._shown.look(seconds, after)

    def step(self, text: str, share: float | None = None) -> None:
        if self._shown.shows(self._number):
            self._progress.step(text, share)

    def search(self, search: Search, record: TrialRecord | None) -> None:
        if self._shown.shows(self._number):
            self._progress.about(f"search {self._number}: ")
            self._progress.search(search, record)

    def retrain(self, retraining: Retraining, run: str | None) -> None:
        if self._shown.shows(self._number):
            self._progress.about(f"search {self._number}: ")
            self._progress.retrain(retraining, run)
