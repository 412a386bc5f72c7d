"""The verbs that look at a study: its report, its state, its dashboard, and several studies beside each other."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from study.command.console import existing_files, print_answer, print_rows
from study.command.summary import earlier_export, summary_as_json, summary_lines, winner_line
from study.errors import ResultsError
from study.records.locking import lock_holder
from study.records.naming import with_its_name
from study.records.paths import StudyFiles
from study.records.summary import Summary, read_summary


def print_summary(args: argparse.Namespace, files: StudyFiles, **also: object) -> None:
    """What a study came to; `also` is said to machines alone."""
    if args.format == "json":
        print_answer(args.verb, {**also, **summary_as_json(files, args.results)})
        return
    print(*summary_lines(files, args.results), sep="\n", flush=True)
    if (earlier := earlier_export(files)) is not None:
        print(earlier)


def report(args: argparse.Namespace, command: str, started: float) -> int:
    from study.report.page import write_report

    files = existing_files(args)
    write_report(files)
    print_summary(args, files)
    return 0


def compare(args: argparse.Namespace, command: str, started: float) -> int:
    from study.report.comparison.entries import find_studies
    from study.report.comparison.page import numbers_of, write_comparison
    from study.report.comparison.sections import answer, leaderboard

    page, compared = write_comparison(find_studies(args.studies, args.results), args.out)
    if args.format == "json":
        print_answer(args.verb, {"page": str(page), **numbers_of(compared)})
        return 0
    print_rows(leaderboard.in_short(compared[leaderboard]))
    print(answer.finding(compared[answer], compared))
    print(f"comparison: {page}")
    return 0


def status(args: argparse.Namespace, command: str, started: float) -> int:
    return print_status(existing_files(args), args)


def print_status(files: StudyFiles, args: argparse.Namespace) -> int:
    from study.command.status import study_status

    holder = lock_holder(files)
    summary = _summary(files)
    winner = None if summary is None else summary.winner
    found = study_status(files, holder) | {"held_by": holder, "winner": None if winner is None else asdict(winner)}
    if args.format == "json":
        print_answer(args.verb, found)
        return 0
    for one in [found, *found["repeats"]]:
        search = f", search {one['search']} of {found['searches']}" if found["searches"] > 1 else ""
        rows = [_status_row(family, row) for family, row in one["families"].items()]
        print_rows(rows, title=f"study {one['name']}{search}")
    if summary is not None and winner is not None:
        print(winner_line(winner), *([f"network: {summary.network}"] if summary.network else []), sep="\n")
    print(*found["lines"], sep="\n")
    return 0


def _summary(files: StudyFiles) -> Summary | None:
    """A study's state stands in other files: a damaged report does not hide it."""
    try:
        return read_summary(files)
    except ResultsError as error:
        print(with_its_name(f"note: {error}", files), file=sys.stderr)
        return None


def _status_row(family: str, row: Mapping[str, Any]) -> dict[str, object]:
    return {
        "family": family,
        "complete": row["complete"],
        "pruned": row["pruned"],
        "failed": row["failed"],
        "best": row["best_percent"],
        "trial": row["best_trial"] if row["best_origin"] is None else f"{row['best_trial']}, {row['best_origin']}",
        "spent": f"{row['spent_s']:.0f} s",
        "allowance": row["allowance"],
    }


def dashboard(args: argparse.Namespace, command: str, started: float) -> int:
    from study.command.dashboard import serve

    files = existing_files(args)
    address, pages = f"http://{args.host}:{args.port}", _own_pages(files)
    if args.format == "json":
        print_answer(args.verb, {"address": address, "pages": pages})
    elif not args.quiet:
        beside = f", with {', '.join(pages)}" if pages else ""
        print(f"{address}{beside}  (Ctrl-C ends it)", file=sys.stderr, flush=True)
    if args.until_stdin_ends:
        threading.Thread(target=_end_with_standard_input, daemon=True).start()
    serve(files, args.storage, args.host, args.port, write=args.write)
    return 0


def _own_pages(files: StudyFiles) -> list[str]:
    """Which of a study's own pages the dashboard serves, too, as far as they are there."""
    from study.command.draw.server import PAGE
    from study.command.pages import CARD_PATH, REPORT_PATH

    whole = files.whole
    pages = [(REPORT_PATH, whole.report_html), (CARD_PATH, whole.model_card), (PAGE, whole.model / "model.json")]
    return [path for path, file in pages if file.is_file()]


def _end_with_standard_input() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
