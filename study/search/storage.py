"""The Optuna studies of a study: where they are, opening them, and closing trials that nobody runs."""

from __future__ import annotations

import contextlib
import fcntl
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import optuna
import sqlalchemy
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import TrialState
from sqlalchemy.engine import URL, Connection, Engine, ExceptionContext
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from study.errors import ResultsError, StorageAwayError, UsageError
from study.records.files import replacing
from study.records.paths import StudyFiles
from study.records.settings import load_settings
from study.records.trial import Ending
from study.search.identity import KEY, Owner, claim
from study.search.tables import DAMAGE

_SQLITE_TIMEOUT = 60  # seconds
# libpq would wait without end for a server that does not even refuse. Seconds, but for the last one, milliseconds.
_LIBPQ_PATIENCE = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "tcp_user_timeout": 20_000}
Direction = Literal["minimize", "maximize"]


def storage_url(files: StudyFiles, url: str | None) -> str:
    """Where the study's trials are: at `url`, else where the study was last driven, else in its folder."""
    stored = load_settings(files.settings).storage if url is None and files.exists() else url
    return stored or own_database(files)


def own_database(files: StudyFiles) -> str:
    return sqlite_url(files.database)


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file, with the signs of its path that mean something in a URL escaped."""
    return URL.create("sqlite", database=str(path.resolve())).render_as_string(hide_password=False)


def is_own(files: StudyFiles, url: str) -> bool:
    """Whether a URL means the database in the study's folder."""
    return without_password(url) == without_password(own_database(files))


def hide_password(url: str) -> str:
    parsed = sqlalchemy.make_url(url)
    return parsed.update_query_dict(dict.fromkeys(_secret_keys(parsed), "hidden")).render_as_string(hide_password=True)


def without_password(url: str) -> str:
    """The URL as study.toml keeps it: without a password, and with an absolute path."""
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        parsed = parsed.set(database=str(Path(parsed.database).resolve()))
    # None would leave the password as it was.
    bare = URL.create(
        parsed.drivername, parsed.username, None, parsed.host, parsed.port, parsed.database, query=parsed.query
    )
    return bare.difference_update_query(_secret_keys(parsed)).render_as_string(hide_password=False)


def _secret_keys(url: URL) -> list[str]:
    return [key for key in url.query if key.lower().endswith("password")]


def _parse(url: str) -> URL:
    try:
        parsed = sqlalchemy.make_url(url)
    except (SQLAlchemyError, ValueError):
        raise UsageError("storage URL cannot be read: expected sqlite:///FILE or postgresql+psycopg://...") from None
    if parsed.get_backend_name() == "sqlite" and _has_no_options(url):
        raise UsageError(
            f"storage URL {hide_password(url)}: what follows its question mark is no option; "
            "write %3F for a question mark in a path"
        )
    return parsed


def _has_no_options(url: str) -> bool:
    """Whether a question mark stands in the URL that begins no options, but belongs to a path."""
    _, mark, options = url.partition("?")
    names = [option.partition("=") for option in options.split("&")]
    return bool(mark) and any("/" in name or not equals for name, equals, _ in names)


def open_storage(url: str) -> RDBStorage:
    """Open or create the storage. ResultsError, without a password in it, when that cannot be done, and from then on
    whenever the database fails: StorageAwayError if its server does not answer."""
    parsed = _parse(url)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        _create_whole(parsed)
        storage = RDBStorage(url, engine_kwargs={"connect_args": connect_arguments(parsed)})
    except (*DAMAGE, RuntimeError, OSError) as error:
        cause = _cause(error.__cause__ or error)
        raise ResultsError(
            f"storage {hide_password(url)} cannot be opened: {cause}{_what_is_missing(parsed)}"
        ) from None
    except ImportError:
        raise UsageError(
            f"storage {hide_password(url)} needs the driver {parsed.get_driver_name()}, which is not installed; "
            "expected sqlite:///FILE, or postgresql+psycopg://... with pip install 'digit-study[postgres]'"
        ) from None
    explain_failures(storage.engine)
    return storage


def connect_arguments(url: URL) -> dict[str, Any]:
    """How patient a connection is; what the URL says itself comes first."""
    if url.get_backend_name() == "sqlite":
        return {"timeout": _SQLITE_TIMEOUT}
    patience = _LIBPQ_PATIENCE if url.get_driver_name().startswith("psycopg") else {}
    return {name: value for name, value in patience.items() if name not in url.query}


def _create_whole(url: URL) -> None:
    """Put a new SQLite file in place with all its tables.

    SQLite commits each table and each index by itself. A crash after a table and before its index would leave a
    database without that index for good, and the names of studies unique no more.
    """
    path = Path(url.database or ":memory:")
    if url.get_backend_name() != "sqlite" or not path.parent.is_dir() or str(path).startswith((":", "file:")):
        return
    if not path.exists() or path.stat().st_size == 0:
        with replacing(path) as part:
            RDBStorage(sqlite_url(part)).engine.dispose()


def _what_is_missing(url: URL) -> str:
    """What a user may have forgotten, since study.toml keeps no password; or what SQLite's file system lacks."""
    if url.get_backend_name() == "sqlite":
        return _missing_locks(Path(url.database or ".").parent)
    if url.get_backend_name() != "postgresql" or url.password is not None:
        return ""
    return "; the password, if it needs one, is expected in PGPASSWORD, ~/.pgpass or --storage"


def _missing_locks(folder: Path) -> str:
    """SQLite says "database is locked" or "disk I/O error" where there are no locks of this kind, which are others than
    the lock on a study's folder."""
    if not folder.is_dir():
        return ""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return (
            f"; {folder} is on a file system that cannot lock files as SQLite does (fcntl: {error.strerror}): choose a "
            "folder on a local disk with --results, or a database server with --storage"
        )
    return ""


def _cause(error: BaseException) -> str:
    """What the database said, in one line."""
    return " ".join(str(error).split())[:200]


def explain_failures(engine: Engine) -> None:
    """Raise what the database says as ResultsError, save that a row is there already, from which Optuna learns."""

    def explain(context: ExceptionContext) -> None:
        error = context.sqlalchemy_exception
        if error is not None and not isinstance(error, IntegrityError):
            raise _failure(engine, context)

    sqlalchemy.event.listen(engine, "handle_error", explain)


def _failure(engine: Engine, context: ExceptionContext) -> ResultsError:
    away = engine.dialect.name != "sqlite" and (context.is_disconnect or context.connection is None)
    kind = StorageAwayError if away else ResultsError
    return kind(
        f"storage {shown_url(engine)} cannot be read or written: {_cause(context.original_exception)}; "
        "mend that (`study doctor` tells a damaged database), then continue with the same command"
    )


def shown_url(engine: Engine) -> str:
    """Where an engine's database is, without its password."""
    return hide_password(engine.url.render_as_string(hide_password=False))


@contextlib.contextmanager
def transaction(storage: RDBStorage) -> Iterator[Connection]:
    """Commit what this thread writes within the block, through the connection or the storage, at once or not at all.

    Optuna commits after each of its calls, and waits for the disk each time. Its sessions join the transaction of the
    connection that they are bound to (SQLAlchemy, "Joining a Session into an External Transaction").
    ResultsError, without a password in it, when the database fails.
    """

    def stop(context: ExceptionContext) -> None:
        if context.sqlalchemy_exception is not None:  # Optuna would try again, though this transaction is over
            raise _failure(storage.engine, context)

    sqlalchemy.event.listen(storage.engine, "handle_error", stop)
    try:
        with storage.engine.begin() as connection:
            storage.scoped_session.remove()
            storage.scoped_session(bind=connection)
            yield connection
    finally:
        storage.scoped_session.remove()
        sqlalchemy.event.remove(storage.engine, "handle_error", stop)


@contextlib.contextmanager
def quiet_experimental() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def open_study(
    storage: RDBStorage, name: str, metric: str, direction: Direction, owner: Owner | None = None
) -> optuna.Study:
    """Open or create an Optuna study; a new one, or one that has none, gets the owner."""
    study = optuna.create_study(study_name=name, storage=storage, direction=direction, load_if_exists=True)
    if study.metric_names != [metric]:
        with quiet_experimental():
            study.set_metric_names([metric])
    if owner is not None and KEY not in study.user_attrs:
        claim(storage, study._study_id, owner)
    return study


def sweep(storage: RDBStorage, study: optuna.Study) -> None:
    """Fail every trial left RUNNING by a driver that died. Only the holder of the study's lock may call this."""
    left = storage.get_all_trials(study._study_id, deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING))
    for trial in left:
        fail_uncounted(storage, trial._trial_id, "interrupted", "interrupted: the command ended while it ran")


def fail_uncounted(storage: BaseStorage, trial_id: int, ending: Ending, reason: str) -> None:
    """Close an unfinished trial that is nobody's fault: it does not count and may be tried again."""
    storage.set_trial_user_attr(trial_id, "ending", ending)
    storage.set_trial_user_attr(trial_id, "reason", reason)
    storage.set_trial_user_attr(trial_id, "counted", False)
    storage.set_trial_state_values(trial_id, TrialState.FAIL)
