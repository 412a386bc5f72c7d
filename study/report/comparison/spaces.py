"""Search spaces of one family held against each other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from study.report.reading import StudyRecords
from study.space.parameters import SearchSpace
from study.space.rows import readable, rules
from study.statistics.result import Result


@dataclass(frozen=True, slots=True)
class SpaceSummary(Result):
    """Searched and fixed parameters, warm starts, and a digest of what the space says: a comment changes nothing."""

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
    """Of a space's text; of one that cannot be read the digest alone tells it from others."""
    space = readable(text, "the space")
    if space is None:
        return SpaceSummary(0, 0, 0, _digest(text))
    counts = (len(space.parameters), len(space.fixed), len(space.warm_starts))
    return SpaceSummary(*counts, _digest([space.family, sorted(_rules(space).items()), space.warm_starts]))


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def differences(studies: Sequence[StudyRecords]) -> list[SpaceDifference]:
    """Of the families that two studies or more have, where their spaces are not the same."""
    names = dict.fromkeys(name for study in studies for name in study.families)
    found = []
    for name in names:
        texts = [study.settings.families[name].space if name in study.families else None for study in studies]
        having = {space_summary(text).digest for text in texts if text is not None}
        if len(having) > 1:
            found.append(SpaceDifference(name, tuple(_rows(texts))))
    return found


def _rows(texts: Sequence[str | None]) -> list[RuleRow]:
    spaces = [_rules(readable(text, "the space")) if text is not None else {} for text in texts]
    keys = dict.fromkeys(key for rules in spaces for key in rules)
    rows = [RuleRow(name, when, tuple(rules.get((name, when)) for rules in spaces)) for name, when in keys]
    present = [text is not None for text in texts]
    return [row for row in rows if len({rule for rule, there in zip(row.rules, present, strict=True) if there}) > 1]


def _rules(space: SearchSpace | None) -> dict[tuple[str, str], str]:
    """By parameter and condition; the warm starts of the file are one of them."""
    starts = space.warm_starts if space else ()
    told = {(row.name, row.when): row.rule for row in rules(space)} if space else {}
    return {**told, ("warm starts in the file", ""): f"{len(starts)} ({_digest(starts)[:8]})" if starts else "none"}
