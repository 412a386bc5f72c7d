"""What a tested pair of finalists, or of families, is in words.

The word of the confirmatory test is its Holm p; nothing here is ever called significant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from study.report.wording import capital, p_value, point_interval, points
from study.statistics.comparison import Verdict
from study.statistics.intervals import Interval
from study.statistics.over_seeds import Comparison
from study.statistics.result import Result

WORDS = {
    "equal within 0.2 points": "are equal within 0.2 points on the test split",
    "too close to call": "are too close to call on the test split",
}


class Judged(Protocol):
    """A pair under test: differences and intervals are a minus b."""

    @property
    def a(self) -> str: ...
    @property
    def b(self) -> str: ...
    @property
    def title_a(self) -> str: ...
    @property
    def title_b(self) -> str: ...
    @property
    def comparison(self) -> Comparison: ...
    @property
    def holm_p(self) -> float: ...
    @property
    def verdict(self) -> Verdict: ...
    @property
    def each(self) -> str:
        """How many searches are behind each side, in words."""
        ...

    def to_dict(self) -> dict[str, Any]: ...


P = TypeVar("P", bound=Judged)


@dataclass(frozen=True, slots=True)
class Turned(Result, Generic[P]):
    """A pair seen from its side `first`: differences and intervals are first minus other; `ahead` is who is better."""

    pair: P
    first: str
    difference: float
    interval95: Interval
    interval90: Interval
    ahead: str | None

    @property
    def titles(self) -> tuple[str, str]:
        a, b = self.pair.title_a, self.pair.title_b
        return (a, b) if self.pair.a == self.first else (b, a)

    def to_dict(self) -> dict[str, Any]:
        """The pair with what is turned beside its own numbers."""
        turned = Result.to_dict(self)
        return self.pair.to_dict() | {key: turned[key] for key in ("difference", "interval95", "interval90", "ahead")}


def turned(pair: P, first: str) -> Turned[P]:
    sign = 1 if pair.a == first else -1
    compared, better = pair.comparison, pair.verdict.better
    ahead = None if better is None else pair.a if better == "a" else pair.b
    both = (_turned(compared.interval95, sign), _turned(compared.interval90, sign))
    return Turned(pair, first, sign * compared.difference, *both, ahead)


def _turned(interval: Interval, sign: int) -> Interval:
    low, high = sorted(sign * bound for bound in interval)
    return low, high


def of_sides(pairs: tuple[P, ...], first: str, other: str | None) -> Turned[P] | None:
    """The pair of these two, seen from the first."""
    return next((turned(pair, first) for pair in pairs if {pair.a, pair.b} == {first, other}), None)


def verdict(pair: Judged, first: str) -> str:
    """One pair in words, seen from `first` unless the other side is better: finalist X against finalist Y, one search
    each; or two families."""
    seen = turned(pair, first)
    label = pair.verdict.label
    if label.startswith("better") and seen.ahead not in (None, first):
        seen = turned(pair, str(seen.ahead))
    one, other = seen.titles
    if label == "no verdict":
        return f"No verdict between {one} and {other}: {pair.verdict.reason}."
    numbers = f"95 % interval {point_interval(seen.interval95)}, Holm p {p_value(pair.holm_p)}; {pair.each} each"
    if label.startswith("better"):
        size = points(seen.difference) + (", too little to matter," if label != "better" else "")
        return f"{capital(one)} is better than {other} by {size} on the test split ({numbers})."
    difference = points(seen.difference, signed=True)
    return f"{capital(one)} and {other} {WORDS[label]}: {difference} ({numbers})."
