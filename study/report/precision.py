"""How much a verdict about families can see, and how often such a verdict is wrong, in sentences."""

from __future__ import annotations

from typing import Protocol

from study.report.judged import Judged
from study.report.wording import count, percent, points
from study.statistics.intervals import Interval
from study.statistics.power import FALSE_ALARMS, GAP, LUCK


class Precise(Judged, Protocol):
    """A pair of families with the half-width of its 95 % interval, and how often it would see GAP."""

    @property
    def half_width(self) -> float: ...
    @property
    def power(self) -> float: ...


def sentences(pair: Precise | None) -> list[str]:
    """What a verdict by these searches and images could have seen; nothing where there is none."""
    if pair is None or pair.verdict.label == "no verdict":
        return []
    df = count(round(pair.comparison.df), "degree of freedom", "degrees of freedom")
    return [
        f"The interval reaches {points(pair.half_width)} each way, with {df}: of comparisons as precise, "
        f"{percent(pair.power, 0)} would see families {points(GAP, digits=1)} apart."
    ]


def false_alarms() -> str:
    known = FALSE_ALARMS
    return (
        "In simulated studies of 3, 5 and 10 searches, tested at 5 %, equal families were called different in "
        f"{_range(known.usual)}; where one family alone had one search in five that ended half a point behind, in "
        f"{_range(known.half_behind)}, a whole point, in {_range(known.point_behind)}: few searches without such a one "
        "look better than the family is."
    )


def luck() -> str:
    return (
        "A verdict between finalists is about these configurations, not about their families. Tested at 5 %, one "
        f"configuration that was trained under other seeds was called different in {_range(LUCK.other_seeds)} of "
        f"comparisons, and what two searches of one family handed over in {_range(LUCK.other_search)} (20 random "
        "configurations a family, trained for half an epoch, half of them for each search). Of what five default "
        f"studies found, one run each, {_range(LUCK.other_study)} of the pairs within a family were called so."
    )


def _range(shares: Interval) -> str:
    """'1 to 6 %'."""
    return f"{100 * shares[0]:.0f} to {100 * shares[1]:.0f} %"
