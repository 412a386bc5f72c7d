"""Search spaces of one family held against each other."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from study.report.reading import StudyRecords
from study.report.spaces import space_rows
from study.statistics.result import Result


@dataclass(frozen=True, slots=True)
class SpaceSummary(Result):
    """Searched and fixed parameters, warm starts, and a digest of what the TOML says: a comment changes nothing."""

    searched: int
    fixed: int
    warm_starts: int
    digest: str

    def __str__(self) -> str:
        counts = f"{self.searched} searched, {self.fixed} fixed, {self.warm_starts} warm starts"
        return f"{counts} ({self.digest[:8]})"


@dataclass(frozen=True, slots=True)
class RuleRow(Result):
    """What each study's space says of a parameter, in the order of the studies; None where the space or the parameter
    is not there."""

    name: str
    when: str
    rules: tuple[str | None, ...]

    @property
    def shown(self) -> list[str]:
        return ["not there" if rule is None else rule for rule in self.rules]


@dataclass(frozen=True, slots=True)
class SpaceDifference(Result):
    family: str
    rows: tuple[RuleRow, ...]


def space_summary(text: str) -> SpaceSummary:
    rows = space_rows(text)
    fixed = sum(row.rule.startswith("fixed:") for row in rows)
    digest = hashlib.sha256(_meaning(text).encode()).hexdigest()
    return SpaceSummary(len(rows) - fixed, fixed, len(_warm_starts(text)), digest)


def _meaning(text: str) -> str:
    try:
        return json.dumps(tomllib.loads(text), sort_keys=True, default=str)
    except tomllib.TOMLDecodeError:
        return text


def _warm_starts(text: str) -> list[Any]:
    try:
        return list(tomllib.loads(text).get("warm_start", []))
    except tomllib.TOMLDecodeError:
        return []


def differences(studies: Sequence[StudyRecords]) -> list[SpaceDifference]:
    """Of the families that two studies or more have, where their spaces are not the same."""
    names = dict.fromkeys(name for study in studies for name in study.families)
    found = []
    for name in names:
        texts = [study.settings.families[name].space if name in study.families else None for study in studies]
        having = [text for text in texts if text is not None]
        if len(having) > 1 and len({_meaning(text) for text in having}) > 1:
            found.append(SpaceDifference(name, tuple(_rows(texts))))
    return found


def _rows(texts: Sequence[str | None]) -> list[RuleRow]:
    spaces = [_rules(text) if text is not None else {} for text in texts]
    keys = dict.fromkeys(key for rules in spaces for key in rules)
    rows = [RuleRow(name, when, tuple(rules.get((name, when)) for rules in spaces)) for name, when in keys]
    present = [text is not None for text in texts]
    return [row for row in rows if len({rule for rule, there in zip(row.rules, present, strict=True) if there}) > 1]


def _rules(text: str) -> dict[tuple[str, str], str]:
    rules = {(row.name, row.when): row.rule for row in space_rows(text)}
    starts = _warm_starts(text)
    digest = hashlib.sha256(json.dumps(starts, sort_keys=True, default=str).encode()).hexdigest()
    return {**rules, ("warm starts in the file", ""): f"{len(starts)} ({digest[:8]})" if starts else "none"}
