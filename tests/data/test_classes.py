"""classes.txt: names that a user gives to the labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from study.data.classes import LONGEST, read_class_names
from study.errors import DataError

LABELS = ("0", "1", "2")


def names(folder: Path, content: bytes | str) -> tuple[str, ...] | None:
    (folder / "classes.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_class_names(folder, LABELS)


def test_without_the_file_there_are_no_names(tmp_path: Path) -> None:
    assert read_class_names(tmp_path, LABELS) is None


@pytest.mark.parametrize(
    "content", ["nought\nein s\nzwölf\n", "\ufeffnought\r\nein s\r\nzwölf", "  nought \nein s\nzwölf\n\n \n"]
)
def test_one_name_a_line(tmp_path: Path, content: str) -> None:
    assert names(tmp_path, content) == ("nought", "ein s", "zwölf")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a\nb\n", r"classes\.txt: 2 names, expected 3, one a line for the labels 0 to 2"),
        ("", "1 names?, expected 3"),
        ("a\n\nc\n", r"classes\.txt line 2: empty"),
        ("a\nb\na\n", "line 1: name 'a' is there 2 times"),
        ("a\nb\x1b[2J\nc\n", r"line 2: name 'b\\x1b\[2J' has a character that cannot be shown"),
        ("a\nb\u202ec\nd\n", "line 2: .* cannot be shown"),
        ("a\nb\x00\nc\n", "line 2: .* cannot be shown"),
        (f"a\nb\n{'c' * (LONGEST + 1)}\n", f"line 3: {LONGEST + 1} characters"),
        (b"a\n\xff\nc\n", "not UTF-8 at byte 2"),
    ],
)
def test_what_cannot_name_classes_is_said_in_one_line(tmp_path: Path, content: bytes | str, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        names(tmp_path, content)
    assert "\n" not in str(caught.value)


def test_markup_is_a_name_like_any_other(tmp_path: Path) -> None:
    assert names(tmp_path, "<script>\n{{7*7}}\n=cmd()\n") == ("<script>", "{{7*7}}", "=cmd()")
