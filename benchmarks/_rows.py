"""Rows that a benchmark records: a CSV that a killed script continues, and how figures are summed up in its tables."""

from __future__ import annotations

import csv
import io
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from study.execution.nodes import cpu_name
from study.stages.cores import available_cores

RECORDED = Path(__file__).parent / "recorded"


class Rows:
    """A CSV with one row a measurement, told apart by the columns `key`. The first row added decides the columns.

    One process writes at a time; others may read. A last line that a kill tore is left out when the file is opened,
    and cut off when the first row is added.
    """

    def __init__(self, path: Path, key: tuple[str, ...]) -> None:
        self._path = path
        self._key = key
        self._rows: list[dict[str, str]] = []
        self._columns: list[str] = []
        self._torn_at: int | None = None
        if path.exists():
            self._read()
        self._seen = {tuple(row[name] for name in key) for row in self._rows}

    def _read(self) -> None:
        raw = self._path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        self._torn_at = len(whole) if whole != raw else None
        reader = csv.DictReader(io.StringIO(whole.decode("utf-8")))
        self._columns = list(reader.fieldnames or [])
        self._rows = list(reader)

    def has(self, *key: object) -> bool:
        return tuple(_text(value) for value in key) in self._seen

    def add(self, row: Mapping[str, Any]) -> None:
        """Append a row and wait until it is on the disk. ValueError for other columns, or a key that is there."""
        if not self._columns:
            self._columns = list(row)
            self._append(self._columns)
        if row.keys() != set(self._columns):
            raise ValueError(f"{self._path}: a row has the columns {list(row)}, expected {self._columns}")
        texts = {name: _text(row[name]) for name in self._columns}
        key = tuple(texts[name] for name in self._key)
        if key in self._seen:
            raise ValueError(f"{self._path}: {dict(zip(self._key, key, strict=True))} is recorded already")
        self._append(list(texts.values()))
        self._rows.append(texts)
        self._seen.add(key)

    def _append(self, values: Sequence[str]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(values)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as stream:
            if self._torn_at is not None:
                stream.truncate(self._torn_at)
                self._torn_at = None
            stream.write(line.getvalue().encode("utf-8"))
            stream.flush()
            os.fsync(stream.fileno())

    def all(self) -> list[dict[str, Any]]:
        """Every row, with numbers as numbers and an empty field as None."""
        return [{name: _parse(text) for name, text in row.items()} for row in self._rows]


def _text(value: object) -> str:
    return "" if value is None else " ".join(str(value).split())


def _parse(text: str) -> Any:
    if text == "":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def machine() -> str:
    """GPU if there is one, processor, cores that this process may use, and versions, in one line."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "optuna"))
    gpu = f"{torch.cuda.get_device_name()}, " if torch.cuda.is_available() else ""
    return f"{gpu}{cpu_name()}, {available_cores()} cores, {versions}, python {platform.python_version()}"


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Mean, standard deviation and count: '1.234 ± 0.056 (n = 7)'."""
    if not values:
        return "none"
    sd = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.{digits}f} ± {sd:.{digits}f} (n = {len(values)})"


def paired_ratio(numerators: Sequence[float], denominators: Sequence[float], digits: int = 2) -> str:
    """Median and range of the ratios turn by turn: '2.50 (2.31 to 2.62, n = 7)'."""
    ratios = [a / b for a, b in zip(numerators, denominators, strict=True)]
    if not ratios:
        return "none"
    low, high = min(ratios), max(ratios)
    return f"{statistics.median(ratios):.{digits}f} ({low:.{digits}f} to {high:.{digits}f}, n = {len(ratios)})"
