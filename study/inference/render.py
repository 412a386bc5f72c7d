"""Answers as a table, JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal

from study.inference.answer import Prediction
from study.streams import knows_every_sign

Form = Literal["table", "json", "csv"]
COLUMNS = ("path", "status", "digit", "label", "probability", "top_k", "set", "flags", "reason", "box", "row")


def render(
    answers: Iterable[Prediction], form: Form = "table", first: Mapping[str, object] = MappingProxyType({})
) -> Iterator[str]:
    """Pieces of text with their line ends, as the answers come in; in JSON each begins with what comes `first`."""
    if form == "json":
        return _json(answers, first)
    return {"table": _table, "csv": _csv}[form](answers)


def _json(answers: Iterable[Prediction], first: Mapping[str, object]) -> Iterator[str]:
    start, plain = "[\n", not knows_every_sign(sys.stdout)
    for answer in answers:
        yield start + json.dumps({**first, **answer.to_dict()}, ensure_ascii=plain, allow_nan=False)
        start = ",\n"
    yield "[]\n" if start == "[\n" else "\n]\n"


def _csv(answers: Iterable[Prediction]) -> Iterator[str]:
    yield _csv_line(COLUMNS)
    for answer in answers:
        row = answer.to_dict()
        row["top_k"] = " ".join(f"{entry['digit']}:{entry['probability']:.6f}" for entry in row["top_k"])
        row["set"] = " ".join(map(str, row["set"]))
        row["flags"] = "; ".join(row["flags"])
        row["box"] = " ".join(map(str, row["box"] or ()))
        yield _csv_line([_cell(row[column]) for column in COLUMNS])


def _csv_line(cells: Iterable[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()


def _cell(value: object) -> str:
    """Text that a spreadsheet would run as a formula is quoted with an apostrophe, as OWASP advises."""
    text = "" if value is None else f"{value:.6f}" if isinstance(value, float) else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _table(answers: Iterable[Prediction]) -> Iterator[str]:
    yield f"{'status':8} {'digit':>5} {'prob.':>6}  {'set':10} path\n"
    for answer in answers:
        digit = "-" if answer.label is None else _printable(answer.label)
        probability = "-" if answer.probability is None else f"{answer.probability:.3f}"
        chosen = " or ".join(_printable(name) for name in answer.set_labels) or "-"
        said = "; ".join([*(flag for flag in answer.flags), *([answer.reason] if answer.reason else [])])
        note = f"  ({_printable(said)})" if said else ""
        yield f"{answer.status:8} {digit:>5} {probability:>6}  {chosen:10} {_printable(answer.path)}{note}\n"


def _printable(text: str) -> str:
    """Control characters of a hostile name cannot move a terminal's cursor."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text)
