"""The comparison's two files: numbers first, then one page drawn from them alone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from study.errors import ResultsError, UsageError
from study.records.files import read_json, write_json, write_text
from study.records.paths import StudyFiles
from study.report.comparison import limits, numbers, protocol, sentences
from study.report.comparison.entries import Entry, labels, read_entries
from study.report.reading import Record, known_form
from study.statistics.result import strict

FORMAT = 1
KIND = "comparison of studies"
LONGEST_NAME = 150  # of the default file's stem: file systems end at 255 bytes


def write_comparison(studies: Sequence[StudyFiles], out: Path | None = None) -> tuple[Path, Record]:
    """Write the page and, beside it, its numbers as .json; returns the page's path and the numbers.

    ResultsError if a study is missing, running or not finished, UsageError if `out` cannot be the page's name."""
    page = default_page(studies) if out is None else out
    _check_place(page)
    comparison = build(read_entries(studies))
    from study.report.comparison.rendering import render

    html = render(comparison, page.with_suffix(".json").name)
    try:
        write_json(page.with_suffix(".json"), comparison)
        write_text(page, html)
    except OSError as error:
        raise ResultsError(f"{page} cannot be written ({error.strerror}); choose another place with --out") from None
    return page, comparison


def default_page(studies: Sequence[StudyFiles]) -> Path:
    """compare-A-B.html beside the first study's folder."""
    stem = re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(["compare", *labels(studies)])).rstrip("-")
    if len(stem) > LONGEST_NAME:
        stem = f"{stem[:LONGEST_NAME]}-{hashlib.sha256(stem.encode()).hexdigest()[:8]}"
    first = studies[0].root
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


def build(entries: Sequence[Entry]) -> Record:
    """Every number and sentence that the page shows, as strict JSON."""
    summaries, rows, facts = [], [], []
    for entry in entries:
        with known_form(entry.study.files.root):
            summaries.append(numbers.summary(entry))
            facts.append(protocol.facts_of(entry.report))
            rows += numbers.finalists(entry)
    groups = numbers.groups(entries)
    latency = numbers.latency_comparable(entries)
    board = numbers.leaderboard(rows, groups, latency=latency)
    comparison: Record = {
        "kind": KIND,
        "format": FORMAT,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "studies": summaries,
        "groups": groups,
        "shared_trials": numbers.shared_trials(entries),
        "protocol": {"rows": protocol.rows(facts), "spaces": protocol.spaces([entry.study for entry in entries])},
        "leaderboard": {"rows": board},
        "pairwise": {"pairs": numbers.pairs(board, entries), "untested": numbers.untested(entries, board)},
        "cost": {"points": numbers.cost_points(board, latency=latency), "latency_comparable": latency},
    }
    comparison["limits"] = {"items": limits.limits(comparison)}
    comparison["findings"] = {name: finding(comparison) for name, finding in sentences.FINDINGS.items()}
    result: Record = strict(comparison)
    return result
