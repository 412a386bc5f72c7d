"""What the verbs share: the study that the flags mean, and results as a table or as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from study.errors import ResultsError
from study.records.naming import default_study_name
from study.records.paths import RESERVED_NAMES, StudyFiles, check_study_name
from study.streams import FORM, knows_every_sign

if TYPE_CHECKING:
    from rich.table import Table

_ANY_WIDTH = 1_000_000


def files_of(args: argparse.Namespace) -> StudyFiles:
    """The study that a reading verb means; the committed sample may be read by its name, though not written."""
    if args.name in RESERVED_NAMES:
        return StudyFiles(args.results / args.name)
    name = args.name if args.name is not None else default_study_name(args.dataset, args.data_dir)
    return StudyFiles(args.results / check_study_name(name))


def existing_files(args: argparse.Namespace) -> StudyFiles:
    files = files_of(args)
    if not files.exists():
        raise ResultsError(no_study_in(files))
    return files


def no_study_in(files: StudyFiles) -> str:
    """That there is no such study, and which there are; or that one has lost its settings."""
    if files.trials_jsonl.is_file():
        return f"{files.settings} is missing: `study doctor {files.named} --repair` makes it again from the last report"
    there = sorted(path.parent.name for path in files.root.parent.glob("*/study.toml"))
    named = f"--name: {files.root.parent} has {', '.join(there[:9])}" if there else "--name or --results"
    return f"{files.root} holds no study; start one with `study run`, or name another with {named}"


def print_answer(verb: str, found: Mapping[str, Any]) -> None:
    """What a verb found, for machines: one JSON object that begins with the number of its form and the verb. Within a
    form keys are added, and none is renamed or removed."""
    _print_json(_in_form(verb, found))


def print_answers(verb: str, found: Sequence[Mapping[str, Any]]) -> None:
    """Of a verb that finds one thing for each that it was asked about: a list of such objects."""
    _print_json([_in_form(verb, one) for one in found])


def _in_form(verb: str, found: Mapping[str, Any]) -> dict[str, Any]:
    return {"form": FORM, "verb": verb, **found}


def _print_json(value: object) -> None:
    shown = json.dumps(value, indent=1, ensure_ascii=not knows_every_sign(sys.stdout), allow_nan=False)
    print(shown, flush=True)


def print_rows(rows: Sequence[Mapping[str, object]], title: str | None = None) -> None:
    """Rows with the same keys as a table.

    Nothing is cut: in a pipe or a file a table is as wide as its rows need, and at a terminal too narrow for its words
    each value has a line of its own.
    """
    if title is not None:
        print(title)
    from rich.console import Console

    table = _table(rows)
    needed = Console(width=_ANY_WIDTH).measure(table)
    console = Console() if sys.stdout.isatty() else Console(width=max(1, needed.maximum))
    if needed.minimum <= console.width:
        console.print(table)
    else:
        for row in rows:
            print(*(f"{name}: {value}" for name, value in row.items()), "", sep="\n")


def _table(rows: Sequence[Mapping[str, object]]) -> Table:
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(*(Column(name, overflow="fold") for name in (rows[0] if rows else ())))
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row.values()))
    return table
