"""Whose finalist was best in all searches of a study, by finalists.json alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from study.errors import ResultsError
from study.statistics.result import Result


@dataclass(frozen=True)
class Choice(Result):
    """What validation decided over the searches of a study: the winning family, and the search (counted from 0) and the
    run that are shipped."""

    winner: str
    search: int
    run: str


def choose_over_searches(finalists: Sequence[Mapping[str, Any]]) -> Choice:
    """From the content of each search's finalists.json. The winner is the family whose finalists' fresh-seed validation
    means have the highest mean over the searches, ties by NLL; a family without a finalist in some search stands behind
    those that have more. Of the winner's finalists the best on validation is shipped. ResultsError if there is none."""
    scores: dict[str, list[tuple[float, float, int, str]]] = {}
    for search, found in enumerate(finalists):
        for family, entry in found["families"].items():
            if entry["final_runs"]:
                row = next(row for row in entry["candidates"] if row["trial"] == entry["finalist"])
                score = (row["mean_accuracy"], -row["mean_nll"], -search, entry["final_runs"][0])
                scores.setdefault(family, []).append(score)
    if not scores:
        raise ResultsError("no family has a final run that ended well; rerun `study retrain`")

    def standing(family: str) -> tuple[int, float, float]:
        rows = scores[family]
        return len(rows), float(np.mean([row[0] for row in rows])), float(np.mean([row[1] for row in rows]))

    winner = max(scores, key=standing)
    _, _, search, run = max(scores[winner])
    return Choice(winner, -search, run)
