"""Opening a study for work: its lock, its settings checked against what is asked now, its data, its ledger."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from study.errors import ResumeError, UsageError
from study.execution.ray_address import Cluster
from study.records.locking import StudyLock
from study.records.naming import find_study, lasting_word
from study.records.open_ledger import OpenLedger
from study.records.paths import StudyFiles, check_study_name, prepare_results_folder
from study.records.run import Precision
from study.records.settings import (
    SAMPLER_WINDOW,
    DatasetSettings,
    FamilySettings,
    RetrainSettings,
    SamplerName,
    StudySettings,
    change_settings,
    load_settings,
    save_settings,
)
from study.search.given import as_read_now, read_given
from study.search.imports import check_source
from study.search.spaces import check_space
from study.search.storage import is_own, without_password
from study.space.parameters import SearchSpace
from study.space.plugins import plugin_of
from study.space.points import require_few_points
from study.stages.data import keep_place, load_data, write_samples
from study.stages.goal import asked_goal
from study.stages.hardware import Hardware
from study.stages.holes import check_records
from study.stages.machine import limit_threads, too_many
from study.stages.own_pictures import dropping_copy
from study.stages.plan import at_least, retrain_settings
from study.stages.request import Request
from study.training.loop import TrainingData
from study.training.schedule import HeldOut

_VERSIONED = ("digit-study", "torch", "torchvision", "optuna", "numpy", "scikit-learn", "pandas", "plotly")
_MAJOR_MATTERS = ("torch", "optuna")


@dataclass
class Session:
    """A study that this command holds, with everything loaded that its stages need."""

    request: Request
    files: StudyFiles
    settings: StudySettings
    ledger: OpenLedger
    data: TrainingData
    device: torch.device
    precision: Precision
    n_workers: int
    n_at_once: int  # of the workers, those that do not slow each other down
    new_spaces: list[SearchSpace]
    warnings: list[str]
    cluster: Cluster | None = None  # whose machines train, in place of this one
    held_out: HeldOut | None = None  # of a search that holds out others than the workers' data do

    @property
    def own_device(self) -> torch.device:
        """Where this process computes what it does not leave to workers."""
        return self.device if self.cluster is None else torch.device("cpu")

    @property
    def families(self) -> list[str]:
        """All families that this command works on, those that it adds last."""
        return list(dict.fromkeys([*self.settings.families, *(space.family for space in self.new_spaces)]))

    def validation_images(self, places: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Images [N, 28, 28] of the validation part by their places in it."""
        chosen = self.data.images[self.data.validation[torch.from_numpy(places)]]
        return np.asarray(chosen.cpu().numpy())

    def allow_retraining(self, wanted: RetrainSettings) -> None:
        """More candidates and seeds where the budget has grown since the study was created; never fewer."""
        retrain = at_least(self.settings.retrain, wanted)
        if retrain != self.settings.retrain:
            self.settings = self.settings.model_copy(update={"retrain": retrain})
            save_settings(self.settings, self.files.settings)

    def keep_storage(self) -> None:
        """Let the study remember a storage that was given and could be opened, so that the next command finds it."""
        if self.request.storage is not None:
            kept = None if is_own(self.files, self.request.storage) else without_password(self.request.storage)
            self.settings = self.settings.model_copy(update={"storage": kept})
            if self.files.exists():  # else it is written with the first families
                save_settings(self.settings, self.files.settings)

    def save_settings(self, families: dict[str, FamilySettings]) -> None:
        self.settings = self.settings.model_copy(update={"families": {**self.settings.families, **families}})
        save_settings(self.settings, self.files.settings)
        self.new_spaces = []


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in _VERSIONED}}


@contextlib.contextmanager
def open_session(request: Request, cluster: Cluster | None = None) -> Iterator[Session]:
    """Create the study or continue it, holding its lock until the end of the block.

    Raises UsageError, DataError, SpaceError, LockedError, ResumeError (with the difference) before any work is spent.
    """
    files = request.files
    limit_threads()
    hardware, known = Hardware.of(request, cluster), files.exists()
    # What is wrong with the request is said before anything is written.
    resolved = _resolve(request, files, hardware.n_at_once)
    prepare_results_folder(files.root)
    with StudyLock(files):
        if files.exists() and not known:  # another command created it meanwhile
            resolved = _resolve(request, files, hardware.n_at_once)
        session = _session(request, hardware, resolved)
        if request.single_family and files.exists():
            change_settings(files.settings, single_family=True)
        keep_place(session.settings, files)
        if not files.samples.exists():
            write_samples(files, session.data)
        yield session


def preview_session(request: Request, cluster: Cluster | None = None) -> Session:
    """The session that `open_session` would open, for a look ahead: nothing is locked, and nothing written unless its
    ledger is saved. The same errors."""
    limit_threads()
    hardware = Hardware.of(request, cluster)
    return _session(request, hardware, _resolve(request, request.files, hardware.n_at_once, keeps=False))


def _session(request: Request, hardware: Hardware, resolved: Resolved) -> Session:
    settings, training, spaces, warnings = resolved
    device, n_workers, precision = hardware.device, hardware.n_workers, hardware.precision
    ledger = OpenLedger.open(request.files.ledger, request.command, request.started, versions())
    ledger.device, ledger.precision, ledger.workers = str(device), precision, n_workers
    ledger.machine = hardware.machine
    return Session(
        request=request,
        files=request.files,
        settings=settings,
        ledger=ledger,
        data=training,
        device=device,
        precision=precision,
        n_workers=n_workers,
        n_at_once=hardware.n_at_once,
        new_spaces=spaces,
        warnings=warnings + too_many(n_workers, hardware.fitting),
        cluster=hardware.cluster,
    )


Resolved = tuple[StudySettings, TrainingData, list[SearchSpace], list[str]]


def _resolve(request: Request, files: StudyFiles, n_at_once: int, *, keeps: bool = True) -> Resolved:
    """Settings, data, spaces to add and warnings of a study to create or to continue. Pictures are decoded for good if
    it `keeps` them."""
    check_records(files)
    stored = load_settings(files.settings) if files.exists() else None
    families = request.chosen_families(stored)
    _check_repeats(request, files, stored, families)
    if stored is None:
        return _to_create(request, files, n_at_once, families, keeps=keeps)
    spaces = _new_spaces(families, stored.families, stored.sampler)
    training, described, notes = load_data(request, stored, keeps=keeps)
    warnings = [*_check_resume(request, stored, described), *notes]
    single = stored.single_family or request.single_family
    settings = stored.model_copy(update={"dataset": described, "single_family": single})
    return settings, training, spaces, warnings


def _to_create(
    request: Request, files: StudyFiles, n_at_once: int, families: Mapping[str, SearchSpace], *, keeps: bool
) -> Resolved:
    """As `_resolve`, of a new study. What can be wrong without its pictures is said before these are decoded."""
    spaces = _new_spaces(families, {}, request.sampler)
    given = tuple(read_given(path, families) for path in request.given)
    training, described, notes = load_data(request, None, keeps=keeps)
    created = new_settings(request, files, described, n_at_once, families).model_copy(update={"given_files": given})
    if created.imported_from is not None:
        made = keeps and described.decoded is not None
        with dropping_copy(files) if made else contextlib.nullcontext():
            check_source(find_study(created.imported_from, request.results), created, spaces)
    return created, training, spaces, notes


def _check_repeats(request: Request, files: StudyFiles, stored: StudySettings | None, families: Iterable[str]) -> None:
    """UsageError for searches that could not be independent, or have no name; ResumeError for a repeat by itself."""
    if stored is not None and stored.repeat_of is not None:
        raise ResumeError(
            f"{files.root} is a repeat of study '{stored.repeat_of}', seen as a study of its own: "
            f"continue it with --name {stored.repeat_of}"
        )
    planned = asked_goal(request, families).n_searches if stored is None else request.repeats or 1
    if planned < 2:
        return
    source = request.imported_from or (stored.imported_from if stored else None)
    if source is not None:
        raise UsageError(
            f"--repeats {request.repeats} with trials imported from '{source}': expected a study without --from, "
            "since searches that begin with the same trials are not independent"
        )
    check_study_name(files.repeat(planned).name)


def new_settings(
    request: Request, files: StudyFiles, dataset: DatasetSettings, n_at_once: int, families: Iterable[str]
) -> StudySettings:
    """The settings of a new study, before its families are there."""
    source = request.imported_from
    goal, sampler = asked_goal(request, families), request.sampler or "tpe"
    return StudySettings(
        name=files.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=request.seed or 0,
        sampler=sampler,
        sampler_window=SAMPLER_WINDOW if sampler == "tpe" else None,
        neighbours=sampler == "tpe",
        surrogate=sampler == "tpe",
        pruner=request.pruner or "asha",
        warm_starts=2 if request.warm_start and source is None else 0,
        given="apart",
        imported_from=None if source is None else lasting_word(source, request.results),
        dataset=dataset,
        single_family=request.single_family,
        reading="shifts",
        validation="own",
        last_stage=request.last_stage and dataset.on_black,
        retrain=retrain_settings(goal.share, n_at_once, len(goal.families)),
        families={},
        versions=versions(),
    )


def _new_spaces(
    families: Mapping[str, SearchSpace], stored: Mapping[str, FamilySettings], sampler: SamplerName | None
) -> list[SearchSpace]:
    """The search spaces that this command adds; SpaceError for one that cannot be trained, or not be walked by the
    grid that is to walk it."""
    spaces = [space for family, space in families.items() if family not in stored]
    for space in spaces:
        check_space(space)
        if sampler == "grid":
            require_few_points(space)
    return spaces


def _check_resume(request: Request, stored: StudySettings, dataset: DatasetSettings) -> list[str]:
    """ResumeError with the first difference that would make the comparison another one; warnings for the rest."""
    source = request.imported_from
    compared: list[tuple[str, Any, Any]] = [
        ("--split-seed", stored.dataset.split_seed, dataset.split_seed),
        ("the validation split's hash", stored.dataset.split_sha256, dataset.split_sha256),
    ]
    for flag, before, now in (
        ("--seed", stored.seed, request.seed),
        ("--sampler", stored.sampler, request.sampler),
        ("--pruner", stored.pruner, request.pruner),
        ("--from", stored.imported_from, source and lasting_word(source, request.results)),
        ("a last stage:", stored.last_stage, None if request.last_stage else False),
        ("warm starts per family:", stored.warm_starts, None if request.warm_start else 0),
    ):
        if now is not None:
            compared.append((flag, before, now))
    for what, before, now in compared:
        if before != now:
            raise ResumeError(
                f"study '{stored.name}' was created with {what} {before}, seen {now}: "
                "continue it with the same, or start another with --name"
            )
    _check_given(request, stored)
    return _check_versions(stored)


def _check_given(request: Request, stored: StudySettings) -> None:
    """ResumeError for a configuration that the study was not created with: it would be compared by another protocol."""
    families = request.chosen_families(stored)
    seen = tuple(read_given(path, families) for path in request.given)
    if seen and seen != tuple(as_read_now(one, families) for one in stored.given_files):
        before, now = (", ".join(one.file for one in files) or "none" for files in (stored.given_files, seen))
        raise ResumeError(
            f"study '{stored.name}' was created with --given {before}, seen {now}"
            f"{' of another content' if before == now else ''}: continue it with the same, or start another with --name"
        )


def _check_versions(stored: StudySettings) -> list[str]:
    warnings = []
    for package, now in versions().items():
        before = stored.versions.get(package, now)
        if before == now:
            continue
        if package in _MAJOR_MATTERS and before.split(".")[0] != now.split(".")[0]:
            raise ResumeError(
                f"study '{stored.name}' was created with {package} {before}, this is {now}: "
                "install that major version, or start another with --name"
            )
        warnings.append(f"{package} was {before} when this study was created, now {now}")
    return warnings + _check_packages(stored)


def _check_packages(stored: StudySettings) -> list[str]:
    """Warnings for families whose package is another version now."""
    ours = {name: family for name, family in stored.families.items() if family.package is not None}
    return [
        f"{family.package} was {family.package_version} when family '{name}' joined this study, now {plugin.version}"
        for name, family in ours.items()
        if (plugin := plugin_of(name)) is not None and plugin.version != family.package_version
    ]
