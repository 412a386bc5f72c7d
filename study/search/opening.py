"""Opening the database of a study for work: its own Optuna studies, whatever became of its folder, and no other's."""

from __future__ import annotations

import contextlib
import itertools
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage

from study.errors import ResultsError, ResumeError
from study.records.paths import StudyFiles
from study.records.settings import StudySettings, load_settings, read_settings, save_settings
from study.records.trial import Trials, read_trials
from study.search import identity
from study.search.agreement import compare
from study.search.identity import Owner, Stored, ours, owner_of, stored_studies
from study.search.lock import StorageLock
from study.search.repair import add_family, rebuild_database, study_attributes
from study.search.storage import is_own, open_storage, shown_url, transaction, without_password
from study.search.tables import rename_study, stored_trials

Say = Callable[[str], None]


@dataclass(frozen=True)
class Opened:
    """A study's database with the lock on the study in it, and the settings under which it goes on."""

    storage: RDBStorage
    lock: StorageLock
    settings: StudySettings


def open_for_work(
    files: StudyFiles, settings: StudySettings, url: str, say: Say, resources: contextlib.ExitStack
) -> Opened:
    """Open the database at `url` for the one command that drives the study; `resources` close it.

    A study that was renamed or moved keeps its identity, and its Optuna studies get its present name. A copy that
    stands beside its original gets an identity of its own and Optuna studies made from trials.jsonl, and so does a
    database that has none of a study with trials. ResultsError, before anything is changed, if what the database has
    under the study's name is another's.
    """
    copied = files.exists() and identity.is_copy(files)
    mine = _present(files, settings, copied=copied)
    if copied and is_own(files, url):
        mine = _part_from_original(files, mine, say)
        copied = False
    storage = open_storage(url)
    resources.callback(storage.engine.dispose)
    if not copied and _is_driven_elsewhere(storage, files, mine):
        copied, mine = True, _present(files, settings, copied=True)
    _check(storage, files, mine, copied=copied)  # before the lock, for which another study's command would be to blame
    lock = resources.enter_context(StorageLock(storage, mine.name, say))
    _take(storage, files, mine, say, copied=copied)
    return Opened(storage, lock, mine)


def _present(files: StudyFiles, settings: StudySettings, *, copied: bool) -> StudySettings:
    """The settings with the study's identity and place as they are to be from now on."""
    kept = None if copied else settings.id
    place = {"id": kept or identity.new_id(), "name": files.name, "folder": str(files.root.resolve())}
    return settings.model_copy(update=place)


def _part_from_original(files: StudyFiles, mine: StudySettings, say: Say) -> StudySettings:
    """Give a copy a database in its own folder; the one that was copied is kept."""
    original, records = identity.last_place(files), read_trials(files.trials_jsonl)
    rebuild_database(files, mine, records, formerly=read_settings(files.settings).name)
    save_settings(mine, files.settings)
    say(
        f"{files.root} is a copy of {original}: from now on it is a study of its own, with a database made from its "
        f"{len(records)} trials"
    )
    return mine


def _is_driven_elsewhere(storage: RDBStorage, files: StudyFiles, mine: StudySettings) -> bool:
    """Whether the database was last written from another folder that still holds this very study."""
    found = ours(stored_studies(storage), files, mine).values()
    return any(one.owner is not None and identity.is_elsewhere(one.owner, files) for one in found)


# --- whose trials the database has ---------------------------------------------------------------------------------


def refuse_foreign(storage: RDBStorage, stored: Sequence[Stored], files: StudyFiles, settings: StudySettings) -> None:
    """ResumeError if Optuna studies under the study's name belong to another study."""
    for one in stored:
        if one.study == settings.name and one.owner is not None and one.owner.id != settings.id:
            raise ResumeError(
                f"study '{one.study}' in {shown_url(storage.engine)} is another one, last continued from "
                f"{one.owner.place}; this is {files.root}: {_way_out(storage, files, one.owner)}"
            )


def _check(storage: RDBStorage, files: StudyFiles, mine: StudySettings, *, copied: bool) -> None:
    """ResultsError if what the database has under the study's name, or beside it, cannot be the study's."""
    if not files.exists() and (alone := read_trials(files.trials_jsonl)):
        raise ResumeError(
            f"{files.settings} is missing beside {len(alone)} trials, which only their own settings can continue: "
            "restore it, or choose another --name"
        )
    stored = stored_studies(storage)
    refuse_foreign(storage, stored, files, mine)
    unclaimed = _unclaimed(stored, files, mine, copied=copied)
    if unclaimed:
        known = any(one.owner for one in ours(stored, files, mine).values())
        records = read_trials(files.trials_jsonl)
        _check_unclaimed(storage, files, records, unclaimed, known=known and not copied, copied=copied)


def _unclaimed(stored: Sequence[Stored], files: StudyFiles, mine: StudySettings, *, copied: bool) -> list[Stored]:
    """Optuna studies that name no owner, under the study's name or the one that it had."""
    found = ours(stored, files, mine).values()
    return [one for one in found if one.owner is None and (one.study == mine.name or not copied)]


def _check_unclaimed(
    storage: RDBStorage,
    files: StudyFiles,
    records: Trials,
    unclaimed: Sequence[Stored],
    *,
    known: bool,
    copied: bool,
) -> None:
    """ResultsError unless these are the study's own: their trials are those of trials.jsonl."""
    own = is_own(files, storage.engine.url.render_as_string(hide_password=False))
    agreed, others, difference = 0, 0, None
    for one in unclaimed:
        if one.part in identity.WATCHED:
            continue
        try:
            same, more = compare(stored_trials(storage, one.study_id), one.part, records, files)
        except ResultsError as error:
            if own and files.exists():
                raise
            difference = difference or str(error).partition(";")[0]
        else:
            agreed, others = agreed + len(same), others + len(more)
    is_ours = files.exists() and not copied and (agreed or known or own)
    if difference or (others and not is_ours) or copied:
        raise ResumeError(
            f"study '{unclaimed[0].study}' in {shown_url(storage.engine)} has trials that are not of {files.root}"
            f"{f' ({difference})' if difference else ''}: {_way_out(storage, files, None)}"
        )


def _way_out(storage: RDBStorage, files: StudyFiles, theirs: Owner | None) -> str:
    """What to do about a name in the database that another study has."""
    url = storage.engine.url.render_as_string(hide_password=False)
    doctor = _doctor(files)
    if is_own(files, url):
        if files.exists():
            return f"make this study's database from trials.jsonl with `{doctor} --repair`"
        return f"restore {files.settings}, or choose another --name"
    if read_trials(files.trials_jsonl):
        ways = "rename this folder and continue under its new --name, or continue with another --storage"
    else:
        ways = "choose another --name or another --storage"
    if theirs is not None and theirs.is_there:
        return ways
    free = f"{doctor} --storage {shlex.quote(without_password(url))} --set-aside"
    return f"{ways}; or keep those trials under another name in the database with `{free}`"


def _doctor(files: StudyFiles) -> str:
    words = ["study", "doctor", "--name", files.root.name]
    if files.root.parent != Path("results"):
        words += ["--results", str(files.root.parent)]
    return shlex.join(words)


# --- taking it -----------------------------------------------------------------------------------------------------


def _take(storage: RDBStorage, files: StudyFiles, mine: StudySettings, say: Say, *, copied: bool) -> None:
    """Make what is the study's own carry its identity and its present name, and add what the database lacks."""
    _check(storage, files, mine, copied=copied)
    stored = stored_studies(storage)
    found = [one for one in ours(stored, files, mine).values() if one.owner or not copied]
    if not files.exists():
        return
    formerly = read_settings(files.settings)
    # Before the database: an identity that only the database knew would be another's for the next command.
    if formerly != mine:
        save_settings(mine, files.settings)
    owner = owner_of(mine)
    assert owner is not None
    _bring_up_to_date(storage, found, mine.name, owner, taken={one.name for one in stored})
    _add_missing(storage, files, mine, {one.part for one in found}, formerly, say)


def _bring_up_to_date(storage: RDBStorage, found: Sequence[Stored], name: str, owner: Owner, taken: set[str]) -> None:
    stale = [one for one in found if one.owner != owner or one.study != name]
    if not stale:
        return
    with transaction(storage) as connection:
        for one in stale:
            storage.set_study_user_attr(one.study_id, identity.KEY, vars(owner))
            if f"{name}/{one.part}" not in taken:
                rename_study(connection, one.study_id, f"{name}/{one.part}")


def _add_missing(
    storage: RDBStorage, files: StudyFiles, mine: StudySettings, there: set[str], formerly: StudySettings, say: Say
) -> None:
    """Make the Optuna studies that the database lacks from trials.jsonl."""
    absent = [family for family in mine.families if family not in there]
    records = read_trials(files.trials_jsonl) if absent else Trials()
    missing = [family for family in absent if records.of(family)]
    if not missing:
        return
    for family in missing:
        add_family(storage, mine, family, records, _attributes_before(storage, files, formerly, family))
    say(f"{shown_url(storage.engine)} has the trials of {files.root} now, made from trials.jsonl: {', '.join(missing)}")


def _attributes_before(storage: RDBStorage, files: StudyFiles, formerly: StudySettings, family: str) -> dict[str, Any]:
    """What the study had where its trials were until now: the position of a quasi-random sequence is nowhere else."""
    name = f"{formerly.name}/{family}"
    for one in stored_studies(storage):
        if one.name == name and (one.owner is None or one.owner.id == formerly.id):
            return storage.get_study_system_attrs(one.study_id)
    return study_attributes(files, name)


# --- another's trials under the name -------------------------------------------------------------------------------


def set_aside(files: StudyFiles, url: str) -> str:
    """Rename the Optuna studies that have this study's name, or that of its repeats, and are another's, so that the
    name is free; returns what was done, in words. They get their name back when their study is continued elsewhere.

    ResumeError while they are of a study that is there; LockedError while a command drives it.
    """
    with contextlib.ExitStack() as resources:
        storage = open_storage(url)
        resources.callback(storage.engine.dispose)
        resources.enter_context(StorageLock(storage, files.name, lambda _: None))
        like = re.compile(rf"{re.escape(files.name)}(-repeat-\d+)?")
        stored = stored_studies(storage)
        theirs = [one for one in stored if like.fullmatch(one.study)]
        where = f"'{files.name}' in {shown_url(storage.engine)}"
        if not theirs or (files.exists() and not _has_others(storage, files)):
            return f"nothing to set aside: there are no trials of another study {where}"
        there = next((one.owner for one in theirs if one.owner and one.owner.is_there), None)
        if there is not None:
            raise ResumeError(f"study {where} is continued from {there.place}: choose another --name for a new one")
        free = _free_name(files.name, {one.study for one in stored})
        with transaction(storage) as connection:
            for one in theirs:
                rename_study(connection, one.study_id, f"{free}{one.study.removeprefix(files.name)}/{one.part}")
    return f"study {where} is called '{free}' there now; the name is free"


def _has_others(storage: RDBStorage, files: StudyFiles) -> bool:
    try:
        _check(storage, files, load_settings(files.settings), copied=identity.is_copy(files))
    except ResumeError:
        return True
    return False


def _free_name(name: str, taken: set[str]) -> str:
    return next(free for number in itertools.count(1) if (free := f"{name}.{number}") not in taken)
