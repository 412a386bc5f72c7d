"""What numbers cannot carry: the items of a limits section, and the rules that a study and a comparison share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from study.report.wording import count, listing
from study.statistics.result import Result

FEW = 3  # final seeds below which nothing is known of their spread


@dataclass(frozen=True, slots=True)
class Item(Result):
    """A `flag` names the kind of limit, `text` says it."""

    flag: str
    text: str


@dataclass(frozen=True, slots=True)
class Limits(Result):
    """In the order of their weight."""

    items: tuple[Item, ...]


def few_seeds(tested: Sequence[tuple[str, int]]) -> list[Item]:
    """Of the titles of finalists that were read on the test split, with the number of their seeds."""
    few = [(title, seeds) for title, seeds in tested if seeds < FEW]
    if not few:
        return []
    named = listing([f"{title} {count(seeds, 'seed')}" for title, seeds in few])
    return [Item("few seeds", f"Fewer than three final seeds ({named}): the spread between seeds is not known.")]
