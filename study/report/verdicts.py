"""The sentences of section 1: verdict, fate of the best trial, caveats.

The word of the confirmatory test is its Holm p; nothing here is ever called significant, and a validation number is
never called an accuracy of a finalist.
"""

from __future__ import annotations

from typing import Any

from study.report.wording import (
    count,
    duration,
    interval,
    listing,
    p_value,
    percent,
    point_interval,
    points,
    times,
)

Record = dict[str, Any]
EXPLORATORY = "Exploratory, because the test split had been opened before"


def answer(numbers: Record) -> str:
    """The headline: what was found, or how far the study is."""
    simple = {
        "empty": "Nothing has been searched yet, so there is no answer; start with `study run`.",
        "searching": "The search has not handed over finalists yet, so there is no answer.",
        "retrained": "The finalists are trained and the test split is still sealed, so there is no verdict; "
        "`study evaluate` opens it.",
    }
    if numbers["stage"] == "searching" and numbers["best_trial"] is None:
        return "No trial has completed, so there is no finalist and no answer."
    if numbers["stage"] == "retrained" and numbers["opened"]:
        return (
            "The finalists were trained after the test split was opened for others, so there is no verdict on them; "
            "`study evaluate` opens it again, which makes the report exploratory."
        )
    if numbers["stage"] in simple:
        return simple[numbers["stage"]]
    if numbers["winner_row"] is None:
        return f"The winner {numbers['winner']} has no usable predictions on the test split, so there is no verdict."
    if numbers["pair"] is None:
        return _alone(numbers["winner_row"])
    return verdict(numbers["pair"], numbers["winner"])


def headline(report: Record) -> str:
    """The answer, called exploratory from the second opening of the test split on. Of several searches it is what they
    say of the families, with the first one's finalists where they are too few for that."""
    text, several = answer(report["answer"]), report["searches"]
    if several is not None:
        alone = f" In search 1, {text[:1].lower()}{text[1:]}" if several["tested"] < several["needed"] else ""
        text = between_searches(several) + alone
    tested = report["answer"]["stage"] == "evaluated" and report["header"]["exploratory"]
    return f"Exploratory: {text[:1].lower()}{text[1:]}" if tested else text


def between_searches(numbers: Record) -> str:
    """What the searches say of their families, or how far they are."""
    asked, tested, needed = numbers["asked"], numbers["tested"], numbers["needed"]
    if numbers["winner"] is None:
        return f"Of {asked} searches {numbers['ready']} have finalists, so nothing is said of their families yet."
    if tested == 0:
        return (
            f"{asked} searches have their finalists; nothing is said of their families before the test split is read."
        )
    texts = [_family_verdict(numbers)]
    found = {family: row["test"] for family, row in numbers["families"].items() if row["test"]}
    means = [f"{family} {percent(test['mean'])}{_deviation(test)}" for family, test in found.items()]
    texts.append(
        f"Over {count(tested, 'search', 'searches')} the finalists average {listing(means)} on the test split."
    )
    if numbers["contradicted"]:
        texts.append(f"Validation chose family {numbers['winner']} before the test split was opened.")
    if tested < needed:
        missing = needed - tested
        texts.append(f"{missing} more {'search is' if missing == 1 else 'searches are'} missing.")
    return " ".join(texts)


def _deviation(test: Record) -> str:
    return "" if test["sd"] is None else f" (standard deviation {points(test['sd'])})"


def _family_verdict(numbers: Record) -> str:
    """The winner against the best other family."""
    sides = {numbers["winner"], numbers["runner_up"]}
    for pair in numbers["pairs"]:
        if {pair["a"], pair["b"]} == sides:
            return verdict(turned(pair, numbers["winner"]), numbers["winner"])
    return "No two families were read on the test split in two searches or more, so none are compared."


def _alone(row: Record) -> str:
    accuracy = row["test"]["accuracy"]
    return (
        f"There is one finalist to read, so nothing is compared: {row['title']} reaches {percent(accuracy['mean'])} "
        f"on the test split (95 % interval {interval(accuracy['interval95'])}, {count(accuracy['seeds'], 'seed')})."
    )


def verdict(pair: Record, first: str) -> str:
    """One pair in words, seen from `first`: finalist X against finalist Y, one search each; or two families."""
    one, other = _titles(pair, first)
    label = pair["verdict"]["label"]
    if label == "no verdict":
        return f"No verdict between {one} and {other}: {pair['verdict']['reason']}."
    searches = f"{pair['searches']} searches" if "searches" in pair else "one search"
    numbers = f"95 % interval {point_interval(pair['interval95'])}, Holm p {p_value(pair['holm_p'])}; {searches} each"
    if label.startswith("better"):
        if pair["ahead"] != first:
            return verdict(turned(pair, pair["ahead"]), pair["ahead"])
        size = points(pair["difference"]) + (", too little to matter," if label != "better" else "")
        return f"{capital(one)} is better than {other} by {size} on the test split ({numbers})."
    words = {
        "equal within 0.2 points": "are equal within 0.2 points on the test split",
        "too close to call": "are too close to call on the test split",
    }
    difference = points(pair["difference"], signed=True)
    return f"{capital(one)} and {other} {words[label]}: {difference} ({numbers})."


def turned(pair: Record, first: str) -> Record:
    """A pair seen from `first`: differences and intervals are first minus other; `ahead` names who is better."""
    sign = 1 if pair["a"] == first else -1
    compared = pair["comparison"]
    better = pair["verdict"]["better"]
    return {
        **pair,
        "difference": sign * compared["difference"],
        "interval95": sorted(sign * bound for bound in compared["interval95"]),
        "interval90": sorted(sign * bound for bound in compared["interval90"]),
        "ahead": None if better is None else pair[better],
    }


def _titles(pair: Record, first: str) -> tuple[str, str]:
    a, b = str(pair["title_a"]), str(pair["title_b"])
    return (a, b) if pair["a"] == first else (b, a)


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def best_trial(fate: Record | None) -> str | None:
    """What became of the trial that led the search."""
    if fate is None:
        return None
    lead = f"#{fate['number']} of {fate['family']} led the search ({percent(fate['accuracy'])} on validation, one seed"
    lead += {"warm_start": ", a warm start)", "imported": ", imported from another study)"}.get(fate["role"], ")")
    if fate["fresh_accuracy"] is None:
        return f"{lead}; it has not been trained again yet.{_best_sampled(fate)}"
    fresh = f"{lead}, fresh {'seed' if fate['fresh_seeds'] == 1 else 'seeds'} {percent(fate['fresh_accuracy'])}"
    if fate["finalist"] == fate["number"]:
        return f"{fresh}; it is its family's finalist.{_best_sampled(fate)}"
    better = f"finalist #{fate['finalist']} ({percent(fate['finalist_accuracy'])} on fresh seeds)"
    return f"{fresh}, {better}.{_best_sampled(fate)}"


def _best_sampled(fate: Record) -> str:
    best = fate["best_sampled"]
    if fate["role"] == "sampled" or best is None:
        return ""
    return f" The best sampled configuration is #{best.number} of {best.family} ({percent(best.value)})."


def caveats(report: Record) -> list[str]:
    """What a reader of the answer must know at once."""
    numbers, header, budget = report["answer"], report["header"], report["protocol"]["budget"]
    found = []
    if header["exploratory"]:
        found.append(f"{EXPLORATORY}: {openings(header)}")
    if report["repeated"]["serious"]:
        found.append(report["repeated"]["texts"]["test images trained on"])
    if numbers["contradicted"]:
        winner, second = numbers["winner_row"], numbers["runner_up"]
        found.append(
            f"Validation chose {winner['title']} before the test split was opened; on the test split "
            f"{second['title']} has the higher mean ({percent(_mean(second))} against {percent(_mean(winner))})."
        )
    if budget["unequal"]:
        found.append(f"The search was not equal: {imbalance(budget)}")
    if report["broken_runs"]:
        found.append(f"Left out for non-finite outputs: {listing(report['broken_runs'])}.")
    return found


def _mean(row: Record) -> float:
    return float(row["test"]["accuracy"]["mean"])


def openings(header: Record) -> str:
    elsewhere = header["openings_elsewhere"]
    other = f", other studies of this results folder {times(elsewhere)}" if elsewhere else ""
    counted = header["openings_of_user"]
    user = f", all studies of this user {times(counted)} with this one" if counted else ""
    return f"this study opened it {times(len(header['openings']))}{other}{user}."


def imbalance(budget: Record) -> str:
    """What each family got of the quantity that was made equal."""
    if budget["equalised"] == "seconds":
        got = [f"{name} {duration(value)}" for name, value in budget["spent_seconds"].items()]
        return f"{listing(got)} of worker time ({duration(budget['gap'])} apart)."
    got = [f"{name} {count(value, 'trial')}" for name, value in budget["trials"].items()]
    return f"{listing(got)} ({count(budget['gap'], 'trial')} apart)."
