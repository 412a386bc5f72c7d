"""Conclusion and future work, by rules that read the search and validation only.

A sentence cites its section and the number it rests on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from study.records.ledger import DEFAULT_BUDGET
from study.report import budget, enough
from study.report.ablation import title as swap_title
from study.report.charts import Chart
from study.report.distributions import Edge
from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.sections import curves, fair, families, health, leaderboard, mattered, pairwise, protocol, searches
from study.report.wording import count, flag_value, integer, percent, plain, point_interval, points
from study.statistics.comparison import MIN_SEARCHES, MIN_SEEDS
from study.statistics.result import Result

RISING = 0.0005  # of validation accuracy gained in the last third of the search: 5 images of 10,000
LUCK = 0.001  # a search score that fresh seeds do not repeat
MANY_FAILED = 0.2
STARVED = 5  # completed sampled trials of a family
MEMORISED = 3.0  # validation loss over training loss
SHOWN = 0.00005  # the smallest difference that two digits of a point show
EDGES_NAMED = 2


@dataclass(frozen=True, slots=True)
class Advice(Result):
    """A sentence, and the number of the section that it rests on."""

    text: str
    section: int


@dataclass(frozen=True, slots=True)
class Conclusion(Result):
    """`items` are what the search and validation showed, `future` what to try next, the most promising first."""

    items: tuple[Advice, ...]
    future: tuple[Advice, ...]


def numbers(study: StudyRecords, before: Report) -> Conclusion:
    shown = (_enough, _order_on_validation, _best_configurations)
    first = (_start, _failures, _unopened, _starved, _edges, _rising, _settled)
    then = (_ablated, _unequal, _seeds, _luck, _fit, _more_searches, _other, _opened)
    return Conclusion(
        items=tuple(item for rule in shown for item in rule(before)),
        future=tuple(item for rule in first + then for item in rule(before)),
    )


def finding(found: Conclusion, before: Report) -> str:
    return found.future[0].text if found.future else "There is nothing to advise yet."


def charts(found: Conclusion) -> list[Chart]:
    return []


# -- what was found ---------------------------------------------------------------------------------------------------


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


# -- what to do next --------------------------------------------------------------------------------------------------


def _start(report: Report) -> list[Advice]:
    if report.study.stage != "empty":
        return []
    text = f"Nothing has been searched ({report.section('health')}, 0 trials): study run --budget 5m"
    return [Advice(text, report.number("health"))]


def _failures(report: Report) -> list[Advice]:
    items = []
    for family, states in report[health].states.items():
        total = sum(states.values())
        if total and states["FAIL"] / total >= MANY_FAILED:
            reasons = [entry.reason for entry in report[health].failures if entry.family == family]
            most = f", most often: {reasons[0]}" if reasons else ""
            text = (
                f"Of {count(total, 'trial')} of {family}, {states['FAIL']} failed{most} ({report.section('health')}): "
                "narrow the range that causes it, often the top of the learning rate."
            )
            items.append(Advice(text, report.number("health")))
    return items


def _unopened(report: Report) -> list[Advice]:
    if report.study.stage != "retrained" or report.study.openings:
        return []
    alone = " --single-family" if _is_alone(report) else ""
    text = (
        f"The test split is sealed ({report.section('header')}, opened 0 times): give the search more time first if "
        f"the advice below says so, and open it once with study evaluate{alone} when nothing is left to tune."
    )
    return [Advice(text, report.number("header"))]


def _is_starved(report: Report, family: str) -> bool:
    """Whether too few of its sampled trials were trained to the end to choose from."""
    return report[mattered].families[family].completed_sampled < STARVED


def _starved(report: Report) -> list[Advice]:
    """Families whose search ended before it could choose: the rest of the advice says little about them."""
    items = []
    for row in report[families].families:
        done, total = report[mattered].families[row.family].completed_sampled, row.trials
        unfinished = total and row.states["FAIL"] < total and report.study.stage != "searching"
        if unfinished and _is_starved(report, row.family):
            trained = f"Only {count(done, 'trial')}" if done else "No trial"
            text = (
                f"{trained} that the search drew for {row.family} {'were' if done > 1 else 'was'} trained to the end "
                f"({report.section('families')}, {done} of {total}), too few to choose from: give it more time with "
                f"{_more(report)}"
            )
            items.append(Advice(text, report.number("families")))
    return items


def _edges(report: Report) -> list[Advice]:
    where = report.section("mattered")
    found = report[mattered].families.items()
    told = [(family, entry.edges) for family, entry in found if not _is_starved(report, family)]
    texts = [text for family, edges in told for text in at_edges(family, edges, where)]
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


def _rising(report: Report) -> list[Advice]:
    found = report[fair].curves if report.study.stage != "searching" else {}
    whole = {row.family for row in report[families].families if row.searched_whole}
    rising = {name: curve.late_gain or 0.0 for name, curve in found.items() if name not in whole}
    return [
        Advice(
            f"The curve of {name} is still rising ({report.section('fair')}, {points(gain, signed=True)} in the last "
            f"third of its search): give it more time with {_more(report)}",
            report.number("fair"),
        )
        for name, gain in rising.items()
        if gain >= RISING
    ]


def _settled(report: Report) -> list[Advice]:
    """Only where each family's search is known to have ended flat, with enough trials trained to the end."""
    found = report[fair].curves
    gains = [curve.late_gain for curve in found.values() if curve.late_gain is not None]
    unknown = len(gains) < len(found) or any(_is_starved(report, family) for family in found)
    if not gains or unknown or max(gains) >= RISING or report.study.stage == "searching":
        return []
    text = (
        f"The searches have stopped improving ({report.section('fair')}, at most {points(max(gains))} in their last "
        "third): more trials of the same spaces bring little, another space or architecture may bring more: "
        f"{_continued(report)} --space FILE{_unopened_still(report)}"
    )
    return [Advice(text, report.number("fair"))]


def _ablated(report: Report) -> list[Advice]:
    """Swaps that did better than the finalist's own choice; read on validation, as the search is."""
    items = []
    for family, entry in report[mattered].families.items():
        known = entry.ablation.measured if entry.ablation else []
        best = sorted(known, key=lambda row: -row.difference)[:EDGES_NAMED]
        for row in (row for row in best if row.beyond == 1):
            text = (
                f"The finalist of {family} does better with {swap_title(row.swap)} ({report.section('mattered')}, "
                f"{points(row.difference, signed=True)}, {point_interval(row.interval95)}): fix it in the "
                "space and search the rest around it."
            )
            items.append(Advice(text, report.number("mattered")))
    return items


def _unequal(report: Report) -> list[Advice]:
    given = report[budget]
    if not given.unequal:
        return []
    where = f"{report.section('protocol')}, {given.gap_shown} apart"
    text = f"The families did not get the same ({where}): continue with {_more(report)}"
    return [Advice(text, report.number("protocol"))]


def _seeds(report: Report) -> list[Advice]:
    """Of one search: several are judged by what lies between them, and lack no seeds."""
    rows = sorted(report[leaderboard].finalists, key=lambda row: -row.validation_mean)
    if len(rows) < 2 or report[searches] is not None:
        return []
    few = min(row.seeds or row.final_seeds for row in rows)
    if few < MIN_SEEDS:
        text = (
            f"With {count(few, 'final run')} per finalist no verdict is possible ({report.section('seeds')}): "
            f"{MIN_SEARCHES} searches of each family allow one on the families{_again(report)}: {_continued(report)} "
            f"--repeats {MIN_SEARCHES}"
        )
        return [Advice(text, report.number("seeds"))]
    gap, chance = abs(rows[0].validation_mean - rows[1].validation_mean), report[leaderboard].validation_half_width
    if gap >= 2 * chance:
        return []
    text = (
        f"On validation the finalists are {points(gap)} apart ({report.section('leaderboard')}), within twice the "
        f"±{points(chance)} that chance leaves one network. More seeds do not make this smaller, as it comes from the "
        f"images; several searches of each family tell whether the order holds: {_continued(report)} --repeats "
        f"{MIN_SEARCHES}{_unopened_still(report)}"
    )
    return [Advice(text, report.number("leaderboard"))]


def _luck(report: Report) -> list[Advice]:
    """Of trials whose fresh seeds trained for as long: else there is nothing to compare."""
    found = {family: entry.seed_luck or 0.0 for family, entry in report[pairwise].taken_apart.items()}
    return [
        Advice(
            f"The search score of the finalist of {family} fell by {points(luck)} under fresh seeds "
            f"({report.section('pairwise')}): train more candidates again, each with more seeds, before trusting it.",
            report.number("pairwise"),
        )
        for family, luck in found.items()
        if luck >= LUCK
    ]


def _fit(report: Report) -> list[Advice]:
    items = []
    for family, runs in report[curves].families.items():
        known = [losses for run in runs if (losses := run.last_losses)]
        # The other way round says nothing: augmentation and label smoothing raise the training loss by themselves.
        if known and known[0][1] > MEMORISED * known[0][0]:
            train, validation = known[0]
            where = f"({report.section('curves')}, {train:.3g} in training, {validation:.3g} on validation)"
            text = f"{family} fits its training data closely {where}: more augmentation or dropout."
            items.append(Advice(text, report.number("curves")))
    return items


def _more_searches(report: Report) -> list[Advice]:
    """Whoever asked for several searches asked about families."""
    several = report[searches]
    if several is None or several.asked >= several.needed:
        return []
    text = (
        f"A verdict about families needs {several.needed} searches ({report.section('searches')}, {several.asked} so "
        f"far){_again(report)}: {_continued(report)} --repeats {several.needed}"
    )
    return [Advice(text, report.number("searches"))]


def _other(report: Report) -> list[Advice]:
    if not report[health].total:
        return []
    name, trials = report.study.settings.name, count(len(report.study.records.counted), "trial")
    text = (
        f"To tune further in changed spaces without losing the {trials} of this study ({report.section('health')}): "
        f"study run --name {name}-next --from {name} --space FILE --budget "
        f"{flag_value(report[protocol].budget_s or DEFAULT_BUDGET)}{_unopened_still(report)}"
    )
    return [Advice(text, report.number("health"))]


def _opened(report: Report) -> list[Advice]:
    number = len(report.study.openings)
    if number == 0:
        return []
    text = (
        f"The test split is open ({report.section('header')}, {count(number, 'opening')} by this study): what is tuned "
        "from here on is exploratory on it, so search on with --no-evaluate until nothing is left to tune."
    )
    return [Advice(text, report.number("header"))]


# -- commands that are advised ----------------------------------------------------------------------------------------


def _more(report: Report) -> str:
    asked = report[protocol]
    if asked.budget_s is None and asked.n_trials:
        return f"{_continued(report)} --n-trials {2 * asked.n_trials}{_unopened_still(report)}"
    twice = flag_value(2 * (asked.budget_s or DEFAULT_BUDGET))
    return f"{_continued(report)} --budget {twice}{_unopened_still(report)}"


def _continued(report: Report) -> str:
    return f"study run --name {report.study.settings.name}"


def _unopened_still(report: Report) -> str:
    """What keeps the test split as closed as it is now while one tunes: it is open, was left sealed on purpose, or has
    nothing to tell of one family alone."""
    sealed = report.study.stage == "retrained" or _is_alone(report)
    return " --no-evaluate" if report.study.openings or sealed else ""


def _is_alone(report: Report) -> bool:
    return len(report.study.families) == 1


def _again(report: Report) -> str:
    """What a further look at the test split costs, for advice that needs one."""
    opened = report.study.openings
    return "; it opens the test split again, which makes the report exploratory" if opened else ""
