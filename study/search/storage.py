"""The Optuna studies of a study: opening them, and the trial record that both they and `trials.jsonl` hold."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Any, Literal

import optuna
import sqlalchemy
from optuna.distributions import distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import Connection, ExceptionContext
from sqlalchemy.exc import SQLAlchemyError

from study.config import StudySettings
from study.errors import ResultsError, UsageError
from study.results import StudyFiles, append_jsonl, write_csv
from study.search.tables import read_trials

_SQLITE_TIMEOUT = 60  # seconds
Direction = Literal["minimize", "maximize"]


def storage_url(files: StudyFiles, url: str | None) -> str:
    return url or f"sqlite:///{files.database.resolve()}"


def hide_password(url: str) -> str:
    parsed = sqlalchemy.make_url(url)
    secrets = {key: "hidden" for key in parsed.query if "pass" in key.lower()}
    return parsed.update_query_dict(secrets).render_as_string(hide_password=True)


def open_storage(url: str) -> RDBStorage:
    """Open or create the storage. ResultsError, without a password in it, when that cannot be done."""
    try:
        parsed = sqlalchemy.make_url(url)
    except (SQLAlchemyError, ValueError):
        raise UsageError("storage URL cannot be read: expected sqlite:///FILE or postgresql+psycopg://...") from None
    arguments = {"connect_args": {"timeout": _SQLITE_TIMEOUT}} if parsed.get_backend_name() == "sqlite" else {}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        return RDBStorage(url, engine_kwargs=arguments)
    except (SQLAlchemyError, StorageInternalError, RuntimeError) as error:
        raise ResultsError(
            f"storage {hide_password(url)} cannot be opened: {_cause(error.__cause__ or error)}"
        ) from None
    except ImportError:
        raise UsageError(
            f"storage {hide_password(url)} needs the driver {parsed.get_driver_name()}, which is not installed; "
            "expected sqlite:///FILE, or postgresql+psycopg://... with pip install 'digit-study[postgres]'"
        ) from None


def _cause(error: BaseException) -> str:
    """What the database said, in one line."""
    return " ".join(str(error).split())[:200]


@contextlib.contextmanager
def transaction(storage: RDBStorage) -> Iterator[Connection]:
    """Commit what this thread writes within the block, through the connection or the storage, at once or not at all.

    Optuna commits after each of its calls, and waits for the disk each time. Its sessions join the transaction of the
    connection that they are bound to (SQLAlchemy, "Joining a Session into an External Transaction").
    ResultsError, without a password in it, when the database fails.
    """

    def stop(context: ExceptionContext) -> None:
        if context.sqlalchemy_exception is not None:  # Optuna would try again, though this transaction is over
            raise ResultsError(
                f"storage {hide_password(storage.url)} cannot be written: {_cause(context.original_exception)}; "
                "mend that, then continue with the same command"
            )

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


def open_study(storage: BaseStorage, name: str, metric: str, direction: Direction) -> optuna.Study:
    study = optuna.create_study(study_name=name, storage=storage, direction=direction, load_if_exists=True)
    if study.metric_names != [metric]:
        with quiet_experimental():
            study.set_metric_names([metric])
    return study


def record_of(trial: FrozenTrial, family: str) -> dict[str, Any]:
    """The trial's line in trials.jsonl. Made from the stored trial alone, so that either can rebuild the other."""
    attrs = trial.user_attrs
    start, end = (
        moment and moment.astimezone(UTC).isoformat() for moment in (trial.datetime_start, trial.datetime_complete)
    )
    rungs = attrs.get("rungs", [])
    return {
        "number": trial.number,
        "family": family,
        "parameters": trial.params,
        "config": attrs.get("config", {}),
        "distributions": {name: distribution_to_json(d) for name, d in trial.distributions.items()},
        "rungs": rungs,
        "state": trial.state.name,
        "reason": attrs.get("reason"),
        "role": attrs.get("role", "sampled"),
        "value": rungs[-1]["accuracy"] if rungs else None,
        "nll": rungs[-1]["nll"] if rungs else None,
        "draw": attrs.get("draw"),
        "seed": attrs.get("seed"),
        "attempt": attrs.get("attempt", 1),
        "counted": attrs.get("counted", True),
        "start": start,
        "end": end,
        "seconds": attrs.get("seconds", 0.0),
        "training_seconds": attrs.get("training_seconds", 0.0),
        "worker": attrs.get("worker"),
        "n_parameters": attrs.get("n_parameters"),
        "flops": attrs.get("flops"),
        "examples": rungs[-1]["examples"] if rungs else 0,
    }


def _witness(trial: FrozenTrial) -> dict[str, Any]:
    """The part of a trial's record that is compared."""
    rungs, seed = trial.user_attrs.get("rungs"), trial.user_attrs.get("seed")
    value = rungs[-1]["accuracy"] if rungs else None
    return {"state": trial.state.name, "parameters": trial.params, "value": value, "seed": seed}


def reconcile(
    trials: Sequence[FrozenTrial], family: str, records: list[dict[str, Any]], files: StudyFiles
) -> list[dict[str, Any]]:
    """Compare the database's trials with trials.jsonl; return the records of this family.

    A trial that the database has and the file does not (a crash between the two writes) is appended; anything else
    that differs raises ResultsError with its number, because then one of the two is damaged.
    """
    ours, missing = compare(trials, family, records, files)
    for record in missing:
        append_jsonl(files.trials_jsonl, record)
    return sorted([*ours, *missing], key=lambda record: record["number"])


def compare(
    trials: Sequence[FrozenTrial], family: str, records: list[dict[str, Any]], files: StudyFiles
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(records of this family, records of the finished trials in the database that are not among them)."""
    ours = {record["number"]: record for record in records if record["family"] == family}
    stored = {trial.number: trial for trial in trials if trial.state.is_finished()}
    lost = sorted(ours.keys() - stored.keys())
    if lost:
        raise ResultsError(
            f"{files.root}: trial {lost[0]} of {family} is in trials.jsonl but not in the database; "
            "the database is damaged: restore it, or start a new study with --from"
        )
    for number, record in ours.items():
        for key, value in _witness(stored[number]).items():
            if value != record[key]:
                raise ResultsError(
                    f"{files.root}: trial {number} of {family}: {key} is {value!r} in the database and "
                    f"{record[key]!r} in trials.jsonl; one is damaged: restore it, or start anew with --from"
                )
    return list(ours.values()), [record_of(stored[number], family) for number in sorted(stored.keys() - ours.keys())]


def compare_all(storage: RDBStorage, settings: StudySettings, records: list[dict[str, Any]], files: StudyFiles) -> int:
    """Compare every family without changing anything; returns how many finished trials agree."""
    agreed = 0
    for family in settings.families:
        try:
            study_id = storage.get_study_id_from_name(f"{settings.name}/{family}")
        except KeyError:
            raise ResultsError(f"{files.root}: the database does not know family {family}; restore it") from None
        agreed += len(compare(read_trials(storage, study_id), family, records, files)[0])
    return agreed


def sweep(storage: RDBStorage, study: optuna.Study) -> None:
    """Fail every trial left RUNNING by a driver that died. Only the holder of the study's lock may call this."""
    left = storage.get_all_trials(study._study_id, deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING))
    for trial in left:
        fail_uncounted(storage, trial._trial_id, "interrupted: the command ended while it ran")


def fail_uncounted(storage: BaseStorage, trial_id: int, reason: str) -> None:
    """Close an unfinished trial that is nobody's fault: it does not count and may be tried again."""
    storage.set_trial_user_attr(trial_id, "reason", reason)
    storage.set_trial_user_attr(trial_id, "counted", False)
    storage.set_trial_state_values(trial_id, TrialState.FAIL)


_CSV_COLUMNS = [
    "number",
    "family",
    "state",
    "role",
    "value",
    "nll",
    "examples",
    "seconds",
    "training_seconds",
    "worker",
    "seed",
    "attempt",
    "counted",
    "reason",
    "n_parameters",
    "flops",
    "start",
    "end",
]


def write_trials_csv(files: StudyFiles, records: list[dict[str, Any]]) -> None:
    """The records as a table, one column a parameter, families after each other."""
    names = sorted({name for record in records for name in record["parameters"]})
    rows = [
        [record[column] for column in _CSV_COLUMNS] + [record["parameters"].get(name, "") for name in names]
        for record in sorted(records, key=lambda record: (record["family"], record["number"]))
    ]
    write_csv(files.trials_csv, [*_CSV_COLUMNS, *(f"param_{name}" for name in names)], rows)
