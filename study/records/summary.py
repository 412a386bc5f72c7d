"""What a study came to, as its report says: who won and how well it reads, what its network is, what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.errors import ResultsError
from study.records.files import read_json
from study.records.naming import where_it_is, with_its_name
from study.records.paths import StudyFiles


@dataclass(frozen=True, slots=True)
class Winner:
    """The family that validation chose. `accuracy` is on the test split with its 95 % interval, None while that is
    sealed or where it could not be read; `validation` is that of fresh seeds. Both are means over `searches` or, of one
    search, over the finalist's seeds."""

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
    model that is there, `advice` what to try."""

    winner: Winner | None
    verdict: str
    network: str | None
    added: str | None
    shipped: str | None
    best_trial: str | None
    use: str | None
    advice: str


def read_summary(files: StudyFiles) -> Summary | None:
    """None before there is a report. Reports of earlier versions have fewer sentences; ResultsError for a damaged
    one."""
    if not files.report_json.is_file():
        return None
    try:
        return _summary(files, read_json(files.report_json))
    except (KeyError, TypeError, AttributeError) as error:
        raise ResultsError(
            f"{files.report_json} is no report's ({error!r}); write it again with `study report`"
        ) from None


def _summary(files: StudyFiles, report: Mapping[str, Any]) -> Summary:
    answer, findings = report["answer"], report["findings"]
    winner = _winner(report)
    return Summary(
        winner=winner,
        verdict=with_its_name(findings["answer"], files),
        network=(answer.get("first") or {}).get("architecture"),
        added=None if winner is None else _added(answer.get("added") or (), winner.family),
        shipped=answer.get("shipped_sentence"),
        best_trial=answer.get("best_trial_sentence"),
        use=_use(files) if report["reproduce"]["model_ready"] else None,
        advice=where_it_is(findings["conclusion"], files),
    )


def _use(files: StudyFiles) -> str:
    return f"The model is ready: study predict photo.png {files.named}"


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
    if several:
        found = several["families"][family]
        validation, test = found["validation"], found["test"]
        n_searches = (test or validation)["n"]
        return Winner(family, family, *_accuracy(test), validation["mean"], n_searches)
    row: Mapping[str, Any] = next((row for row in report["leaderboard"]["rows"] if row["family"] == family), {})
    title = row.get("title", family).removeprefix("finalist ")
    test = (row.get("test") or {}).get("accuracy")
    return Winner(family, title, *_accuracy(test), row.get("validation_mean"), 1)


def _accuracy(found: Mapping[str, Any] | None) -> tuple[float | None, tuple[float, float] | None]:
    if found is None:
        return None, None
    interval = found["interval95"]
    return found["mean"], None if interval is None else (interval[0], interval[1])
