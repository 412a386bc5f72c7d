"""What a report keeps of a study's own records, from which one that was lost is made again: its settings, what each of
its searches has spent and reached, and the seal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from study.errors import ResultsError
from study.records.files import read_json, read_text, write_text
from study.records.ledger import Command, parse_ledger, write_ledger
from study.records.paths import StudyFiles, done_runs
from study.records.run import read_metrics
from study.records.trial import read_trials


def backup_of(searches: Sequence[StudyFiles]) -> dict[str, Any]:
    """The study's own folder is the first of its searches."""
    files = searches[0]
    return {
        "settings": read_text(files.settings),
        "seal": read_json(files.seal) if files.seal.is_file() else None,
        "ledgers": [read_json(one.ledger) if one.ledger.is_file() else None for one in searches],
    }


def _kept(files: StudyFiles) -> dict[str, Any]:
    found = read_json(files.report_json) if files.report_json.is_file() else {}
    return dict(found.get("backup") or {})


def restore_settings(files: StudyFiles) -> str:
    """Write study.toml as the last report keeps it; ResultsError if none does."""
    text = _kept(files).get("settings")
    if text is None:
        raise ResultsError(
            f"{files.settings} is missing, and {files.report_json} does not keep it: nothing can make it again; "
            "restore it from a backup, or start another study with --name"
        )
    write_text(files.settings, text)
    return f"{files.settings} is as {files.report_json} keeps it"


def kept_seal(files: StudyFiles) -> Any:
    """The seal as the last report keeps it, None where none does."""
    return _kept(files).get("seal")


def restore_ledger(files: StudyFiles, study: StudyFiles, number: int) -> str:
    """Write the ledger of a study's search as the last report keeps it, with the time of what came after; without one,
    with the time that trials and runs took."""
    ledgers = _kept(study).get("ledgers") or []
    kept = ledgers[number - 1] if len(ledgers) >= number else None
    ledger = parse_ledger(kept or {}, study.report_json, "move the report away, and this makes it from trials and runs")
    took = _seconds(files)
    missing = sum(took.values()) - ledger.used
    if missing > 0:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        ledger.commands.append(Command(command="(lost with the ledger)", start=now, seconds=round(missing, 3)))
        ledger.stages = {name: max(s, ledger.stage_seconds(name)) for name, s in took.items()}
    if ledger.n_searches == 1:
        ledger.n_searches += sum(1 for _ in files.root.glob("repeats/*/study.toml"))
        if ledger.goal is not None:
            ledger.goal = ledger.goal.among(ledger.n_searches)
    write_ledger(files.ledger, ledger)
    source = f"as {study.report_json} keeps it" if kept else "made from what trials and runs took"
    return f"{files.ledger} is {source}"


def _seconds(files: StudyFiles) -> dict[str, float]:
    """Wall-clock of search and retraining, as if all workers had always been busy."""
    trials = read_trials(files.trials_jsonl)
    n_workers = max(1, len({trial.worker for trial in trials if trial.worker is not None}))
    runs = [read_metrics(files.run(run)) for run in done_runs(files) if files.run(run).metrics.is_file()]
    seconds = {"search": [trial.held_seconds for trial in trials], "retrain": [run.seconds for run in runs]}
    return {stage: round(sum(taken) / n_workers, 3) for stage, taken in seconds.items()}
