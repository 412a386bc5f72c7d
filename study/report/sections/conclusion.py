"""Conclusion and future work, by rules that read the search and validation only.

A sentence cites its section and the number it rests on.
"""

from __future__ import annotations

from dataclasses import dataclass

from study.report import advice_on_search as on_search
from study.report import advice_on_verdict as on_verdict
from study.report import enough
from study.report.advice import Advice
from study.report.charts import Chart
from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.sections import families, leaderboard, mattered
from study.report.wording import integer, percent, points
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
    rows = sorted(report[leaderboard].finalists, key=lambda row: -row.validation_mean)
    if len(rows) < 2:
        return []
    gap, one, other = rows[0].validation_mean - rows[1].validation_mean, rows[0].title, rows[1].title
    order = f"{one} leads {other} by {points(gap)}" if gap >= SHOWN else f"{one} and {other} are level"
    by_chance = (
        ", less than chance alone can make" if SHOWN <= gap < 2 * report[leaderboard].validation_half_width else ""
    )
    text = f"With fresh seeds on validation, {order}{by_chance} ({report.section('leaderboard')})"
    where = report.section("pairwise")
    return [Advice(f"{text}; what the test split says of the two stands in {where}.", report.number("leaderboard"))]


def _best_configurations(report: Report) -> list[Advice]:
    items = []
    for row in report[families].families:
        best, found = row.best_sampled, report[mattered].families[row.family]
        if best is not None:
            most = f"; {found.most} mattered most after {integer(found.importance_examples)} examples"
            text = (
                f"The best sampled configuration of {row.family} is #{best.number}, {percent(best.value)} in the search"
                f"{most if found.most else ''} ({report.section('mattered')})."
            )
            items.append(Advice(text, report.number("mattered")))
    return items
