"""Durations as flags give them: '90s', '5m', '1h30m'."""

from __future__ import annotations

import math
import re

from study.errors import UsageError

_PART = r"([0-9]+(?:\.[0-9]+)?)"
_DURATION = re.compile(rf"(?:{_PART}h)? *(?:{_PART}m)? *(?:{_PART}s)?")


def parse_duration(text: str) -> float:
    """Seconds in '90s', '5m', '0.5h', '1h30m' or '1h 30m'; UsageError for anything else and for zero."""
    seconds = _seconds(text.strip(" "))
    if seconds is None:
        shown = ascii(text if len(text) <= 30 else text[:27] + "...")
        meant = " or ".join(_meant(text)) or "a time above zero with its unit, such as 90s, 5m, 0.5h or 1h30m"
        raise UsageError(f"duration {shown} is not usable: expected {meant}")
    return seconds


def _seconds(text: str) -> float | None:
    match = _DURATION.fullmatch(text)
    hours, minutes, seconds = (float(part or 0) for part in match.groups()) if match else (0.0, 0.0, 0.0)
    total = hours * 3600 + minutes * 60 + seconds
    return total if 0 < total < math.inf else None


def _meant(text: str) -> list[str]:
    """Durations that a text without a unit, with capitals or with its parts in another order may mean."""
    bare = text.lower().replace(" ", "")
    by_unit = sorted(re.findall(r"[^hms]*[hms]", bare), key=lambda part: "hms".index(part[-1]))
    forms = [f"{bare}s", f"{bare}m", f"{bare}h", "".join(by_unit)] if len(bare) < 20 else []
    return [form for form in forms if len(form) >= len(bare) and _seconds(form) is not None]
