"""Section 16: what the numbers cannot carry, each item raised by a flag in the numbers."""

from __future__ import annotations

from typing import Any

from study.report.verdicts import EXPLORATORY, imbalance, openings
from study.report.wording import count, listing, percent, points

Record = dict[str, Any]


def limits(report: Record) -> list[Record]:
    """Items {flag, text} in the order of their weight."""
    first = (_stage, _absent, _few_seeds, _copies, _reused, _unequal, _one_search, _given)
    then = (_small_gap, _broken, _labels, _writers, _validation)
    return [item for maker in first + then for item in maker(report)]


def _item(flag: str, text: str) -> list[Record]:
    return [{"flag": flag, "text": text}]


def _stage(report: Record) -> list[Record]:
    if report["answer"]["stage"] == "evaluated":
        return []
    read = "was read for other networks than these" if report["header"]["openings"] else "has not been read"
    return _item("not evaluated", f"The test split {read}: no number here is a network's performance.")


def _tested(report: Record) -> list[Record]:
    return [row for row in report["leaderboard"]["rows"] if row["kind"] == "finalist" and row["test"]]


def _absent(report: Record) -> list[Record]:
    """Families that were searched and have no finalist beside the others."""
    if report["answer"]["stage"] not in ("retrained", "evaluated"):
        return []
    there = {row["family"] for row in report["leaderboard"]["rows"] if row["kind"] == "finalist"}
    absent = [row["family"] for row in report["families"]["families"] if row["family"] not in there]
    if not absent:
        return []
    text = f"No finalist of {listing(absent)}: nothing can be said of how it compares (section 15 tells what failed)."
    return _item("absent family", text)


def _few_seeds(report: Record) -> list[Record]:
    few = [row for row in _tested(report) if row["test"]["accuracy"]["seeds"] < 3]
    if not few:
        return []
    named = listing([f"{row['title']} {count(row['test']['accuracy']['seeds'], 'seed')}" for row in few])
    return _item("few seeds", f"Fewer than three final seeds ({named}): the spread between seeds is not known.")


def _reused(report: Record) -> list[Record]:
    header = report["header"]
    if not header["exploratory"]:
        return []
    return _item("test reused", f"{EXPLORATORY}: {openings(header)} Its p-values no longer mean what they say.")


def _copies(report: Record) -> list[Record]:
    """Images that stand on both sides, which a network may have learned by heart."""
    return [item for flag, text in report["repeated"]["texts"].items() for item in _item(flag, text)]


def _unequal(report: Record) -> list[Record]:
    budget = report["protocol"]["budget"]
    return _item("unequal budget", f"The search was not equal: {imbalance(budget)}") if budget["unequal"] else []


def _one_search(report: Record) -> list[Record]:
    if len(_tested(report)) < 2:
        return []
    several = report["searches"]
    if several is None:
        text = "One search per family was run: the verdict is about these finalists, not about their families."
        return _item("one search", text)
    if several["tested"] < several["needed"]:
        number = count(several["tested"], "search", "searches")
        return _item(
            "few searches", f"{number} per family, of the {several['needed']} from which on families are judged."
        )
    text = (
        "The searches share the validation split and the warm starts: the verdict counts images and searches as drawn, "
        "but another split may order the families differently."
    )
    return _item("shared images", text)


def _given(report: Record) -> list[Record]:
    """Finalists that the search was given, not found by it."""
    roles = {(row["family"], row["trial"]): row["role"] for row in report["leaderboard"]["candidates"]}
    rows = [row for row in report["leaderboard"]["rows"] if row["kind"] == "finalist"]
    given = [row["title"] for row in rows if roles.get((row["family"], row["trial"])) == "warm_start"]
    if not given:
        return []
    text = f"A warm start, a configuration given and not found by the search, became {listing(given)}."
    return _item("warm start", text)


def _small_gap(report: Record) -> list[Record]:
    pair = report["answer"]["pair"]
    if pair is None or abs(pair["difference"]) >= 0.002:
        return []
    n = pair["comparison"]["n"]
    gap = points(abs(pair["difference"]))
    return _item("small gap", f"The gap of {gap} is under 0.2 points, which {n:,} test images can rarely decide.")


def _broken(report: Record) -> list[Record]:
    runs = report["broken_runs"]
    return _item("non-finite", f"Left out because an output is not finite: {listing(runs)}.") if runs else []


def _labels(report: Record) -> list[Record]:
    if report["hardest"]["known_errors"] is None:
        return []
    return _item("label noise", "15 labels of MNIST's test set are disputed, so about 99.85 % is the honest ceiling.")


def _writers(report: Record) -> list[Record]:
    rows = _tested(report)
    if not rows:
        return []
    best, *others = ([half["mean"] for half in row["test"]["halves"]] for row in rows)
    text = f"{_dependence(report)} The halves of the test split differ: {rows[0]['title']} has {percent(best[0])} on "
    text += f"the first and {percent(best[1])} on the second half"
    if others:
        first, second = (points(a - b, signed=True) for a, b in zip(best, others[0], strict=True))
        text += f", {first} and {second} against {rows[1]['title']}"
    return _item("dependent images", f"{text}.")


def _dependence(report: Record) -> str:
    """By what intervals are clustered, or how much wider they would be: measured once, with NIST's writer numbers."""
    groups = report["protocol"]["test_groups"]
    if groups is None:
        return (
            "Images are not independent, since writers repeat, but intervals here take them to be: clustered by "
            "writer, that of a family's accuracy on MNIST's test images is 1.25 to 1.28 times as wide, that of a "
            "difference 1.06 times."
        )
    return (
        f"Images are not independent: they come in {groups:,} groups, such as writers, by which intervals and tests of "
        "accuracies and differences are clustered; those of single classes and of calibration are not."
    )


def _validation(report: Record) -> list[Record]:
    if not any(report["protocol"]["budget"]["trials"].values()):
        return []
    n = report["protocol"]["n_validation"]
    text = f"The {n:,} validation images pruned, ranked and chose; their scores rank configurations and flatter them."
    return _item("validation reused", text)
