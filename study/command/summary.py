"""What a run says in the end, in at most eight lines: who won, how well, what it is, what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from study.records.naming import with_its_name
from study.records.paths import EARLIER_EXPORT, EXPORT, StudyFiles
from study.records.summary import Summary, Winner, read_summary


def dashboard_command(files: StudyFiles, results: Path) -> str:
    words = ["study", "dashboard", "--name", files.name]
    if results != Path("results"):
        words += ["--results", str(results)]
    return shlex.join(words)


def summary_lines(files: StudyFiles, results: Path) -> list[str]:
    """As a study's report has them; of a study without one where to watch it."""
    found = read_summary(files)
    said = [] if found is None else [with_its_name(line, files) for line in _found(found)]
    if files.report_html.exists():
        said.append(f"report: {files.report_html}")
    said.append(f"dashboard: {dashboard_command(files, results)}")
    if found is not None:
        said.append(with_its_name(f"next: {'. '.join(filter(None, (found.use, found.advice)))}", files))
    return said


def _found(found: Summary) -> Iterator[str]:
    if found.winner is not None:
        yield winner_line(found.winner)
    yield found.verdict
    if found.network is not None:
        yield f"network: {found.network}"
    if found.shipped is not None:
        yield f"`study predict` uses {found.shipped}"
    if found.added is not None:
        yield f"what the search added: {found.added}"
    elif found.best_trial is not None:
        yield found.best_trial


def winner_line(winner: Winner) -> str:
    several = f", mean of {winner.searches} searches" if winner.searches > 1 else ""
    if winner.accuracy is None:
        score = "" if winner.validation is None else f", {100 * winner.validation:.2f} % there with fresh seeds"
        return f"winner by validation: {winner.title}{score}{several}"
    sure = ""
    if winner.interval95 is not None:
        low, high = winner.interval95
        sure = f" (95 % interval {100 * low:.2f} to {100 * high:.2f} %)"
    return f"winner: {winner.title}, {100 * winner.accuracy:.2f} % of the test images right{several}{sure}"


def earlier_export(files: StudyFiles) -> str | None:
    """That the exported file is of another network than the one that is shipped now."""
    earlier = files.model / EARLIER_EXPORT
    if not earlier.exists() or (files.model / EXPORT).exists():
        return None
    return f"{earlier} is of an earlier network: `study export {files.named}` exports the one that is there now"


def summary_as_json(files: StudyFiles, results: Path) -> Mapping[str, Any]:
    """The same for machines; `summary` is null before there is a report."""
    found = read_summary(files)
    return {
        "study": files.name,
        "folder": str(files.root),
        "summary": None if found is None else asdict(found),
        "report": str(files.report_html) if files.report_html.exists() else None,
        "numbers": str(files.report_json) if files.report_json.exists() else None,
        "model": str(files.model) if files.model.is_dir() else None,
        "dashboard": dashboard_command(files, results),
    }
