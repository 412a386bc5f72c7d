"""Which pictures the words on a command line name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from study.data.opening import STDIN
from study.data.pictures import SUFFIXES


def collect_inputs(arguments: Iterable[str], recursive: bool = False) -> Iterator[Path]:
    """Files named by FILE, DIR, GLOB or '-', in stable order. A folder gives its pictures by name; a file that is not
    there, or a folder without pictures, is handed on, so that it becomes a row of its own."""
    for argument in arguments:
        path = Path(argument)
        if argument == STDIN:
            yield path
        elif path.is_dir():
            yield from _pictures_in(path, recursive) or [path]
        elif not path.exists() and any(sign in argument for sign in "*?["):
            yield from _matches(path) or [path]
        else:
            yield path


def _matches(pattern: Path) -> list[Path]:
    root = Path(pattern.anchor)
    return sorted(path for path in root.glob(str(pattern.relative_to(pattern.anchor))) if path.is_file())


def _pictures_in(folder: Path, recursive: bool) -> list[Path]:
    found = folder.rglob("*") if recursive else folder.iterdir()
    return sorted(path for path in found if path.suffix.lower() in SUFFIXES and path.is_file())
