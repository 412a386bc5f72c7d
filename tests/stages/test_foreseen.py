from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from study.records.ledger import Goal
from study.records.settings import RetrainSettings
from study.stages.foreseen import sees_little
from study.stages.plan import SearchPlan


def one(n_searches: int, n_test: int | None, families: tuple[str, ...] = ("cnn", "mlp"), budget: float = 3600.0) -> Any:
    retrain = RetrainSettings(candidates=1, candidate_seeds=1, final_seeds=0)
    settings = SimpleNamespace(dataset=SimpleNamespace(n_test=n_test), retrain=retrain)
    goal = Goal(budget=budget, families=families, n_searches=n_searches)
    session = SimpleNamespace(settings=settings, n_at_once=2)
    return SimpleNamespace(session=session, goal=goal, n_searches=n_searches, plan=SearchPlan(goal))


def test_few_searches_are_told_what_they_miss_and_how_many_would_not() -> None:
    assert sees_little(one(3, 10_000)) == (
        "on 10,000 test images such a study tells families 0.3 points apart in about 16 % of cases (interval ±0.58 "
        "points), if its 3 searches spread as recorded ones of a minute did (0.25 points and 0.22 points); "
        "--repeats 14, each as long, would see them in 80 %"
    )
    assert "--repeats" not in str(sees_little(one(3, 400)))  # no number of them would


def test_few_test_images_are_told_of_one_search_s_finalists() -> None:
    assert sees_little(one(1, 2_007)) == (
        "on 2,007 test images such a study tells finalists 0.3 points apart in about 48 % of cases (interval ±0.31 "
        "points): a larger test part would see more"
    )


@pytest.mark.parametrize(
    "planned",
    [one(1, 10_000), one(14, 10_000), one(3, None), one(3, 10_000, families=("cnn",)), one(1, 2_007, budget=60.0)],
)
def test_nothing_is_said_of_what_is_seen_often_unknown_or_not_compared(planned: Any) -> None:
    assert sees_little(planned) is None
