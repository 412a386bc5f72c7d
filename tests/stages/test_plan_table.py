"""What a budget buys, as a table that was written down before: `plan_table.json` changes only where the plan is meant
to."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from trials import trial

from study.records.ledger import Goal
from study.records.paths import StudyFiles
from study.records.settings import RetrainSettings
from study.records.trial import Trials
from study.stages import all as stages
from study.stages import extension, plan, run_plan
from study.stages.agenda import Agenda
from study.stages.allowance import allowances

TABLE = json.loads((Path(__file__).parent / "plan_table.json").read_text(encoding="utf-8"))
BUDGETS = (5.0, 20.0, 45.0, 60.0, 100.0, 180.0, 240.0, 300.0, 600.0, 1500.0, 3600.0, 36_000.0, None)
SPEEDS = {"mlp": 20_000.0, "cnn": 5_000.0}  # examples a second
N_TRAIN = 50_000


class Ledger:
    """Of a search that has used so many seconds, some of them in its search stage."""

    lent = 0.0

    def __init__(self, used: float, searched: float, **about: Any) -> None:
        self.used, self.searched = used, searched
        self.reached: dict[str, Goal] = about.get("reached", {})
        self.allowance, self.plan = about.get("allowance"), about.get("plan")

    def left(self, budget: float) -> float:
        return budget - self.used

    def stage_seconds_now(self, _: str) -> float:
        return self.searched


def one_search(budget: float | None, n_searches: int, n_workers: int, ledger: Ledger, first: Any = None) -> Any:
    settings = SimpleNamespace(
        retrain=RetrainSettings(candidates=1, final_seeds=0), dataset=SimpleNamespace(n_train=N_TRAIN), given=None
    )
    session = SimpleNamespace(
        ledger=ledger,
        settings=settings,
        n_workers=n_workers,
        n_at_once=n_workers,
        families=list(SPEEDS),
        files=StudyFiles(Path("nowhere")),  # nothing was trained yet
    )
    goal = Goal(budget=budget, families=tuple(SPEEDS), n_searches=n_searches)
    found = plan.SearchPlan(goal, plan.Used.of(ledger))  # type: ignore[arg-type]
    return SimpleNamespace(session=session, first=first, goal=goal, n_searches=n_searches, plan=found)


def records(seconds: float) -> Trials:
    held = {"mlp": seconds, "cnn": 2 * seconds}
    return Trials(trial(0, family=family, held_seconds=taken) for family, taken in held.items())


def bought(budget: float | None, n_searches: int, n_workers: int) -> dict[str, Any]:
    """Of a search that has just started up, of one that continues, of one that is retrained, and of the whole study."""
    fresh = one_search(budget, n_searches, n_workers, Ledger(6.0, 0.0))
    share = fresh.goal.share
    retrain = run_plan.planned_runs(fresh)
    found: dict[str, Any] = {
        "retrain": [retrain.candidates, retrain.candidate_seeds, retrain.final_seeds],
        "no verdict": extension.no_verdict(fresh),
        "unused": extension.unused_budget(fresh, SPEEDS),
        "allowance": allowances(fresh, Trials()).found,
        "examination": plan.examine_seconds(share),
        "left to examine": left_to_examine(fresh),
        "after": after(budget, n_searches),
    }
    found["ladders"] = [
        list(fresh.plan.ladder(N_TRAIN, speed, found["allowance"], n_workers=n_workers, n_at_once=n_workers).examples)
        for speed in SPEEDS.values()
    ]
    if share is None:
        return found
    begun = one_search(budget, n_searches, n_workers, Ledger(0.5 * share, 0.3 * share))
    done = one_search(budget, n_searches, n_workers, Ledger(0.8 * share, 0.5 * share, reached={"search": fresh.goal}))
    bound = one_search(budget, n_searches, n_workers, Ledger(2.0, 0.0), first=allowed(fresh))
    seconds = run_plan.retrain_seconds(one_search(budget, n_searches, n_workers, Ledger(0.45 * share, 0.0)))
    costs = {
        family: plan.RunCost([speed] * retrain.candidates, retrain.candidate_seeds, retrain.final_seeds)
        for family, speed in SPEEDS.items()
    }
    return found | {
        "wall": [one.plan.search_wall for one in (fresh, begun, done)],
        "allowance of one begun": allowances(begun, records(0.1 * share)).found,
        "allowance of a repeat": allowances(bound, Trials()).found,
        "retraining": seconds,
        "retraining of a repeat": run_plan.retrain_seconds(bound),
        "runs": plan.run_lengths(costs, seconds or 0.0, n_workers, N_TRAIN),
    }


def allowed(first: Any) -> Any:
    """The search before a repeat, with an allowance and a plan of its own."""
    share = first.goal.share
    return one_search(
        share, 1, 2, Ledger(share, share, allowance=0.4 * share, plan=SimpleNamespace(seconds=0.3 * share))
    )


def left_to_examine(one: Any) -> float | None:
    study = SimpleNamespace(first=one, session=one.session, _searches=SimpleNamespace(spare=3.0))
    return stages.Stages._examine_seconds(study)  # type: ignore[arg-type]


def after(budget: float | None, n_searches: int) -> list[Any]:
    share = None if budget is None else budget / n_searches
    found: list[Any] = []
    for evaluates in (True, False, None):
        agenda = Agenda(Goal(budget=budget, n_searches=n_searches), evaluates)
        left = 0.0 if share is None else 0.9 * share
        planned: Any = SimpleNamespace(search_wall=0.4 * left, used=plan.Used(0.0 if share is None else share - left))
        for number in {1, n_searches}:
            found += [agenda.after_search(number, planned), agenda.after_retraining(number)]
        found += [agenda.after_evaluation(), agenda.after_examination(), agenda.half_report]
    return found


def rounded(value: Any) -> Any:
    """To a tenth of a second, as JSON."""
    if isinstance(value, float):
        return round(value, 1)
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list | tuple) else value


CASES = [
    (budget, n_searches, n_workers)
    for budget, n_searches, n_workers in itertools.product(BUDGETS, (1, 5), (1, 2, 16))
    if n_searches == 1 or budget is None or budget >= 180
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_budget_buys_what_it_bought(case: tuple[float | None, int, int]) -> None:
    assert rounded(bought(*case)) == TABLE[str(case)]
