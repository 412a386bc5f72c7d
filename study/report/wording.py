"""How numbers are written in sentences and cells: one place, so that the page never shows two forms of one number."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from study.statistics.result import shown_p

NONE = "–"
_MINUS = re.compile(r"(?<![\w.,/=\"-])-(?=\d)")
_PERCENT = re.compile(r"(?<=\d) %(?!\{)")


def percent(value: float | None, digits: int = 2) -> str:
    """A share as '99.41 %'."""
    return NONE if value is None else f"{100 * value:.{digits}f} %"


def points(value: float | None, *, signed: bool = False, digits: int = 2) -> str:
    """A difference of shares as '0.32 points'."""
    if value is None:
        return NONE
    return f"{_signed(100 * value, digits)} points" if signed else f"{100 * value:.{digits}f} points"


def _signed(value: float, digits: int = 2) -> str:
    """What is 0 in so many digits has no sign."""
    shown = f"{value:+.{digits}f}"
    return shown if float(shown) else shown[1:]


def interval(pair: Sequence[float] | None, digits: int = 2) -> str:
    """An interval of shares as '99.21 to 99.57 %'."""
    return NONE if pair is None else f"{100 * pair[0]:.{digits}f} to {100 * pair[1]:.{digits}f} %"


def point_interval(pair: Sequence[float] | None) -> str:
    """An interval of differences as '+0.12 to +0.52 points'."""
    return NONE if pair is None else f"{_signed(100 * pair[0])} to {_signed(100 * pair[1])} points"


def p_value(value: float | None) -> str:
    """A p-value as the verdicts write it, '= 0.052'; see `shown_p`."""
    return NONE if value is None else shown_p(value)


def p_cell(value: float | None) -> str:
    """The same in a column of its own: '0.052', '< 0.0001'."""
    return p_value(value).removeprefix("= ")


def typeset(text: str) -> str:
    """A text for the page: a true minus before numbers, and no line broken between a number and its '%'."""
    return _PERCENT.sub("\u00a0%", _MINUS.sub("\u2212", text))


def count(number: float, noun: str, plural: str | None = None) -> str:
    """'1 trial', '12,000 trials'."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def times(number: int) -> str:
    """'once', 'twice', '3 times'."""
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")


def integer(value: float | None) -> str:
    """A count with thousands separators, '158,000'."""
    return NONE if value is None else f"{round(value):,}"


def compact(value: float | None) -> str:
    """A large number in three digits: '158 k', '1.9 M'."""
    if value is None:
        return NONE
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:.3g}"


def plain(value: float | int | str | None) -> str:
    """A parameter's value: four digits for a float, anything else as it is."""
    return NONE if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def duration(seconds: float | None) -> str:
    """'41 s', '4 min 40 s', '2 h 05 min'."""
    if seconds is None or not math.isfinite(seconds):
        return NONE
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def flag_value(seconds: float) -> str:
    """Seconds as `--budget` takes them: '10m', '1h30m', '45s'."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{max(1, round(seconds))}s"
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes or not hours else "")


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def listing(items: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1] if items else ""


def setting(value: object) -> str:
    """A configuration's value as a search-space file writes it: text bare, 'true', a list with commas, four digits."""
    if isinstance(value, list):
        return ", ".join(setting(entry) for entry in value)
    return str(value).lower() if isinstance(value, bool) else plain(value)  # type: ignore[arg-type]  # str() of the rest
