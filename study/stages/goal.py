"""What a command is to reach in each search of a study."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from study.errors import UsageError
from study.records.ledger import Ledger
from study.stages.session import DEFAULT_BUDGET, Session


def set_goal(session: Session) -> tuple[dict[str, Any], int]:
    """(goal of each search: `budget_s`, `n_trials` and `families`; number of searches), noted in the ledger.

    A goal within the one already reached changes nothing; without a budget, a further search gets what those before
    it got. UsageError where it would get less.
    """
    request, ledger = session.request, session.ledger.data
    reached, before = ledger.get("goal", {}), ledger.get("repeats", 1)
    n_searches: int = max(request.repeats or 1, before)
    n_trials = request.n_trials
    budget = None if request.budget is None else request.budget / n_searches
    if budget is None and n_trials is None:
        budget, n_trials = reached.get("budget_s", DEFAULT_BUDGET / n_searches), reached.get("n_trials")
    if n_searches > before:
        _check_added_searches(session.settings.name, n_searches, budget, n_trials, reached)
    done = ledger.get("done", {}).get("search")
    if done and _no_more(budget, done["budget_s"]) and _no_more(n_trials, done["n_trials"]):
        budget, n_trials = done["budget_s"], done["n_trials"]
    goal = {"budget_s": budget, "n_trials": n_trials, "families": sorted(session.families)}
    note_goal(session.ledger, goal, n_searches)
    return goal, n_searches


def note_goal(ledger: Ledger, goal: dict[str, Any], n_searches: int) -> None:
    """Write the goal of each search, and what all of them have together, into the ledger."""
    budget = goal["budget_s"]
    total = None if budget is None else budget * n_searches
    ledger.data |= {"goal": goal, "budget_s": total, "n_trials": goal["n_trials"]}
    if n_searches > 1:
        ledger.data["repeats"] = n_searches


def _no_more(asked: float | None, reached: float | None) -> bool:
    """Whether one limit lies within another; None is without limit."""
    return (math.inf if asked is None else asked) <= (math.inf if reached is None else reached)


def _check_added_searches(
    name: str, n: int, budget: float | None, n_trials: int | None, reached: Mapping[str, Any]
) -> None:
    """UsageError where further searches would get less than those before them."""
    had = reached.get("budget_s")
    if budget is not None and had is not None and budget < had:
        raise UsageError(
            f"--repeats {n} divides the budget into {budget:.0f} s a search, but study '{name}' has one of "
            f"{had:.0f} s: expected --budget {math.ceil(n * had)}s or more, or neither flag, for as much again"
        )
    if n_trials is not None and n_trials < (reached.get("n_trials") or 0):
        raise UsageError(
            f"--n-trials {n_trials} with --repeats {n}, but study '{name}' has a search of "
            f"{reached['n_trials']} trials a family: expected as many or more"
        )
