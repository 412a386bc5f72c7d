"""What the numbers cannot carry, each item raised by a flag in the numbers."""

from __future__ import annotations

from study.records.trial import SOURCES
from study.report import budget, repeated
from study.report.charts import Chart
from study.report.judged import Turned, of_sides
from study.report.limit_items import Item, Limits, few_seeds
from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.sections import answer, families, hardest, header, leaderboard, protocol, searches
from study.report.sections.pairwise import FinalistPair
from study.report.sections.searches import FamilyPair, Searches
from study.report.wording import count, listing, percent, points

SMALL_GAP = 0.002


def numbers(study: StudyRecords, before: Report) -> Limits:
    first = (_stage, _absent, _few_seeds, _copies, _reused, _unequal, _one_search, _given)
    then = (_small_gap, _broken, _labels, _writers, _validation)
    return Limits(tuple(item for rule in first + then for item in rule(before)))


def _stage(report: Report) -> list[Item]:
    if report.study.stage == "evaluated":
        return []
    read = "was read for other networks than these" if report[header].openings else "has not been read"
    return [Item("not evaluated", f"The test split {read}: no number here is a network's performance.")]


def _absent(report: Report) -> list[Item]:
    """Families that were searched and have no finalist beside the others."""
    if report.study.stage not in ("retrained", "evaluated"):
        return []
    there = {row.family for row in report[leaderboard].finalists}
    absent = [row.family for row in report[families].families if row.family not in there]
    if not absent:
        return []
    why = f"({report.section('health')} tells what failed)"
    return [Item("absent family", f"No finalist of {listing(absent)}: nothing can be said of how it compares {why}.")]


def _few_seeds(report: Report) -> list[Item]:
    several = report[searches]
    if several is not None and several.tested >= several.needed:
        return []  # the verdict rests on the spread between searches
    return few_seeds([(row.title, row.seeds) for row in report[leaderboard].tested])


def _reused(report: Report) -> list[Item]:
    why = report[header].why_exploratory
    text = "The test split had been opened before, so that p-values no longer mean what they say."
    return [Item("test reused", text)] if why else []


def _copies(report: Report) -> list[Item]:
    """Images that stand on both sides, which a network may have learned by heart."""
    return [Item(flag, text) for flag, text in report[repeated].texts.items()]


def _unequal(report: Report) -> list[Item]:
    given = report[budget]
    text = f"The families were not searched for equally long ({report.section('protocol')})."
    return [Item("unequal budget", text)] if given.unequal else []


def _one_search(report: Report) -> list[Item]:
    if len(report[leaderboard].tested) < 2:
        return []
    several = report[searches]
    if several is None:
        text = "One search per family was run: the verdict is about these finalists, not about their families."
        return [Item("one search", text)]
    if several.tested < several.needed:
        number = count(several.tested, "search", "searches")
        text = f"{number} per family, of the {several.needed} from which on families are judged."
        return [Item("few searches", text)]
    return [Item("shared images", _shared(report.study, several))]


def _shared(study: StudyRecords, several: Searches) -> str:
    """What the searches have in common, so that nothing of its chance is in the verdict."""
    settings, n_searches = study.settings, len(study.searches)
    if settings.validation == "own":
        # Of few groups of images there are fewer parts than searches.
        n_parts = len({one.settings.dataset.split_sha256 for one in study.searches.values()})
        held_out = "another sixth" if n_parts >= n_searches else f"one of {n_parts} parts"
        return (
            f"The searches share the training data, of which each held out {held_out}: the verdict counts test "
            "images, searches and what they held out as drawn, but other training data may order the families "
            "differently."
        )
    warm = "" if settings.given == "apart" else " and the warm starts"
    return (
        f"The searches share the validation split{warm}: the verdict counts images and searches as drawn, "
        "but another split may order the families differently."
    )


_SOURCES_SAID = {
    "warm_start": "A warm start",
    "given_file": "What a file held",
    "imported": "A trial of another study",
    "proposed": "What was proposed while the search ran",
}


def _given(report: Report) -> list[Item]:
    """Finalists that the search was given, not found by it."""
    roles = {(row.family, row.trial): row.role for row in report[leaderboard].candidates}
    rows = report[leaderboard].finalists
    items = []
    for role, source in SOURCES.items():
        given = [row.title for row in rows if roles.get((row.family, row.trial)) == role]
        if given:
            text = f"{_SOURCES_SAID[role]}, a configuration given and not found by the search, became {listing(given)}."
            items.append(Item(source, text))
    return items


def _small_gap(report: Report) -> list[Item]:
    pair = _of_the_answer(report)
    if pair is None or abs(pair.difference) >= SMALL_GAP or pair.pair.verdict.better is not None:
        return []  # a small gap that was decided needs no excuse
    n, gap = pair.pair.comparison.n, points(abs(pair.difference))
    return [Item("small gap", f"The gap of {gap} is under 0.2 points, which {n:,} test images can rarely decide.")]


def _of_the_answer(report: Report) -> Turned[FinalistPair] | Turned[FamilyPair] | None:
    """The pair of which the answer speaks: of several searches that of the families."""
    several = report[searches]
    if several is None:
        return report[answer].pair
    return of_sides(several.pairs, several.winner, several.runner_up) if several.winner else None


def _broken(report: Report) -> list[Item]:
    runs = report.study.broken_runs
    return [Item("non-finite", f"Left out because an output is not finite: {listing(runs)}.")] if runs else []


def _labels(report: Report) -> list[Item]:
    if report[hardest].known_errors is None:
        return []
    text = "15 labels of MNIST's test set are disputed, so no network can be expected to exceed about 99.85 %."
    return [Item("label noise", text)]


def _writers(report: Report) -> list[Item]:
    tested = [(row.title, [half.mean for half in row.test.halves]) for row in report[leaderboard].tested if row.test]
    if not tested:
        return []
    (title, best), *others = tested
    text = f"{_dependence(report)} The halves of the test split differ: {title} has {percent(best[0])} on "
    text += f"the first and {percent(best[1])} on the second half"
    if others:
        first, second = (points(a - b, signed=True) for a, b in zip(best, others[0][1], strict=True))
        text += f", {first} and {second} against {others[0][0]}"
    return [Item("dependent images", f"{text}.")]


def _dependence(report: Report) -> str:
    """By what intervals are clustered, or how much wider they would be: measured once, with NIST's writer numbers."""
    groups = report[protocol].test_groups
    if groups is None:
        mnist = report.study.settings.dataset.is_bundled_mnist
        dependent = "are not independent, since writers repeat, but" if mnist else "may not be independent, but"
        return (
            f"Images {dependent} intervals here take them to be: clustered by writer, that of a family's accuracy on "
            "MNIST's test images is 1.25 to 1.28 times as wide, that of a difference 1.06 times."
        )
    return (
        f"Images are not independent: they come in {groups:,} groups, such as writers, by which intervals and tests of "
        "accuracies and differences are clustered; those of single classes and of calibration are not."
    )


def _validation(report: Report) -> list[Item]:
    if not any(report[budget].trials.values()):
        return []
    n = report[protocol].n_validation
    text = (
        f"The {n:,} validation images stopped trials, ranked them and chose the finalists: scores on them are too good."
    )
    return [Item("validation reused", text)]


def finding(found: Limits, before: Report) -> str:
    return f"{count(len(found.items), 'limit')} to keep in mind."


def charts(found: Limits) -> list[Chart]:
    return []
