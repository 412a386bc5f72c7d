"""The sentences of an ablation and of an audit, from their numbers alone."""

from __future__ import annotations

from typing import Any

from study.report.verdicts import capital
from study.report.wording import count, listing, percent, point_interval, points, swap

Record = dict[str, Any]
NAMED = 3  # swaps told in words; the table has all


def ablation_sentence(ablation: Record) -> str:
    """What the swaps of one finalist showed: those whose interval leaves out zero, the largest first."""
    known = [row for row in ablation["rows"] if row["failed"] is None]
    if not known:
        return f"No swap of {ablation['title']} has been trained with all its seeds yet."
    known.sort(key=lambda row: -abs(row["difference"]))
    better, worse = ([row for row in known if beyond(row) == sign] for sign in (1, -1))
    open_ = [row for row in known if beyond(row) == 0]
    parts = [_told(rows, verb) for rows, verb in ((better, "raise"), (worse, "lower")) if rows]
    if open_:
        has = "has an interval that holds" if len(open_) == 1 else "have intervals that hold"
        first = "" if better or worse else f", the largest {_one(known[0])}"
        parts.append(f"{count(len(open_), 'swap')} {has} zero{first}")
    return f"{capital(ablation['title'])} on validation: {'; '.join(parts)}."


def beyond(row: Record) -> int:
    """1 where a swap's 95 % interval lies above zero, -1 below, 0 where it holds it."""
    low, high = row["interval95"]
    return int(low > 0) - int(high < 0)


def _told(rows: list[Record], verb: str) -> str:
    lead = f"{count(len(rows), 'swap')} {verb}{'s' if len(rows) == 1 else ''} its accuracy"
    most = ", most of all" if len(rows) > NAMED else ":"
    return f"{lead}{most} {listing([_one(row) for row in rows[:NAMED]])}"


def _one(row: Record) -> str:
    return f"{swap(row)} by {points(row['difference'], signed=True)} ({point_interval(row['interval95'])})"


def audit_sentence(audit: Record | None, pruned: int) -> str:
    """What an audit found; of a search that has gone on, and has `pruned` trials now, that it is of an earlier one."""
    if audit is None:
        return (
            "No audit: how many pruned trials would have won is unknown; study examine --audit 20 runs 20 to the end."
        )
    if not audit["judged"]:
        reason = "no trial was pruned" if not audit["pruned"] else "none of those drawn could be judged"
        return f"Audit: {reason}, so nothing is known of wrongly pruned ones."
    beaten, judged = audit["beaten"], audit["judged"]
    found = "none" if beaten == 0 else f"{beaten}"
    more = pruned - audit["pruned"]
    since = f" Since then {count(more, 'trial')} more {'were' if more > 1 else 'was'} pruned." if more > 0 else ""
    return (
        f"Audit: of {count(judged, 'pruned trial')} drawn at random from {audit['pruned']} and run to the end, {found} "
        f"beat the best completed trial of its family; with 95 % confidence at most {percent(audit['bound95'], 1)} of "
        f"the pruned ones would.{since}"
    )
