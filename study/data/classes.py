"""Names of the classes, as a user gives them: classes.txt beside the IDX files, one name a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from study.errors import DataError

FILE = "classes.txt"
LONGEST = 60  # characters: tables, axes and pictures have no room for more


def read_class_names(folder: Path, labels: Sequence[str]) -> tuple[str, ...] | None:
    """The names for `labels`, in their order; None where there is no such file.

    UTF-8, a byte order mark and blank lines at the end are no harm. DataError for another number of names, an empty or
    a repeated one, one that is too long, and one with characters that cannot be shown.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    names = [line.strip() for line in _text(path).rstrip().split("\n")]
    if len(names) != len(labels):
        raise DataError(
            f"{path}: {len(names)} names, expected {len(labels)}, one a line for the labels {labels[0]} to "
            f"{labels[-1]}; correct the file, or remove it to use the labels"
        )
    seen = Counter(names)
    for number, name in enumerate(names, 1):
        if fault := _fault(name, seen[name]):
            raise DataError(f"{path} line {number}: {fault}; correct the file, or remove it to use the labels")
    return tuple(names)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}; expected one name a line in UTF-8") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the file") from None


def _fault(name: str, times: int) -> str | None:
    if not name:
        return "empty, expected a name"
    if len(name) > LONGEST:
        return f"{len(name)} characters, expected a name of at most {LONGEST}"
    if not name.isprintable():
        return f"name {name!a} has a character that cannot be shown, expected printable ones"
    return f"name {name!a} is there {times} times, expected each once" if times > 1 else None
