"""Section 17: conclusion and future work, by rules that read the search and validation only.

Each rule returns items {"text", "section"}; a sentence cites its section and the number it rests on.
"""

from __future__ import annotations

from typing import Any

from study.records.ledger import DEFAULT_BUDGET
from study.report.examined import beyond
from study.report.wording import count, duration, flag_value, integer, percent, plain, point_interval, points, swap

Record = dict[str, Any]

RISING = 0.0005  # of validation accuracy gained in the last third of the search: 5 images of 10,000
LUCK = 0.001  # a search score that fresh seeds do not repeat
MANY_FAILED = 0.2
STARVED = 5  # completed sampled trials of a family
MEMORISED = 3.0  # validation loss over training loss
SHOWN = 0.00005  # the smallest difference that two digits of a point show
EDGES_NAMED = 2


def conclusion(report: Record) -> list[Record]:
    """What the search and validation showed, family by family."""
    return [item for rule in (_order_on_validation, _best_configurations) for item in rule(report)]


def future_work(report: Record) -> list[Record]:
    """What to try next, the most promising first."""
    first = (_start, _failures, _unopened, _starved, _edges, _rising, _settled)
    then = (_ablated, _unequal, _seeds, _luck, _fit, _more_searches, _other, _opened)
    return [item for rule in first + then for item in rule(report)]


def _opened(report: Record) -> list[Record]:
    number = len(report["header"]["openings"])
    if number == 0:
        return []
    return _item(
        f"The test split is open (section 0, {count(number, 'opening')} by this study): what is tuned from here on "
        "is exploratory on it, so search on with --no-evaluate until nothing is left to tune.",
        0,
    )


def _item(text: str, section: int) -> list[Record]:
    return [{"text": text, "section": section}]


def _finalists(report: Record) -> list[Record]:
    return [row for row in report["leaderboard"]["rows"] if row["kind"] == "finalist"]


def _order_on_validation(report: Record) -> list[Record]:
    rows = sorted(_finalists(report), key=lambda row: -row["validation_mean"])
    if len(rows) < 2:
        return []
    gap = rows[0]["validation_mean"] - rows[1]["validation_mean"]
    one, other = rows[0]["title"], rows[1]["title"]
    order = f"{one} leads {other} by {points(gap)}" if gap >= SHOWN else f"{one} and {other} are level"
    text = f"With fresh seeds on validation, {order} (section 4)"
    return _item(f"{text}; what the test split says of the two stands in section 6.", 4)


def _best_configurations(report: Record) -> list[Record]:
    items = []
    for entry in report["families"]["families"]:
        best = entry["best_sampled"]
        if best is not None:
            shares = report["mattered"]["families"][entry["family"]]["importances"]
            rung = report["mattered"]["families"][entry["family"]]["importance_examples"]
            most = f"; {next(iter(shares))} mattered most after {integer(rung)} examples" if shares else ""
            items += _item(
                f"The best sampled configuration of {entry['family']} is #{best['number']}, "
                f"{percent(best['value'])} in the search{most} (section 14).",
                14,
            )
    return items


def _start(report: Record) -> list[Record]:
    if report["answer"]["stage"] != "empty":
        return []
    return _item("Nothing has been searched (section 15, 0 trials): study run --budget 5m", 15)


def _failures(report: Record) -> list[Record]:
    items = []
    for family, states in report["health"]["states"].items():
        total = sum(states.values())
        if total and states["FAIL"] / total >= MANY_FAILED:
            reasons = [entry for entry in report["health"]["failures"] if entry["family"] == family]
            most = f", most often: {reasons[0]['reason']}" if reasons else ""
            items += _item(
                f"Of {count(total, 'trial')} of {family}, {states['FAIL']} failed{most} (section 15): "
                "narrow the range that causes it, often the top of the learning rate.",
                15,
            )
    return items


def _unopened(report: Record) -> list[Record]:
    if report["answer"]["stage"] != "retrained" or report["header"]["openings"]:
        return []
    alone = " --single-family" if _is_alone(report) else ""
    return _item(
        "The test split is sealed (section 0, opened 0 times): buy more budget first if the advice below asks for it, "
        f"and open it once with study evaluate{alone} when nothing is left to tune.",
        0,
    )


def _starved(report: Record) -> list[Record]:
    """Families whose search ended before it could choose: the rest of the advice says little about them."""
    items = []
    for row in report["families"]["families"]:
        done = report["mattered"]["families"][row["family"]]["completed_sampled"]
        total = sum(row["states"].values())
        if total and done < STARVED and row["states"]["FAIL"] < total and report["answer"]["stage"] != "searching":
            items += _item(
                f"{count(done, 'sampled trial')} of {row['family']} reached the top rung (section 3, of "
                f"{count(total, 'trial')}), too few to choose from: buy more budget with {_more(report)}",
                3,
            )
    return items


def _edges(report: Record) -> list[Record]:
    items = []
    for family, entry in report["mattered"]["families"].items():
        # One ends counts, whatever a family may be: there is nothing below to search.
        open_ends = [edge for edge in entry["edges"] if not (edge["end"] == "low" and _least(edge))]
        open_ends.sort(key=lambda edge: not edge["parameter"].startswith("learning_rate"))
        for edge in open_ends[:EDGES_NAMED]:
            items += _item(_edge_sentence(family, edge), 14)
    return items


def _least(edge: Record) -> bool:
    least = edge["limit"]["low"]
    return edge["low"] in (0, 1) or (least is not None and edge["low"] <= least)


def _edge_sentence(family: str, edge: Record) -> str:
    bound = "most" if edge["end"] == "high" else "least"
    seen, end = plain(edge["value"]), plain(edge["high" if edge["end"] == "high" else "low"])
    where = f"{seen} of at {bound} {end}" if seen != end else f"at {bound} {end}"
    name, most = edge["parameter"], edge["limit"]["high"]
    if most is not None and edge["end"] == "high" and edge["high"] >= most:
        return (
            f"Best {name} of {family} is at the most that the family can have (section 14, {where}): "
            f"{edge['limit']['instead']}."
        )
    return f"Best {name} of {family} is at the edge of its range: widen it (section 14, {where})."


def _rising(report: Record) -> list[Record]:
    curves = report["fair"]["curves"] if report["answer"]["stage"] != "searching" else {}
    whole = {row["family"] for row in report["families"]["families"] if row["searched_whole"]}
    rising = {
        name: curve["late_gain"]
        for name, curve in curves.items()
        if (curve["late_gain"] or 0.0) >= RISING and name not in whole
    }
    return [
        {
            "text": f"The curve of {name} is still rising (section 5, {points(gain, signed=True)} in the last third of "
            f"its search): buy more budget with {_more(report)}",
            "section": 5,
        }
        for name, gain in rising.items()
    ]


def _more(report: Record) -> str:
    protocol = report["protocol"]
    if protocol["budget_s"] is None and protocol["n_trials"]:
        return f"{_continued(report)} --n-trials {2 * protocol['n_trials']}{_unopened_still(report)}"
    twice = flag_value(2 * (protocol["budget_s"] or DEFAULT_BUDGET))
    return f"{_continued(report)} --budget {twice}{_unopened_still(report)}"


def _continued(report: Record) -> str:
    return f"study run --name {report['header']['name']}"


def _unopened_still(report: Record) -> str:
    """What keeps the test split as closed as it is now while one tunes: it is open, was left sealed on purpose, or has
    nothing to tell of one family alone."""
    sealed = report["answer"]["stage"] == "retrained" or _is_alone(report)
    return " --no-evaluate" if report["header"]["openings"] or sealed else ""


def _is_alone(report: Record) -> bool:
    return len(report["health"]["states"]) == 1


def _again(report: Record) -> str:
    """What a further look at the test split costs, for advice that needs one."""
    return "; it opens the test split again, which makes the report exploratory" if report["header"]["openings"] else ""


def _settled(report: Record) -> list[Record]:
    curves = report["fair"]["curves"].values()
    gains = [curve["late_gain"] for curve in curves if curve["late_gain"] is not None]
    if not gains or max(gains) >= RISING or report["answer"]["stage"] == "searching":
        return []
    return _item(
        f"The searches have settled (section 5, at most {points(max(gains))} in their last third): more trials of the "
        "same spaces buy little; another space or architecture buys more: "
        f"{_continued(report)} --space FILE{_unopened_still(report)}",
        5,
    )


def _ablated(report: Record) -> list[Record]:
    """Swaps that did better than the finalist's own choice; read on validation, as the search is."""
    items = []
    for family, entry in report["mattered"]["families"].items():
        known = [row for row in (entry["ablation"] or {}).get("rows", []) if row["failed"] is None]
        for row in sorted(known, key=lambda row: -row["difference"])[:EDGES_NAMED]:
            if beyond(row) == 1:
                items += _item(
                    f"The finalist of {family} does better with {swap(row)} (section 14, "
                    f"{points(row['difference'], signed=True)}, {point_interval(row['interval95'])}): fix it in the "
                    "space and search the rest around it.",
                    14,
                )
    return items


def _unequal(report: Record) -> list[Record]:
    budget = report["protocol"]["budget"]
    if not budget["unequal"]:
        return []
    gap = duration(budget["gap"]) if budget["equalised"] == "seconds" else count(budget["gap"], "trial")
    return _item(f"The families did not get the same (section 2, {gap} apart): continue with {_more(report)}", 2)


def _seeds(report: Record) -> list[Record]:
    rows = _finalists(report)
    few = min((row["final_seeds"] for row in rows), default=None)
    if few is None or len(rows) < 2:
        return []
    if few < 3:
        text = (
            f"With {count(few, 'final seed')} per finalist no verdict is possible (section 7): a larger budget buys "
            f"three{_again(report)}: {_more(report).removesuffix(' --no-evaluate')}"
        )
        return _item(text, 7)
    gap = abs(rows[0]["validation_mean"] - rows[1]["validation_mean"])
    if gap >= 2 * report["leaderboard"]["validation_half_width"]:
        return []
    return _item(
        f"On validation the finalists are {points(gap)} apart (section 4), within twice the "
        f"±{points(report['leaderboard']['validation_half_width'])} that chance leaves one network: more seeds, which "
        f"more budget buys, would tell: {_more(report)}",
        4,
    )


def _luck(report: Record) -> list[Record]:
    items = []
    for family, entry in report["pairwise"]["optimism"].items():
        luck = entry["seed_luck"] if entry else None
        if luck is not None and luck >= LUCK:
            items += _item(
                f"The search score of the finalist of {family} fell by {points(luck)} under fresh seeds (section 6): "
                "hand over more candidates, with more seeds each, before trusting a rank.",
                6,
            )
    return items


def _fit(report: Record) -> list[Record]:
    items = []
    for family, runs in report["curves"]["families"].items():
        losses = [_last_losses(run) for run in runs if run["role"] == "candidate"]
        known = [pair for pair in losses if pair is not None]
        if not known:
            continue
        train, validation = known[0]
        numbers = f"(section 13, {train:.3g} in training, {validation:.3g} on validation)"
        # The other way round says nothing: augmentation and label smoothing raise the training loss by themselves.
        if validation > MEMORISED * train:
            items += _item(f"{family} fits its training data closely {numbers}: more augmentation or dropout.", 13)
    return items


def _last_losses(run: Record) -> tuple[float, float] | None:
    pairs = zip(run["train_loss"], run["validation_loss"], strict=True)
    known = [(train, validation) for train, validation in pairs if train is not None and validation is not None]
    return known[-1] if known else None


def _more_searches(report: Record) -> list[Record]:
    """Whoever asked for several searches asked about families."""
    several = report["searches"]
    if several is None or several["asked"] >= several["needed"]:
        return []
    return _item(
        f"A verdict about families needs {several['needed']} searches (section 19, {several['asked']} so far)"
        f"{_again(report)}: {_continued(report)} --repeats {several['needed']}",
        19,
    )


def _other(report: Record) -> list[Record]:
    if not any(sum(states.values()) for states in report["health"]["states"].values()):
        return []
    name = report["header"]["name"]
    trials = count(report["answer"]["trials"], "trial")
    return _item(
        f"To tune further in changed spaces without losing the {trials} of this study (section 15): "
        f"study run --name {name}-next --from {name} --space FILE --budget {_next_budget(report)}"
        f"{_unopened_still(report)}",
        15,
    )


def _next_budget(report: Record) -> str:
    return flag_value(report["protocol"]["budget_s"] or DEFAULT_BUDGET)
