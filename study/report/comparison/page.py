"""The comparison's two files: numbers first, then one page drawn from them alone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from study.errors import ResultsError, UsageError
from study.records.files import read_json, write_json, write_text
from study.records.paths import StudyFiles
from study.report.comparison import groups, studies
from study.report.comparison.compared import Compared
from study.report.comparison.entries import Entry, labels, read_entries
from study.report.comparison.sections import answer, cost, leaderboard, limits, pairwise, protocol
from study.report.reading import Record
from study.report.section import Place
from study.statistics.result import strict

FORMAT = 1

# In the order of the page, which numbers them from 1; the answer repeats what other sections hold.
SECTIONS = (
    Place("answer", answer, "Finding", is_open=True),
    Place("protocol", protocol, "What differs in protocol", is_open=True),
    Place("leaderboard", leaderboard, "Leaderboard of all finalists", is_open=True),
    Place("pairwise", pairwise, "Exploratory differences", is_open=True),
    Place("cost", cost, "Accuracy against cost", is_open=True),
    Place("limits", limits, "What cannot be compared", is_open=True),
)
KIND = "comparison of studies"
LONGEST_NAME = 150  # of the default file's stem: file systems end at 255 bytes


def write_comparison(of: Sequence[StudyFiles], out: Path | None = None) -> tuple[Path, Compared]:
    """Write the page and, beside it, its numbers as .json; returns the page's path and the comparison.

    ResultsError if a study is missing, running or not finished, UsageError if `out` cannot be the page's name."""
    page = default_page(of) if out is None else out
    _check_place(page)
    compared = make(read_entries(of))
    numbers = numbers_of(compared)
    from study.report.comparison.rendering import render

    html = render(compared, page.with_suffix(".json").name)
    try:
        write_json(page.with_suffix(".json"), numbers)
        write_text(page, html)
    except OSError as error:
        raise ResultsError(f"{page} cannot be written ({error.strerror}); choose another place with --out") from None
    return page, compared


def default_page(of: Sequence[StudyFiles]) -> Path:
    """compare-A-B.html beside the first study's folder."""
    stem = re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(["compare", *labels(of)])).rstrip("-")
    if len(stem) > LONGEST_NAME:
        stem = f"{stem[:LONGEST_NAME]}-{hashlib.sha256(stem.encode()).hexdigest()[:8]}"
    first = of[0].root
    # The parent of "." and ".." is no folder above them.
    above = first.resolve().parent if first.name in ("", "..") else first.parent
    return above / f"{stem}.html"


def _check_place(page: Path) -> None:
    """The numbers go beside the page: they may replace an older comparison, and nothing else."""
    if page.suffix != ".html":
        raise UsageError(f"--out {str(page)!r} is not usable: expected a name that ends in .html")
    beside = page.with_suffix(".json")
    if beside.exists() and not _is_comparison(beside):
        raise UsageError(
            f"--out {str(page)!r} is not usable: {beside} is there and holds no comparison; choose another"
        )


def _is_comparison(path: Path) -> bool:
    try:
        found = read_json(path)
    except (ResultsError, OSError):
        return False
    return isinstance(found, dict) and found.get("kind") == KIND


def make(entries: Sequence[Entry]) -> Compared:
    """The comparison of studies that were read, to be written as numbers or as a page."""
    return Compared(entries, SECTIONS)


def numbers_of(compared: Compared) -> Record:
    """Every number and sentence that the page shows, as strict JSON."""
    known = compared[studies]
    numbers: Record = strict(
        {
            "kind": KIND,
            "format": FORMAT,
            "written": compared.written,
            "studies": known.summaries,
            "groups": compared[groups],
            "shared_trials": known.shared,
            **{place.name: compared[place.section] for place in SECTIONS if place.name != "answer"},
            "findings": {place.name: compared.finding(place) for place in SECTIONS},
        }
    )
    return numbers
