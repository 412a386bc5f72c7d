"""`study doctor --repair`: a study's own records made again from each other, where one of them is lost or damaged."""

from __future__ import annotations

from collections.abc import Iterator

from study.command.console import no_study_in
from study.errors import ResultsError
from study.records import backup
from study.records.files import write_json
from study.records.ledger import read_ledger
from study.records.locking import StudyLock
from study.records.paths import StudyFiles
from study.records.seal import trained_again
from study.records.settings import StudySettings, load_settings
from study.records.trial import append_trials, read_trials
from study.records.trials_csv import write_trials_csv
from study.report.wording import count
from study.search.agreement import only_stored
from study.search.repair import rebuild_database
from study.search.storage import hide_password, open_storage, own_database, storage_url


def repair_all(files: StudyFiles, storage: str | None) -> Iterator[str]:
    """`repair` one search of a study after the other, and yield what was done to each; those to come are left out."""
    if not files.exists() and not files.trials_jsonl.is_file():
        raise ResultsError(no_study_in(files))
    with StudyLock(files):
        yield from _restored(files)
        further = read_ledger(files.ledger).further_searches(files)
    for number, one in enumerate((files, *further), 1):
        if one.exists():
            if number > 1 and _has_lost_ledger(one):
                yield backup.restore_ledger(one, files, number)
            yield repair(one, storage)


def _restored(files: StudyFiles) -> Iterator[str]:
    """What the last report keeps, where it is lost."""
    if not files.exists():
        yield backup.restore_settings(files)
    if _has_lost_ledger(files):
        yield backup.restore_ledger(files, files, 1)
    if files.predictions.is_file() and not files.seal.is_file():
        yield _restore_seal(files)


def _has_lost_ledger(files: StudyFiles) -> bool:
    return files.trials_jsonl.is_file() and not files.ledger.is_file()


def _restore_seal(files: StudyFiles) -> str:
    """The seal of the last report, if its last opening was of the networks that are there: there was none since."""
    kept = backup.kept_seal(files)
    hashes = kept["openings"][-1]["hashes"] if kept else {}
    if not hashes or trained_again(files, hashes):
        raise ResultsError(
            f"{files.seal} is missing, and {files.report_json} does not keep it: nothing can say again how often the "
            f"test split was opened; restore it from a backup. Without one, move {files.test} away and run `study "
            "evaluate`, which opens the split anew"
        )
    write_json(files.seal, kept)
    return f"{files.seal} is as {files.report_json} keeps it"


def repair(files: StudyFiles, storage: str | None) -> str:
    """Make trials.jsonl and a SQLite database agree: add to the first what only the second has, and rebuild the second
    where it differs from the first; returns what was done, in words.

    LockedError while a command drives the study; ResultsError if trials.jsonl is damaged, too, or the database that is
    to be rebuilt is not the study's own file.
    """
    from study.command.doctor import database_finding

    settings, url = load_settings(files.settings), storage_url(files, storage)
    with StudyLock(files):
        added = _add_stored(files, settings, url)
        finding = database_finding(files, storage)
        records = read_trials(files.trials_jsonl)
        if finding["sound"]:
            return added or f"nothing to repair in {files.root}: {finding['found']}"
        if url != own_database(files):
            raise ResultsError(
                f"storage {hide_password(url)} is not {files.database}, the one that can be rebuilt: restore it from a "
                "backup, or start a new study with --from"
            )
        kept = rebuild_database(files, settings, records)
    old = f"the old one is kept as {kept}" if kept else "there was none"
    return f"{files.database} was rebuilt from {len(records)} trials of trials.jsonl; {old}"


def _add_stored(files: StudyFiles, settings: StudySettings, url: str) -> str | None:
    """Add to trials.jsonl what a database that else agrees with it has more."""
    if url == own_database(files) and not files.database.exists():
        return None
    try:
        storage = open_storage(url)
        try:
            missing = only_stored(storage, settings, read_trials(files.trials_jsonl), files)
        finally:
            storage.engine.dispose()
    except ResultsError:
        return None  # a damaged database is no source
    if not missing:
        return None
    append_trials(files.trials_jsonl, missing, settings.format_version)
    write_trials_csv(files, read_trials(files.trials_jsonl), settings.format_version)
    return f"{count(len(missing), 'trial')} of the database added to {files.trials_jsonl}"
