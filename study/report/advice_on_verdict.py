"""Advice on the verdict: seeds, searches and openings of the test split. It reads the search and validation only."""

from __future__ import annotations

from study.report.advice import Advice, continued, in_first, is_alone, opens_again, unopened_still
from study.report.section import Report
from study.report.sections import leaderboard, pairwise, searches
from study.report.wording import count, points
from study.statistics.comparison import MIN_SEARCHES, MIN_SEEDS

LUCK = 0.001  # a search score that fresh seeds do not repeat


def unopened(report: Report) -> list[Advice]:
    study = report.study
    if study.stage != "retrained" or study.openings or study.settings.dataset.lacks_test:
        return []
    alone = " --single-family" if is_alone(report) else ""
    text = (
        f"The test split is sealed ({report.section('header')}, opened 0 times): give the search more time first if "
        f"that is advised, and open it once with study evaluate --name {study.settings.name}{alone} when nothing is "
        "left to tune."
    )
    return [Advice(text, report.number("header"))]


def few_seeds(report: Report) -> list[Advice]:
    """Of one search: several are judged by what lies between them, and lack no seeds."""
    rows = sorted(report[leaderboard].finalists, key=lambda row: -row.validation_mean)
    if len(rows) < 2 or report[searches] is not None:
        return []
    few = min(row.seeds or row.final_seeds for row in rows)
    if few < MIN_SEEDS:
        text = (
            f"With {count(few, 'final run')} per finalist no verdict is possible ({report.section('seeds')}): "
            f"{MIN_SEARCHES} searches of each family allow one on the families{opens_again(report)}: "
            f"{continued(report)} --repeats {MIN_SEARCHES}"
        )
        return [Advice(text, report.number("seeds"))]
    gap, chance = abs(rows[0].validation_mean - rows[1].validation_mean), report[leaderboard].validation_half_width
    if gap >= 2 * chance:
        return []
    text = (
        f"On validation the finalists are {points(gap)} apart ({report.section('leaderboard')}), within twice the "
        f"±{points(chance)} that chance leaves one network. More seeds do not make this smaller, as it comes from the "
        f"images; several searches of each family tell whether the order holds: {continued(report)} --repeats "
        f"{MIN_SEARCHES}{unopened_still(report)}"
    )
    return [Advice(text, report.number("leaderboard"))]


def luck(report: Report) -> list[Advice]:
    """Of trials whose fresh seeds trained for as long: else there is nothing to compare."""
    found = {family: entry.seed_luck or 0.0 for family, entry in report[pairwise].taken_apart.items()}
    return [
        Advice(
            f"The search score of the finalist of {family}{in_first(report)} fell by {points(luck)} under fresh seeds "
            f"({report.section('pairwise')}): train more candidates again, each with more seeds, before trusting it.",
            report.number("pairwise"),
        )
        for family, luck in found.items()
        if luck >= LUCK
    ]


def more_searches(report: Report) -> list[Advice]:
    """Whoever asked for several searches asked about families."""
    several = report[searches]
    if several is None or several.asked >= several.needed:
        return []
    text = (
        f"A verdict about families needs {several.needed} searches ({report.section('searches')}, {several.asked} so "
        f"far){opens_again(report)}: {continued(report)} --repeats {several.needed}"
    )
    return [Advice(text, report.number("searches"))]


def opened(report: Report) -> list[Advice]:
    number = len(report.study.openings)
    if number == 0:
        return []
    text = (
        f"The test split is open ({report.section('header')}, {count(number, 'opening')} by this study): what is tuned "
        "from here on is exploratory on it, so search on with --no-evaluate until nothing is left to tune."
    )
    return [Advice(text, report.number("header"))]
