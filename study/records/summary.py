"""What a study came to, as its report says: who won and how well it reads, what its network is, what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.records.files import read_json
from study.records.paths import StudyFiles


@dataclass(frozen=True, slots=True)
class Winner:
    """The family that validation chose. `accuracy` is on the test split with its 95 % interval, a mean over `searches`
    or over the finalist's seeds; None while that split is sealed. `validation` is the finalist's fresh-seed mean."""

    family: str
    title: str
    accuracy: float | None
    interval95: tuple[float, float] | None
    validation: float | None
    searches: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Sentences are the report's own. `network` is the winner's architecture in words, `added` by how much the search
    improved on what it was given, `shipped` what `study predict` uses where that is no finalist, `use` how to use the
    winner, `advice` what to try."""

    winner: Winner | None
    verdict: str
    network: str | None
    added: str | None
    shipped: str | None
    best_trial: str | None
    use: str
    advice: str


def read_summary(files: StudyFiles) -> Summary | None:
    """None before there is a report. Reports of earlier versions have fewer sentences."""
    if not files.report_json.is_file():
        return None
    report = read_json(files.report_json)
    answer, findings = report["answer"], report["findings"]
    winner = _winner(report)
    return Summary(
        winner=winner,
        verdict=findings["answer"],
        network=(answer.get("first") or {}).get("architecture"),
        added=None if winner is None else _added(answer.get("added") or (), winner.family),
        shipped=answer.get("shipped_sentence"),
        best_trial=answer.get("best_trial_sentence"),
        use=f"{findings['reproduce'].removesuffix('.')}.",
        advice=findings["conclusion"],
    )


def _added(rows: Sequence[Mapping[str, Any]], family: str) -> str | None:
    """How much the search added to the family, where that was measured."""
    known = (row["sentence"] for row in rows if row["family"] == family and row["difference"] is not None)
    return next((sentence.removeprefix(f"{family}: ") for sentence in known), None)


def _winner(report: Mapping[str, Any]) -> Winner | None:
    """Of several searches the family that won over all, with its mean over them."""
    several = report.get("searches")
    family = several["winner"] if several else report["answer"]["winner"]
    if family is None:
        return None
    row: Mapping[str, Any] = next((row for row in report["leaderboard"]["rows"] if row["family"] == family), {})
    if several:
        test = several["families"].get(family, {}).get("test")
        return Winner(family, family, *_accuracy(test), row.get("validation_mean"), several["ready"])
    title = row.get("title", family).removeprefix("finalist ")
    test = (row.get("test") or {}).get("accuracy")
    return Winner(family, title, *_accuracy(test), row.get("validation_mean"), 1)


def _accuracy(found: Mapping[str, Any] | None) -> tuple[float | None, tuple[float, float] | None]:
    if found is None:
        return None, None
    interval = found["interval95"]
    return found["mean"], None if interval is None else (interval[0], interval[1])
