from __future__ import annotations

import ast
from pathlib import Path

import house
import pytest


def found(text: str) -> list[tuple[str, str]]:
    return [(read.receiver, read.key) for read in house.reads(ast.parse(text))]


def test_a_read_by_string_key_has_the_last_name_of_what_holds_it() -> None:
    assert found("trial['value']; self.ledger.get('goal', {}); ledger.data['plan']; f(x)['a']") == [
        ("trial", "value"),
        ("ledger", "goal"),
        ("ledger", "plan"),
        ("", "a"),
    ]


def test_what_is_written_or_has_no_string_key_is_no_read() -> None:
    assert found("row['a'] = 1; rows[0]; rows[key]; found.get(key); os.environ.get(); x: Literal['a']") == []


@pytest.mark.parametrize(
    ("arrows", "floors"),
    [
        ({"a": set()}, 1),
        ({"a": {"b"}, "b": {"c"}, "c": set()}, 3),
        ({"a": {"b"}, "b": {"a", "c"}, "c": set(), "d": {"c"}}, 2),  # a and b import each other
    ],
)
def test_floors_are_counted_along_the_longest_way_down(arrows: dict[str, set[str]], floors: int) -> None:
    assert house.floors(arrows) == floors


def tree(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / "study" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (root / "study" / "report" / "fair.html.j2").write_text("{{ report.fair }}", encoding="utf-8")
    return root


def test_the_table_of_a_small_tree(tmp_path: Path) -> None:
    reader = """from typing import Any
Record = dict[str, Any]
def f(a: Record, b: Any) -> Record:
    return a["final_runs"]
"""
    root = tree(
        tmp_path,
        errors="",
        seeds="# a remark\n",
        records__trial="from study import errors\nRow = dict[str, int]\nROW: Row = {}\n",
        report__tables="from study.records.trial import ROW\n\n\ndef fair(trial: int) -> None:\n    trial['a']\n",
        report__more=reader,
    )
    table = house.count(root)
    assert table["modules loose at the root"] == "2 (1 lines)"
    assert (table["floors of the import graph"], table["rooms; arrows between them"]) == ("3", "4; 2")
    assert (table["modules that index a trial record"], table["modules that index finalists"]) == ("1", "1")
    assert table["string-key reads"] == "2 (200 a 1,000 lines of code)"
    assert table["dictionaries of anything among annotations"] == "33.3 % of 6"
    assert table["files that a report section is spread over"] == "2 to 2, 2.0 in the mean"


def test_a_docstring_and_a_remark_are_no_code(tmp_path: Path) -> None:
    root = tree(tmp_path, report__one='"""Words.\n\nMore."""\n\n# a remark\nx = (\n    1,  # one\n)\n')
    path = root / "study" / "report" / "one.py"
    assert house.Module(path, root / "study").code_lines == 3
