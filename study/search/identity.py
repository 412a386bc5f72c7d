"""Which study a folder holds and which study an Optuna study belongs to: both carry the study's identity."""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import sqlalchemy
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from sqlalchemy.exc import IntegrityError

from study.errors import ResultsError
from study.records.paths import StudyFiles
from study.records.settings import StudySettings, read_settings
from study.search.tables import damage_explained

KEY = "digit_study"  # the user attribute of an Optuna study that names its owner
RETRAIN, FINAL = "retrain", "final"  # the parts of a study in which one watches candidates and final runs
WATCHED = (RETRAIN, FINAL)


@dataclass(frozen=True)
class Owner:
    """The study that an Optuna study belongs to, and where it was last continued."""

    id: str
    folder: str
    host: str

    @property
    def place(self) -> str:
        """For people: where the study is, and whether it still is there."""
        if self.host != socket.gethostname():
            return f"{self.folder} on {self.host}"
        return f"{self.folder} ({'still there' if self.is_there else 'no longer there'})"

    @property
    def is_there(self) -> bool:
        return self.host == socket.gethostname() and _holds(Path(self.folder), self.id)


@dataclass(frozen=True)
class Stored:
    """An Optuna study of the database, `<study>/<part>`; older ones name no owner."""

    study_id: int
    study: str
    part: str
    owner: Owner | None

    @property
    def name(self) -> str:
        return f"{self.study}/{self.part}"


def new_id() -> str:
    return uuid.uuid4().hex


def owner_of(settings: StudySettings) -> Owner | None:
    """What the study's Optuna studies are to say; None for a study without an identity."""
    return None if settings.id is None else Owner(settings.id, settings.folder or "", socket.gethostname())


# --- folders ---------------------------------------------------------------------------------------------------------


def last_place(files: StudyFiles) -> Path:
    """Where the study of this folder was when it was last continued: by an older version beside where it is now, under
    the name in study.toml."""
    recorded = read_settings(files.settings)
    if recorded.folder is not None:
        return Path(recorded.folder)
    root = files.root.absolute()
    if recorded.repeat_of is not None:
        return root.parent.parent.parent / recorded.repeat_of / "repeats" / recorded.name
    return root.parent / recorded.name


def is_here(files: StudyFiles) -> bool:
    """Whether the folder is where and what it was when the study was last continued."""
    return _same_folder(last_place(files), files.root)


def is_copy(files: StudyFiles) -> bool:
    """Whether the study's original stands elsewhere: what is not here and no longer there was renamed or moved."""
    return not is_here(files) and _holds_original(last_place(files), read_settings(files.settings))


def is_elsewhere(owner: Owner, files: StudyFiles) -> bool:
    """Whether the owner stands in another folder than this."""
    return owner.is_there and not _same_folder(Path(owner.folder), files.root)


def _same_folder(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _holds(place: Path, identity: str) -> bool:
    found = _settings_in(place)
    return found == "unreadable" or (isinstance(found, StudySettings) and found.id == identity)


def _holds_original(place: Path, recorded: StudySettings) -> bool:
    if recorded.id is not None:
        return _holds(place, recorded.id)
    found = _settings_in(place)
    return found == "unreadable" or (isinstance(found, StudySettings) and _fixed(found) == _fixed(recorded))


def _settings_in(place: Path) -> StudySettings | str:
    """study.toml of a folder; "missing", or "unreadable", which may be whatever one fears."""
    path = place / "study.toml"
    try:
        return read_settings(path) if path.is_file() else "missing"
    except (OSError, ResultsError):
        return "unreadable"


def _fixed(settings: StudySettings) -> tuple[object, ...]:
    """What tells older studies apart, which have no identity."""
    return settings.created, settings.seed, settings.dataset.split_sha256


# --- the database ----------------------------------------------------------------------------------------------------


def stored_studies(storage: RDBStorage) -> list[Stored]:
    """All Optuna studies of the database. ResultsError if it cannot be read."""
    studies, attributes = models.StudyModel.__table__, models.StudyUserAttributeModel.__table__
    owned = sqlalchemy.and_(attributes.c.study_id == studies.c.study_id, attributes.c.key == KEY)
    wanted = sqlalchemy.select(studies.c.study_id, studies.c.study_name, attributes.c.value_json)
    with damage_explained(), storage.engine.connect() as connection:
        rows = connection.execute(wanted.select_from(studies.outerjoin(attributes, owned))).all()
        return [_stored(*row) for row in rows]


def _stored(study_id: int, name: str, owner: str | None) -> Stored:
    study, _, part = name.rpartition("/")
    return Stored(study_id, study, part, None if owner is None else Owner(**json.loads(owner)))


def ours(stored: Iterable[Stored], files: StudyFiles, settings: StudySettings) -> dict[str, Stored]:
    """The Optuna studies of this study by part, whatever they are called; those without an owner by its name, or by
    the name that it had."""
    names = {settings.name, read_settings(files.settings).name if files.exists() else settings.name}
    found: dict[str, Stored] = {}
    for one in stored:
        mine = one.owner.id == settings.id if one.owner else one.study in names
        if mine and (one.part not in found or one.study == settings.name):
            found[one.part] = one
    return found


def claim(storage: RDBStorage, study_id: int, owner: Owner) -> None:
    """Write the owner of an Optuna study that has none. ResultsError if another claimed it first."""
    table = models.StudyUserAttributeModel.__table__
    session = storage.scoped_session()
    try:
        row = {"study_id": study_id, "key": KEY, "value_json": json.dumps(asdict(owner))}
        session.execute(sqlalchemy.insert(table).values(row))
        session.commit()
    except IntegrityError:
        session.rollback()
        found = Owner(**storage.get_study_user_attrs(study_id)[KEY])
        if found.id != owner.id:
            raise ResultsError(
                f"{storage.get_study_name_from_id(study_id)} was begun at the same moment by another study, from "
                f"{found.place}: choose another --name"
            ) from None
    finally:
        session.close()
