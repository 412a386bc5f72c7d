"""What the verbs share: the study that the flags mean, and results as a table or as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from study.errors import ResultsError
from study.results import RESERVED_NAMES, StudyFiles, check_study_name, default_name
from study.streams import knows_every_sign


def files_of(args: argparse.Namespace) -> StudyFiles:
    """The study that a reading verb means; the committed sample may be read by its name, though not written."""
    if args.name in RESERVED_NAMES:
        return StudyFiles(args.results / args.name)
    name = args.name if args.name is not None else default_name(args.dataset, args.data_dir)
    return StudyFiles(args.results / check_study_name(name))


def existing_files(args: argparse.Namespace) -> StudyFiles:
    files = files_of(args)
    if not files.exists():
        raise ResultsError(no_study_in(files))
    return files


def no_study_in(files: StudyFiles) -> str:
    """That there is no such study, and which there are."""
    there = sorted(path.parent.name for path in files.root.parent.glob("*/study.toml"))
    named = f"--name: {files.root.parent} has {', '.join(there[:9])}" if there else "--name or --results"
    return f"{files.root} holds no study; start one with `study run`, or name another with {named}"


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=not knows_every_sign(sys.stdout), allow_nan=False))


def print_rows(rows: list[dict[str, Any]], form: str) -> None:
    """Rows with the same keys as a table, or as JSON with form 'json'."""
    if form == "json":
        print_json(rows)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*(rows[0] if rows else ()))
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row.values()))
    Console().print(table)
