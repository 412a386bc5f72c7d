"""The winners that validation chose, study against study, or why nothing is compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from study.report.charts import Chart
from study.report.comparison import groups, studies
from study.report.comparison.compared import Compared
from study.report.comparison.entries import Entry
from study.report.comparison.groups import Group
from study.report.comparison.sections import leaderboard, pairwise, protocol
from study.report.comparison.sections.leaderboard import ComparedFinalist
from study.report.comparison.sections.pairwise import ExploratoryPair
from study.report.comparison.studies import Summary
from study.report.wording import capital, count, listing, point_interval, points
from study.statistics.result import Result

READINGS: Mapping[str, str] = {
    "ahead": "ahead of",
    "equal within 0.2 points": "equal within 0.2 points to",
    "too close to call": "too close to call with",
    "no verdict": "without a verdict against",
}


@dataclass(frozen=True, slots=True)
class ComparedAnswer(Result):
    studies: tuple[Summary, ...]
    groups: tuple[Group, ...]
    winners: tuple[ComparedFinalist, ...]


def numbers(entries: Sequence[Entry], before: Compared) -> ComparedAnswer:
    return ComparedAnswer(before[studies].summaries, before[groups], tuple(before[leaderboard].winners))


def finding(found: ComparedAnswer, before: Compared) -> str:
    winners = [row for row in found.winners if row.finalist.test]
    absent = [label for label in before.labels if label not in {row.study for row in winners}]
    sentences = [_outcome(winners, before)] if winners else []
    if absent:
        who = f"Study {absent[0]} has" if len(absent) == 1 else f"Studies {listing(absent)} have"
        sentences.append(f"{who} no winner with usable predictions on the test split.")
    return " ".join([*sentences, _protocols(before)])


def _protocols(before: Compared) -> str:
    topics, where = before[protocol].topics(), before.section("protocol")
    if not topics:
        return f"No recorded item of their protocols differs ({where})."
    return f"Their protocols differ in {count(len(topics), 'respect')} ({where})."


def _outcome(winners: Sequence[ComparedFinalist], before: Compared) -> str:
    by_group = [[row for row in winners if row.group == place] for place in range(len(before[groups]))]
    known = [group for group in by_group if group]
    told = [_group_outcome(group, before) for group in known if len(group) > 1]
    alone = [_reached(group[0], before) for group in known if len(group) == 1]
    text = f"Exploratory: {' '.join(told)}" if told else ""
    if len(known) > 1:
        alone_text = f": {'; '.join(alone)}" if alone else ""
        lead = "Between different test images no difference is taken"
        return f"{text} {lead}{alone_text}.".strip()
    return text or f"{capital(alone[0])}; no two winners are compared."


def _reached(row: ComparedFinalist, before: Compared) -> str:
    return f"{row.title} reaches {row.accuracy} on {before[groups][row.group].name}"


def _group_outcome(winners: Sequence[ComparedFinalist], before: Compared) -> str:
    """Winners of one group of studies, the first of the leaderboard first."""
    first, *others = winners
    if len(others) == 1:
        pair = before[pairwise].of(first, others[0])
        if pair is None:
            return f"{first.title} and {others[0].title} are the same network, so there is nothing to compare."
        return _told(pair)
    lead = f"of the {len(winners)} winners, {first.title} has the highest mean test accuracy, {first.accuracy}"
    outcomes = [_against(before[pairwise].of(first, other), other) for other in others]
    return f"{lead}: {'; '.join(outcomes)}."


def _told(pair: ExploratoryPair) -> str:
    """Two winners, the one with the higher mean first; no word of a test, since none is made."""
    if pair.reading.label == "no verdict":
        return f"no verdict between {pair.title_a} and {pair.title_b}: {pair.reading.reason}."
    first = f"on the test split {pair.title_a} is {READINGS[pair.reading.label]} {pair.title_b}"
    return f"{first}, {_gap(pair)}; one search each."


def _gap(pair: ExploratoryPair) -> str:
    compared = pair.comparison
    return f"{points(compared.difference, signed=True)} (95 % interval {point_interval(compared.interval95)})"


def _against(pair: ExploratoryPair | None, other: ComparedFinalist) -> str:
    if pair is None:
        return f"the same network as {other.title}"
    return f"{READINGS[pair.reading.label]} {other.title}, {_gap(pair)}"


def charts(found: ComparedAnswer) -> list[Chart]:
    return []
