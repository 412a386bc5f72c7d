"""The further searches of a study: each in a folder of its own, with the study's settings and a seed of its own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from study.errors import ResumeError
from study.execution.shares import Share
from study.records.locking import StudyLock
from study.records.open_ledger import OpenLedger
from study.records.paths import StudyFiles, prepare_results_folder
from study.records.settings import DatasetSettings, StudySettings, load_settings, save_settings
from study.seeds import derive_seed
from study.stages.held_out import part_of
from study.stages.holes import check_records
from study.stages.session import Session, versions


@contextlib.contextmanager
def open_repeat(
    session: Session, number: int, budget: float | None, n_trials: int | None, share: Share | None = None
) -> Iterator[Session]:
    """Search `number` of the study, from 2 on, as a session over a folder of its own: the same data, families and
    ladders, another seed and, unless the study is older, another sixth of the data to validate on. It has `budget`
    seconds and is charged to its own ledger while the study's stands still, or is charged with its part where it has a
    share of the workers beside others."""
    files = session.files.repeat(number)
    request = replace(
        session.request,
        name=files.root.name,
        results=files.root.parent,
        started=time.monotonic(),
        budget=budget,
        n_trials=n_trials,
        repeats=1,
    )
    prepare_results_folder(files.root)
    with session.ledger.paused() if share is None else contextlib.nullcontext(), StudyLock(files):
        part = part_of(session.settings, session.data, number)
        settings = _settings(session.settings, files, number, part.dataset)
        check_records(files)
        ledger, study = OpenLedger.open(files.ledger, request.command, request.started, versions()), session.ledger
        ledger.device, ledger.precision, ledger.workers = study.device, study.precision, study.workers
        ledger.machine = study.machine
        if share is not None:
            ledger.share_with(share.charged_to_others)
        try:
            yield replace(
                session,
                request=request,
                files=files,
                settings=settings,
                ledger=ledger,
                data=part.data,
                held_out=part.held_out,
                new_spaces=[],
                warnings=[],
            )
        finally:
            ledger.save()


def seed_of_repeat(study: StudySettings, number: int) -> int:
    return derive_seed(study.seed, "", number, "repeat")


def _settings(study: StudySettings, files: StudyFiles, number: int, dataset: DatasetSettings) -> StudySettings:
    """The study's settings as they are now, under another name, identity and seed; those of a repeat that was begun
    are written once its database is open. ResumeError for one that was begun with another validation part."""
    own: dict[str, Any] = {
        "id": None,
        "folder": None,
        "name": files.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed_of_repeat(study, number),
        "repeat_of": study.name,
        "dataset": dataset,
    }
    if files.exists():
        begun = load_settings(files.settings)
        if begun.dataset.split_sha256 != dataset.split_sha256:
            raise ResumeError(
                f"{files.settings} was begun with validation images of sha256 {begun.dataset.split_sha256}, seen "
                f"{dataset.split_sha256}: restore the file or the data, or start another study with --name"
            )
        return study.model_copy(update=own | {"created": begun.created, "id": begun.id, "folder": begun.folder})
    settings = study.model_copy(update=own)
    save_settings(settings, files.settings)
    return settings
