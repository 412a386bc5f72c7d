"""What a study will be able to see, said before it is spent."""

from __future__ import annotations

from study.report.wording import count, percent, points
from study.stages.one_search import OneSearch
from study.stages.run_plan import planned_runs
from study.statistics.comparison import MIN_SEARCHES, MIN_SEEDS
from study.statistics.power import ENOUGH, RECORDED_SPREADS, Foreseen, enough_searches, foresee, foresee_finalists


def sees_little(one: OneSearch) -> str | None:
    """In words that the goal plans a verdict which would miss a difference of 0.3 points too often; None if it plans
    none, or a better one, or nobody counted the test images."""
    images = one.session.settings.dataset.n_test
    if images is None or len(one.goal.families) < 2:
        return None
    if one.n_searches >= MIN_SEARCHES:
        found = foresee(one.n_searches, images)
        return _families(found) if found.power < ENOUGH else None
    seeds = planned_runs(one).final_seeds
    if one.n_searches > 1 or seeds < MIN_SEEDS:
        return None
    found = foresee_finalists(seeds, images)
    return _finalists(found) if found.power < ENOUGH else None


def _families(found: Foreseen) -> str:
    a, b = (points(spread) for spread in RECORDED_SPREADS)
    needed = enough_searches(found.images)
    more = f"; --repeats {needed}, each as long, would see them in {percent(ENOUGH, 0)}" if needed else ""
    spread = f"if its {found.searches} searches spread as recorded ones of a minute did ({a} and {b})"
    return f"{_seen('families', found)}, {spread}{more}"


def _finalists(found: Foreseen) -> str:
    return f"{_seen('finalists', found)}: a larger test part would see more"


def _seen(what: str, found: Foreseen) -> str:
    apart = f"{what} {points(found.gap, digits=1)} apart"
    return (
        f"on {count(found.images, 'test image')} such a study tells {apart} in about "
        f"{percent(found.power, 0)} of cases (interval ±{points(found.half_width)})"
    )
