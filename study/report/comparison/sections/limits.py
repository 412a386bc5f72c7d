"""What these studies cannot tell of each other and why, each item raised by the comparison's numbers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from study.report.charts import Chart
from study.report.comparison import groups, studies
from study.report.comparison.compared import Compared
from study.report.comparison.entries import Entry
from study.report.comparison.sections import cost, leaderboard, pairwise, protocol
from study.report.comparison.studies import Summary
from study.report.limit_items import Item, Limits, few_seeds
from study.report.wording import capital, count, duration, integer, listing, times

OF_A_MACHINE = ("device", "precision", "workers", "cpu", "gpu", "cores")
NOT_INDEPENDENT = "not independent"


def numbers(entries: Sequence[Entry], before: Compared) -> Limits:
    first = (_other_images, _unread, _cause, _search_effort, _training_length, _dependent)
    then = (_validation, _test_reuse, _few_seeds, _absent, _broken, _seconds, _latency)
    return Limits(tuple(item for rule in first + then for item in rule(before)))


def _by_study(before: Compared, values: Sequence[str]) -> list[str]:
    return [f"{label} {value}" for label, value in zip(before.labels, values, strict=True)]


def _other_images(before: Compared) -> list[Item]:
    read = [group for group in before[groups] if group.read]
    if len(read) < 2:
        return []
    named = "; ".join(f"{group.name}: {listing(group.read)}" for group in read)
    text = (
        f"Accuracies on different test images cannot be ranked or subtracted ({named}): one set may be harder than "
        "the other, and no image of one can be paired with an image of the other."
    )
    return [Item("other images", text)]


def _unread(before: Compared) -> list[Item]:
    return [
        Item("not evaluated", _why_unread(study)) for study in before[studies].summaries if study.stage != "evaluated"
    ]


def _why_unread(study: Summary) -> str:
    why = "was opened, but its predictions are missing" if study.header.openings else "is still sealed"
    text = f"The test split of study {study.label} {why}: validation is all that it has, and that is no"
    return f"{text} performance. `study evaluate` reads it."


def _cause(before: Compared) -> list[Item]:
    """Why a gap is never the effect of what differs."""
    topics = before[protocol].topics(test_split=False)
    if not topics:
        text = (
            "The recorded protocols are the same, so a gap between two studies is the luck of their searches and seeds."
        )
        return [Item("cause of a gap", text)]
    what = f"with what differs ({listing(topics)})"
    alone = "" if len(topics) == 1 else ", and shows the effect of none of it alone"
    text = (
        f"Each study is one search of each family: a gap between two of them mixes the luck of these searches {what}"
        f"{alone}. Only repeats of each protocol under several study seeds could tell luck from cause."
    )
    return [Item("cause of a gap", text)]


def _search_effort(before: Compared) -> list[Item]:
    """What the searches got, which a clock and the last trial of each decide, and not what they were promised."""
    if not any(before[protocol].point(key).differs for key in ("allowance_s", "n_trials")):
        return []
    said = [_mean_spent(study) for study in before[studies].summaries]
    shown = "; ".join(_by_study(before, said))
    text = f"The searches had unequal chances; mean worker time and trials of a family: {shown}."
    return [Item("search effort", text)]


def _mean_spent(study: Summary) -> str:
    got = study.protocol.budget
    return f"{duration(fmean(got.spent_seconds.values()))} and {count(round(fmean(got.trials.values())), 'trial')}"


def _training_length(before: Compared) -> list[Item]:
    rows = [row for row in before[protocol].differing if row.key.startswith("examples.")]
    parts = [
        f"{row.key.removeprefix('examples.')}: {listing(_by_study(before, [integer(value) for value in row.values]))}"
        for row in rows
    ]
    if not parts:
        return []
    return [Item("training length", f"Final runs saw different numbers of examples ({'; '.join(parts)}).")]


def _dependent(before: Compared) -> list[Item]:
    """Studies that share trials, networks or configurations."""
    return [*_shared_trials(before), *_shared_networks(before)]


def _shared_trials(before: Compared) -> list[Item]:
    found, said = [], set()
    folders = {os.path.realpath(study.folder): study.label for study in before[studies].summaries}
    for study in before[studies].summaries:
        source = folders.get(str(_source(study)))
        if source is not None:
            text = f"Study {study.label} began with trials of study {source}: its search is not independent."
            found.append(Item(NOT_INDEPENDENT, text))
            said.add(frozenset((study.label, source)))
    for pair in before[studies].shared:
        if frozenset(pair.studies) not in said:
            shared = f"{count(pair.trials, 'trial')} in common, as a study and its copy have"
            text = f"Studies {listing(pair.studies)} have {shared}: their searches are not independent."
            found.append(Item(NOT_INDEPENDENT, text))
    return found


def _source(study: Summary) -> str | None:
    """The folder of the study whose trials this one began with: beside it, or written down as a path."""
    source = study.header.imported_from
    return None if source is None else os.path.realpath(Path(study.folder).parent / source)


def _shared_networks(before: Compared) -> list[Item]:
    found = before[pairwise]
    copies = [row for row in found.untested if row.kind == "same network"]
    again = [pair for pair in found.pairs if pair.same_configuration]
    same = "are the same configuration, trained twice."
    return [
        *(Item("same network", f"{capital(row.a)} and {row.b} are one network, not two results.") for row in copies),
        *(Item("same configuration", f"{capital(pair.title_a)} and {pair.title_b} {same}") for pair in again),
    ]


def _validation(before: Compared) -> list[Item]:
    if any(row.group == "data" and "test" not in row.key for row in before[protocol].differing):
        text = "Validation scores come from different data or splits: those of one study say nothing of another's."
    else:
        text = "Validation scores chose the finalists of each study and flatter them; their gaps are no test."
    return [Item("validation", text)]


def _test_reuse(before: Compared) -> list[Item]:
    found = []
    for group in before[groups]:
        inside = [study for study in before[studies].summaries if study.label in group.read]
        if len(inside) > 1:
            opened = times(sum(len(study.header.openings) for study in inside))
            text = f"These studies alone opened the same test images {opened}, and no seal planned to compare"
            text = f"{text} them: the intervals say where to look next and confirm nothing."
            found.append(Item("test reused", text))
    return found


def _few_seeds(before: Compared) -> list[Item]:
    return few_seeds([(row.title, row.finalist.seeds) for row in before[leaderboard].tested])


def _absent(before: Compared) -> list[Item]:
    found = []
    for study in before[studies].summaries:
        if study.without_finalist:
            text = f"Study {study.label} has no finalist of {listing(study.without_finalist)}."
            found.append(Item("absent family", text))
        rows = [row for row in before[leaderboard].rows if row.study == study.label]
        unread = [row.title for row in rows if not row.finalist.test]
        if unread and study.stage == "evaluated":
            text = f"Without usable predictions on the test split: {listing(unread)}."
            found.append(Item("not evaluated", text))
    return found


def _broken(before: Compared) -> list[Item]:
    broken = [study for study in before[studies].summaries if study.broken_runs]
    return [
        Item("non-finite", f"Left out of study {study.label} for non-finite outputs: {listing(study.broken_runs)}.")
        for study in broken
    ]


def _seconds(before: Compared) -> list[Item]:
    differing = [point.label for key in OF_A_MACHINE if (point := before[protocol].point(key)).differs]
    if not differing:
        return []
    verb = "differs" if len(differing) == 1 else "differ"
    return [Item("seconds", f"Seconds of different studies cannot be compared: {listing(differing)} {verb}.")]


def _latency(before: Compared) -> list[Item]:
    rows = before[leaderboard].rows
    without = list(dict.fromkeys(row.study for row in rows if row.finalist.latency_p50_ms is None))
    if len(without) == len(before.labels):
        text = "No study has a latency of its finalists; `study examine` adds it."
    elif without:
        plural = "studies" if len(without) > 1 else "study"
        text = f"Not every finalist of {plural} {listing(without)} has a latency; `study examine` adds it."
    elif not before[cost].latency_comparable:
        text = "Latencies were measured on different processors: no front is drawn over them."
    else:
        text = "Latencies were measured one study at a time: small gaps are the machine's."
    return [Item("latency", text)]


def finding(found: Limits, before: Compared) -> str:
    return f"{count(len(found.items), 'thing')} that these studies cannot tell."


def charts(found: Limits) -> list[Chart]:
    return []
