"""Advice on the search: its spaces, its time, its failures. It reads the search and validation only."""

from __future__ import annotations

from collections.abc import Sequence

from study.records.ledger import DEFAULT_BUDGET
from study.report import budget
from study.report.ablation import title as swap_title
from study.report.advice import Advice, continued, in_first, more_time, unopened_still
from study.report.distributions import Edge
from study.report.section import Report
from study.report.sections import curves, fair, families, health, mattered, protocol
from study.report.wording import count, flag_value, plain, point_interval, points

RISING = 0.0005  # of validation accuracy gained in the last third of the search: 5 images of 10,000
MANY_FAILED = 0.2
STARVED = 5  # completed sampled trials of a family
MEMORISED = 3.0  # validation loss over training loss
EDGES_NAMED = 2


def start(report: Report) -> list[Advice]:
    if report.study.stage != "empty":
        return []
    text = f"Nothing has been searched ({report.section('health')}, 0 trials): {continued(report)} --budget 5m"
    return [Advice(text, report.number("health"))]


def failures(report: Report) -> list[Advice]:
    items = []
    for family, states in report[health].states.items():
        total = sum(states.values())
        if total and states["FAIL"] / total >= MANY_FAILED:
            reasons = [entry.reason for entry in report[health].failures if entry.family == family]
            most = f", most often: {reasons[0]}" if reasons else ""
            text = (
                f"Of {count(total, 'trial')} of {family}{in_first(report)}, {states['FAIL']} failed{most} "
                f"({report.section('health')}): narrow the range that causes it, often the top of the learning rate."
            )
            items.append(Advice(text, report.number("health")))
    return items


def _is_starved(report: Report, family: str) -> bool:
    """Whether too few of its sampled trials were trained to the end to choose from."""
    return report[mattered].families[family].completed_sampled < STARVED


def starved(report: Report) -> list[Advice]:
    """Families whose search ended before it could choose: the rest of the advice says little about them."""
    items = []
    for row in report[families].families:
        done, total = report[mattered].families[row.family].completed_sampled, row.trials
        has_ended = report.study.stage in ("retrained", "evaluated")
        all_failed = total > 0 and row.states["FAIL"] == total
        if has_ended and not all_failed and _is_starved(report, row.family):
            trained = f"Only {count(done, 'trial')}" if done else "No trial"
            text = (
                f"{trained} that the search drew for {row.family}{in_first(report)} "
                f"{'were' if done > 1 else 'was'} trained to the end ({report.section('families')}, {done} of "
                f"{total}), too few to choose from: give it more time with {more_time(report)}"
            )
            items.append(Advice(text, report.number("families")))
    return items


def at_edge(report: Report) -> list[Advice]:
    where = report.section("mattered")
    found = report[mattered].families.items()
    told = [(family, entry.edges) for family, entry in found if not _is_starved(report, family)]
    texts = [text for family, edges in told for text in at_edges(family + in_first(report), edges, where)]
    return [Advice(text, report.number("mattered")) for text in texts]


def at_edges(family: str, edges: Sequence[Edge], where: str) -> list[str]:
    """What to do where the best trial lies at ends of its ranges, told in the section `where`."""
    # One ends counts, whatever a family may be: there is nothing below to search.
    open_ends = [edge for edge in edges if not (edge.end == "low" and _least(edge))]
    open_ends.sort(key=lambda edge: not edge.parameter.startswith("learning_rate"))
    return [_edge_sentence(family, edge, where) for edge in open_ends[:EDGES_NAMED]]


def _least(edge: Edge) -> bool:
    return edge.low in (0, 1) or (edge.limit.low is not None and edge.low <= edge.limit.low)


def _edge_sentence(family: str, edge: Edge, section: str) -> str:
    bound = "most" if edge.end == "high" else "least"
    seen, end = plain(edge.value), plain(edge.high if edge.end == "high" else edge.low)
    where = f"{section}, {seen} of at {bound} {end}" if seen != end else f"{section}, at {bound} {end}"
    name, most = edge.parameter, edge.limit.high
    if most is not None and edge.end == "high" and edge.high >= most:
        return f"Best {name} of {family} is at the most that the family can have ({where}): {edge.limit.instead}."
    return f"Best {name} of {family} is at the edge of its range: widen it ({where})."


def rising(report: Report) -> list[Advice]:
    found = report[fair].curves if report.study.stage != "searching" else {}
    whole = {row.family for row in report[families].families if row.searched_whole}
    rising = {name: curve.late_gain or 0.0 for name, curve in found.items() if name not in whole}
    return [
        Advice(
            f"The curve of {name}{in_first(report)} is still rising ({report.section('fair')}, "
            f"{points(gain, signed=True)} in the last third of its search): give it more time with {more_time(report)}",
            report.number("fair"),
        )
        for name, gain in rising.items()
        if gain >= RISING
    ]


def settled(report: Report) -> list[Advice]:
    """Only where each family's search is known to have ended flat, with enough trials trained to the end."""
    found = report[fair].curves
    gains = [curve.late_gain for curve in found.values() if curve.late_gain is not None]
    unknown = len(gains) < len(found) or any(_is_starved(report, family) for family in found)
    if not gains or unknown or max(gains) >= RISING or report.study.stage == "searching":
        return []
    who = "The first searches" if in_first(report) else "The searches"
    text = (
        f"{who} have stopped improving ({report.section('fair')}, at most {points(max(gains))} in their last "
        "third): more trials of the same spaces bring little, another space or architecture may bring more: "
        f"{continued(report)} --space FILE{unopened_still(report)}"
    )
    return [Advice(text, report.number("fair"))]


def ablated(report: Report) -> list[Advice]:
    """Swaps that did better than the finalist's own choice; read on validation, as the search is."""
    items = []
    for family, entry in report[mattered].families.items():
        known = entry.ablation.measured if entry.ablation else []
        best = sorted(known, key=lambda row: -row.difference)[:EDGES_NAMED]
        for row in (row for row in best if row.beyond == 1):
            text = (
                f"The finalist of {family}{in_first(report)} does better with {swap_title(row.swap)} "
                f"({report.section('mattered')}, {points(row.difference, signed=True)}, "
                f"{point_interval(row.interval95)}): fix it in the space and search the rest around it."
            )
            items.append(Advice(text, report.number("mattered")))
    return items


def unequal(report: Report) -> list[Advice]:
    given = report[budget]
    if not given.unequal:
        return []
    where = f"{report.section('protocol')}, {given.gap_shown} apart"
    text = f"The families did not get the same ({where}): continue with {more_time(report)}"
    return [Advice(text, report.number("protocol"))]


def memorised(report: Report) -> list[Advice]:
    items = []
    for family, runs in report[curves].families.items():
        known = [losses for run in runs if (losses := run.last_losses)]
        # The other way round says nothing: augmentation and label smoothing raise the training loss by themselves.
        if known and known[0][1] > MEMORISED * known[0][0]:
            train, validation = known[0]
            where = f"({report.section('curves')}, {train:.3g} in training, {validation:.3g} on validation)"
            text = f"{family}{in_first(report)} fits its training data closely {where}: more augmentation or dropout."
            items.append(Advice(text, report.number("curves")))
    return items


def another_study(report: Report) -> list[Advice]:
    if not report[health].total:
        return []
    name, trials = report.study.settings.name, count(len(report.study.records.counted), "trial")
    text = (
        f"To tune further in changed spaces without losing the {trials} of this study ({report.section('health')}): "
        f"study run --name {name}-next --from {name} --space FILE --budget "
        f"{flag_value(report[protocol].budget_s or DEFAULT_BUDGET)}{unopened_still(report)}"
    )
    return [Advice(text, report.number("health"))]
