"""Conclusion and future work, by rules that read the search and validation only.

A sentence cites its section and the number it rests on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from study.report import advice_on_search as on_search
from study.report import advice_on_verdict as on_verdict
from study.report import enough
from study.report.advice import Advice, in_first
from study.report.charts import Chart
from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.sections import leaderboard, mattered, searches
from study.report.wording import count, integer, percent, points
from study.statistics.result import Result

SHOWN = 0.00005  # the smallest difference that two digits of a point show


@dataclass(frozen=True, slots=True)
class Conclusion(Result):
    """`items` are what the search and validation showed, `future` what to try next, the most promising first."""

    items: tuple[Advice, ...]
    future: tuple[Advice, ...]


def numbers(study: StudyRecords, before: Report) -> Conclusion:
    shown = (_enough, _order_on_validation, _best_configurations)
    first = (
        on_search.start,
        on_search.failures,
        on_verdict.unopened,
        on_search.starved,
        on_search.at_edge,
        on_search.rising,
        on_search.settled,
    )
    then = (
        on_search.ablated,
        on_search.unequal,
        on_verdict.few_seeds,
        on_verdict.luck,
        on_search.memorised,
        on_verdict.more_searches,
        on_search.another_study,
        on_verdict.opened,
    )
    return Conclusion(
        items=tuple(item for rule in shown for item in rule(before)),
        future=tuple(item for rule in first + then for item in rule(before)),
    )


def finding(found: Conclusion, before: Report) -> str:
    return found.future[0].text if found.future else "There is nothing to advise yet."


def charts(found: Conclusion) -> list[Chart]:
    return []


def _enough(report: Report) -> list[Advice]:
    found = report[enough]
    if found is None:
        return []
    return [Advice(f"{found.sentence.removesuffix('.')} ({report.section('pairwise')}).", report.number("pairwise"))]


def _order_on_validation(report: Report) -> list[Advice]:
    return _order_of_finalists(report) if report[searches] is None else _order_of_families(report)


def _order_of_finalists(report: Report) -> list[Advice]:
    rows = sorted(report[leaderboard].finalists, key=lambda row: -row.validation_mean)
    if len(rows) < 2:
        return []
    gap = rows[0].validation_mean - rows[1].validation_mean
    order = _order(rows[0].title, rows[1].title, gap)
    by_chance = (
        ", less than chance alone can make" if SHOWN <= gap < 2 * report[leaderboard].validation_half_width else ""
    )
    text = f"With fresh seeds on validation, {order}{by_chance} ({report.section('leaderboard')})"
    where = report.section("pairwise")
    return [Advice(f"{text}; what the test split says of the two stands in {where}.", report.number("leaderboard"))]


def _order_of_families(report: Report) -> list[Advice]:
    """By the finalists of all searches that have one."""
    several = report[searches]
    known = {} if several is None else {family: found.validation for family, found in several.families.items()}
    rows = sorted(((f, found) for f, found in known.items() if found is not None), key=lambda row: -row[1].mean)
    if len(rows) < 2:
        return []
    (one, first), (other, second) = rows[:2]
    gap, sds = first.mean - second.mean, [(row.sd, row.n) for row in (first, second) if row.sd is not None]
    chance = 2 * math.sqrt(sum(sd**2 / n for sd, n in sds)) if len(sds) == 2 else 0.0
    order = _order(f"family {one}", f"family {other}", gap)
    order += ", less than searches differ by chance" if SHOWN <= gap < chance else ""
    where, n = report.section("searches"), count(min(first.n, second.n), "search", "searches")
    text = (
        f"With fresh seeds on validation, in the mean of {n}, {order} ({where}); "
        "what the test split says of them stands there, too."
    )
    return [Advice(text, report.number("searches"))]


def _order(one: str, other: str, gap: float) -> str:
    return f"{one} leads {other} by {points(gap)}" if gap >= SHOWN else f"{one} and {other} are level"


def _best_configurations(report: Report) -> list[Advice]:
    items = []
    for family, found in report[mattered].families.items():
        trials = [(one.family_trials(family).found.best, one) for one in report.study.searches.values()]
        known = [(best, one) for best, one in trials if best is not None]
        if known:
            best, one = min(known, key=lambda pair: pair[0].rank)
            where = "mattered" if report[searches] is None else "searches"
            rung = f"the rung of {integer(found.importance_examples)} examples"
            most = f"; {found.most} mattered most{in_first(report)} at {rung}"
            text = (
                f"The best sampled configuration of {family} is #{best.number}{report.study.of_search(one)}, "
                f"{percent(best.value)} in the search{most if found.most else ''} ({report.section(where)})."
            )
            items.append(Advice(text, report.number(where)))
    return items
