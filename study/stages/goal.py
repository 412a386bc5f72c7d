"""What a command is to reach in a study and each of its searches."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from study.errors import UsageError
from study.records.ledger import DEFAULT_BUDGET, Goal, Ledger
from study.stages.plan import default_searches
from study.stages.request import Request

if TYPE_CHECKING:
    from study.stages.session import Session


def asked_goal(request: Request, families: Iterable[str], before: Ledger | None = None) -> Goal:
    """What a request asks for; without a budget or a number of trials as much for each search as before, or the
    default budget. `before` is the ledger of a study that exists."""
    asked = Goal(budget=request.budget, n_trials=request.n_trials, families=tuple(sorted(families)))
    is_new, unlimited = before is None or before.goal is None, asked.budget is None and asked.n_trials is None
    if is_new and unlimited:
        asked = asked.model_copy(update={"budget": DEFAULT_BUDGET})
    planned = _planned_searches(request, asked) if is_new else 1
    n_searches = max(request.repeats or planned, before.n_searches if before else 1)
    asked = asked.model_copy(update={"n_searches": n_searches})
    if before is None or before.goal is None or not unlimited:
        return asked
    return with_limits_of(before.goal, asked)


def _planned_searches(request: Request, asked: Goal) -> int:
    """Of a new study that asks for no number of them: several where the budget carries a verdict about families. Trials
    that one search begins with would not be another one's."""
    if asked.n_trials is not None or len(asked.families) < 2 or request.imported_from is not None:
        return 1
    return default_searches(asked.budget or 0.0)


def set_goal(session: Session) -> Goal:
    """The goal of the study, noted in the ledger.

    A goal within the one already reached changes nothing; without a budget, a further search gets what those before
    it got. UsageError where it would get less.
    """
    ledger = session.ledger
    asked = asked_goal(session.request, session.families, ledger)
    if asked.n_searches > ledger.n_searches:
        _check_added_searches(session.settings.name, asked, ledger.goal)
    done = ledger.reached.get("search")
    if done is not None and _is_within(asked, done):
        asked = with_limits_of(done, asked)
    note_goal(ledger, asked)
    return asked


def note_goal(ledger: Ledger, goal: Goal) -> None:
    ledger.goal, ledger.n_searches = goal, goal.n_searches


def with_limits_of(one: Goal, asked: Goal) -> Goal:
    """As much for each search as in `one`."""
    return asked.model_copy(update={"budget": one.among(asked.n_searches).budget, "n_trials": one.n_trials})


def _is_within(asked: Goal, reached: Goal) -> bool:
    asked, reached = asked.of_each_search(), reached.of_each_search()
    return _no_more(asked.budget, reached.budget) and _no_more(asked.n_trials, reached.n_trials)


def _no_more(asked: float | None, reached: float | None) -> bool:
    """Whether one limit lies within another; None is without limit."""
    return (math.inf if asked is None else asked) <= (math.inf if reached is None else reached)


def _check_added_searches(name: str, asked: Goal, before: Goal | None) -> None:
    """UsageError where further searches would get less than those before them."""
    if before is None:
        return
    n, share, had = asked.n_searches, asked.of_each_search().budget, before.of_each_search().budget
    if share is not None and had is not None and share < had:
        raise UsageError(
            f"--repeats {n} divides the budget into {share:.0f} s a search, but study '{name}' has one of "
            f"{had:.0f} s: expected --budget {math.ceil(n * had)}s or more, or neither flag, for as much again"
        )
    if asked.n_trials is not None and asked.n_trials < (before.n_trials or 0):
        raise UsageError(
            f"--n-trials {asked.n_trials} with --repeats {n}, but study '{name}' has a search of "
            f"{before.n_trials} trials a family: expected as many or more"
        )
