"""The numbers of each section, by section: plain dictionaries that strict JSON can hold."""

from __future__ import annotations

from study.report.best import summary
from study.report.reading import Record, StudyRecords
from study.report.verdicts import turned


def answer(study: StudyRecords, leaderboard: Record, compared: Record) -> Record:
    winner = study.finalists.winner
    rows = [row for row in leaderboard["rows"] if row["kind"] == "finalist" and row["test"]]
    mine = next((row for row in rows if row["family"] == winner), None)
    others = sorted((row for row in rows if row["family"] != winner), key=_test_mean, reverse=True)
    second = others[0] if others and mine else None
    pair = _pair_of(compared["pairs"], winner, second["family"]) if second else None
    return {
        "stage": study.stage,
        "opened": len(study.openings),
        "winner": winner,
        "winner_row": mine,
        "runner_up": second,
        "pair": pair,
        "contradicted": bool(mine and second and _test_mean(second) > _test_mean(mine)),
        "best_trial": best_trial(study),
        "seconds": study.active_seconds,
        "search_seconds": study.records.held_seconds,
        "trials": len(study.records.counted),
    }


def _test_mean(row: Record) -> float:
    return float(row["test"]["accuracy"]["mean"])


def _pair_of(pairs: list[Record], winner: str | None, other: str) -> Record | None:
    """The pair seen from the winner's side: difference and intervals are winner minus other."""
    for pair in pairs:
        if {pair["a"], pair["b"]} == {winner, other}:
            return turned(pair, str(winner))
    return None


def best_trial(study: StudyRecords) -> Record | None:
    """The trial that led the search over all families, and what became of it."""
    everyone = study.counted
    top = everyone.best()
    if top is None:
        return None
    family = top.family
    result = study.finalists.of(family)
    row, chosen = result.candidate(top.number), result.chosen
    return {
        "number": top.number,
        "family": family,
        "accuracy": top.value,
        "role": top.role,
        "fresh_accuracy": row.mean_accuracy if row else None,
        "fresh_seeds": len(row.runs) if row else 0,
        "finalist": result.finalist,
        "finalist_accuracy": chosen.mean_accuracy if chosen else None,
        "best_sampled": summary(everyone.best("sampled")),
    }
