"""Whether two versions of the program say the same of the same study: two report.json, number by number.

    python benchmarks/same_report.py BEFORE/report.json AFTER/report.json

Keys that a later version has renamed, removed or added are listed here; what is of the clock is left out, also what it
decides: how many images robustness is measured on, and so all that is. Numbers are equal to 11 significant digits: sums
that are taken in another order differ beyond. Prints each difference and exits with 1 if there is one.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Regular expressions of whole paths such as families/families/0/best/nll; a renamed key keeps its folder.
RENAMED = {
    # The search's NLL is temperature-scaled.
    r"families/families/\d+/(best|best_sampled)/nll": "nll_scaled",
    r"mattered/families/[^/]+/best_sampled/nll": "nll_scaled",
    r"answer/best_trial/best_sampled/nll": "nll_scaled",
}
REMOVED = [r"robustness/validation"]  # it was always empty
ADDED = [r"header/openings_of_user", r"(answer/pair|pairwise/pairs/\d+)/comparison/(unit|groups)"]
ADDED += [
    *(r"protocol/(test_groups|inverted|levels|transposed)", r"repeated/.*", r"health/failed_runs"),
    r"answer/(opened|first.*|shipped_sentence)",
    r"leaderboard/(shipped|gains)/.*",  # of studies that ship a reading with shifts
    *(
        r"families/families/\d+/(further_seeds|searched_whole)",
        r"(answer/pair|pairwise/pairs/\d+)/comparison/(wins|losses)",
    ),
    *(
        r"pairwise/optimism/[^/]+/(search_examples|fresh_examples|length_and_luck|.*_interval95(/\d)?)",
        r"(calibration/families/[^/]+/(errors/\d+|beyond)|mattered/families/[^/]+/clear.*)",
    ),
]
ADDED += [r"classes/pages/.*", r"halfway(/.*)?", r"families/(meaning|families/\d+/space_sha256)"]
ADDED += [r"families/families/\d+/given(/.*)?", r"(protocol|fair)/budget/given_seconds(/.*)?"]
OF_THE_CLOCK = (
    *(r"written", r"made_from", r"backup(/.*)?", r"(.*/)?(commands|stages)(/.*)?", r".*seconds.*", r".*latency.*"),
    *(
        r"(robustness/measured|health/timeline)/.*",
        r"health/(training_share|utilisation)",
        r"findings/(fair|robustness)",
    ),
    *(r"header/created", r"header/openings/\d+/(time|command)"),
)
# Sentences, which say more than before or say it in plainer words; and what was called luck where it was not.
# Pairs have the higher mean first, and only finalists are on a front.
REWRITTEN = [r"(pairwise|searches)/pairs/.*", r"answer/(pair/.*|best_trial_sentence)", r"cost/points/\d+/front.*"]
REWRITTEN += [r"answer/added(/.*)?"]  # it is read on the test split where that was opened
REWRITTEN += [r"findings/.*", r"(limits/items|conclusion/(items|future))/\d+/.*", r"pairwise/optimism/[^/]+/seed_luck"]
DIGITS = 11


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of everything that is no object and no list, and of the empty ones."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None or not value:
        yield path, value
        return
    for key, item in items:
        yield from leaves(item, f"{path}/{key}".lstrip("/"))


def renamed(path: str) -> str:
    for pattern, key in RENAMED.items():
        if re.fullmatch(pattern, path):
            return f"{path.rpartition('/')[0]}/{key}"
    return path


def is_in(path: str, patterns: list[str] | tuple[str, ...]) -> bool:
    return any(re.fullmatch(pattern, path) for pattern in patterns)


def differences(before: Any, after: Any) -> list[str]:
    old = {
        renamed(path): value for path, value in leaves(before) if not is_in(path, [*REMOVED, *REWRITTEN, *OF_THE_CLOCK])
    }
    new = {path: value for path, value in leaves(after) if not is_in(path, [*ADDED, *REWRITTEN, *OF_THE_CLOCK])}
    gone = [f"{path} is gone" for path in old if path not in new]
    added = [f"{path} is new" for path in new if path not in old]
    shared = [path for path in old if path in new and not equal(old[path], new[path])]
    return gone + added + [f"{path}: {old[path]!r} and {new[path]!r}" for path in shared]


def equal(before: Any, after: Any) -> bool:
    if isinstance(before, float) and isinstance(after, float):
        return math.isclose(before, after, rel_tol=10.0**-DIGITS)
    return bool(before == after)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    options = parser.parse_args()
    found = differences(*(json.loads(path.read_text(encoding="utf-8")) for path in (options.before, options.after)))
    print(*found or ["the same"], sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
