"""What a budget buys, said before it is spent: a small extension may buy nothing, and of a long one some is unused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from study.evaluation.test_set import RunsToTest
from study.records.ledger import Goal
from study.report.wording import count, duration, flag_value
from study.stages import plan as planner
from study.stages.goal import with_limits_of
from study.stages.held import held_by, run_seconds
from study.stages.one_search import OneSearch
from study.stages.run_plan import n_side_by_side, planned_runs
from study.statistics.comparison import MIN_SEARCHES

_ROOM = 1.05
_STEP = 1.01  # from one budget tried to the next
_LEAST_UNUSED = 0.05  # of a budget: less is not worth a line


def settle_for_what_helps(one: OneSearch) -> str | None:
    """Go back to the goal that was reached where a larger budget leaves too little for finalists trained as long as
    those of now, and return why; None if the goal stays."""
    reached, asked = one.session.ledger.reached.get("retrain"), one.goal
    if reached is None or not _is_extension(reached, asked) or not held_by(one.session.files):
        return None
    budget = asked.share or 0.0
    needed, left = _needed_seconds(one), _left_for_runs(one, budget)
    if left >= needed:
        return None
    enough = budget
    while _left_for_runs(one, enough) < needed:
        enough *= _STEP
    one.reset_goal(with_limits_of(reached, asked))
    return (
        f"a budget of {budget * one.n_searches:g} s buys nothing: it leaves {max(0.0, left):.0f} s for retraining, and "
        f"other finalists, trained as long as those of now, take {needed:.0f} s; they and the shipped network stay. "
        f"Expected --budget {_flag(one, enough)} or more"
    )


def _is_extension(reached: Goal, asked: Goal) -> bool:
    """Whether each search has more seconds than before, for the same families."""
    before, now = reached.of_each_search(), asked.of_each_search()
    if before.budget is None or now.budget is None or before.families != now.families:
        return False
    return now.budget > before.budget


def _flag(one: OneSearch, budget: float) -> str:
    """As --budget has it: of all searches, in whole five seconds upwards, and more for a start that takes longer."""
    return f"{5 * math.ceil(_ROOM * budget * one.n_searches / 5)}s"


def _needed_seconds(one: OneSearch) -> float:
    """What one new candidate and, should it win, its final runs would take of this search's budget, each as long as
    those of now."""
    retrain, session, at_once = one.session.settings.retrain, one.session, n_side_by_side(one)
    n_workers = session.n_workers // at_once
    rounds = math.ceil(retrain.candidate_seeds / n_workers) + math.ceil(retrain.final_seeds / n_workers)
    return rounds * min(run_seconds(session.files, held_by(session.files)).values()) / at_once


def _left_for_runs(one: OneSearch, budget: float) -> float:
    """Seconds that are left for retraining, once the search has had its own, if this were the search's budget."""
    goal = Goal(budget=budget * one.n_searches, n_searches=one.n_searches)
    return replace(one.plan, goal=goal).after_whole_search().seconds_for_runs or 0.0


def unused_budget(one: OneSearch, speeds: Mapping[str, float]) -> str | None:
    """What of the budget no stage will use and why, in words, from the examples a second of each family; None where
    that is next to nothing."""
    budget, rest, session = one.goal.share, one.plan.closing_seconds, one.session
    if budget is None or rest is None or not speeds:
        return None
    at_once, n_train = n_side_by_side(one), session.settings.dataset.n_train
    runs = planner.longest_retraining(speeds, planned_runs(one), session.n_workers // at_once, n_train) / at_once
    search = planner.search_seconds(budget)
    unused = budget - search - rest - runs
    if unused < _LEAST_UNUSED * budget:
        return None
    return (
        f"of {duration(budget)} about {duration(unused)} will not be used: the search takes {duration(search)}, "
        f"retraining at most {duration(runs)} (no run is longer than {planner.MOST_EPOCHS:.0f} epochs), all else "
        f"{duration(rest)}"
    )


def no_verdict(one: OneSearch) -> str | None:
    """In words that the goal plans one seed per finalist and too few searches for a verdict; None if it plans more."""
    budget, planned = one.goal.share, planned_runs(one)
    if budget is None or planned.final_seeds > 1 or one.n_searches >= MIN_SEARCHES:
        return None
    one_seed = f"{count(planned.candidates, 'candidate')} and one seed per family"
    runs = one_seed if planned.final_seeds else "one run per family"
    enough = flag_value(planner.VERDICT_BUDGET * one.n_searches)
    per_search = " per search" if one.n_searches > 1 else ""
    return (
        f"a budget of {budget:.0f} s{per_search} plans {runs}: the test split will be opened without a verdict; "
        f"--budget {enough} plans one, --no-evaluate keeps the split sealed"
    )


def opened_again(wanted: RunsToTest) -> str:
    """That the test split is opened once more, and for which runs."""
    sealed = wanted.openings[-1].hashes
    changed = [run for run, digest in wanted.hashes.items() if sealed.get(run) != digest]
    runs = f"{count(len(changed), 'run')} with other weights, such as {changed[0]}" if changed else "fewer runs"
    return f"the test split is opened again, for {runs}: the report is exploratory"
