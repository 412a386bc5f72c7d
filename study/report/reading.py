"""Read the files of a study, whatever stage it is in; what is missing is None or empty, never invented."""

from __future__ import annotations

import contextlib
import math
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from study.errors import ResultsError
from study.evaluation.temperature import carried_temperature
from study.records.examined import (
    Ablated,
    Ablation,
    Audit,
    Baselines,
    Duplicates,
    Ensembles,
    Examined,
    Latencies,
    Robustness,
    read_examined,
)
from study.records.files import read_json
from study.records.finalists import Choice, Finalists, read_finalists
from study.records.last_stage import Shipped, shipped_by
from study.records.ledger import Ledger, read_ledger
from study.records.paths import StudyFiles, done_runs
from study.records.predictions import OF_IMAGES
from study.records.run import Run, read_run
from study.records.seal import Opening, is_made_from, read_openings, trained_again
from study.records.settings import StudySettings, load_settings
from study.records.shifts import Gain, ShippedReading, read_gains, read_shipped
from study.records.trial import Trials, read_trials
from study.statistics.groups import Groups

Array = NDArray[Any]
Record = dict[str, Any]
T = TypeVar("T")
Stage = Literal["empty", "searching", "retrained", "evaluated"]


@dataclass(frozen=True)
class StudyRecords:
    """Everything that the report reads. Logits are float64 [N, C] by run name; labels int64 [N]."""

    files: StudyFiles
    settings: StudySettings
    records: Trials
    finalists: Finalists
    ledger: Ledger
    runs: dict[str, Run]
    openings: tuple[Opening, ...]
    openings_elsewhere: list[str]  # times at which other studies of the results folder opened the same split
    test_labels: Array | None = None
    test_groups: Array | None = None  # of the test images, such as their writers
    test_logits: dict[str, Array] = field(default_factory=dict)
    candidate_logits: dict[str, Array] = field(default_factory=dict)
    broken_runs: list[str] = field(default_factory=list)
    retrained: list[str] = field(default_factory=list)  # since the test split was opened: it says nothing of this study
    hardest: dict[str, Array] = field(default_factory=dict)
    samples: dict[str, Array] = field(default_factory=dict)
    examined: Examined = field(default_factory=Examined)
    strip: dict[str, Array] = field(default_factory=dict)
    temperatures: dict[str, float] = field(default_factory=dict)
    model: Record = field(default_factory=dict)
    shipped_reading: ShippedReading | None = None  # of the test split, where the model reads with shifts
    repeats: dict[int, StudyRecords] = field(default_factory=dict)  # searches that have begun, from 2 on

    @property
    def n_searches(self) -> int:
        return self.ledger.n_searches

    @property
    def searches(self) -> dict[int, StudyRecords]:
        """By number; the first is this study's own."""
        return {1: self, **self.repeats}

    @property
    def shipped(self) -> tuple[StudyRecords, Choice | None]:
        """What validation chose, with the search that it is of; the run is the one with the shipped weights."""
        source, ships = self.shipping
        return source, None if ships is None else replace(ships.choice, run=ships.run)

    @cached_property
    def shipping(self) -> tuple[StudyRecords, Shipped | None]:
        """The same with what its last stage came to."""
        ready = [one for one in self.searches.values() if one.finalists.standing]
        if not ready:
            return self, None
        ships = shipped_by([one.files for one in ready], [one.finalists for one in ready])
        return ready[ships.choice.search], ships

    def of_search(self, one: StudyRecords) -> str:
        """What stands behind a trial's number, ' of search 2', as each search counts from 0; '' in a study of one."""
        number = next(number for number, search in self.searches.items() if search is one)
        return f" of search {number}" if self.n_searches > 1 else ""

    @property
    def families(self) -> list[str]:
        return list(self.settings.families)

    @property
    def gains(self) -> tuple[Gain, ...]:
        """What reading with shifts adds to each family on validation; none in a study that ships no such reading."""
        return read_gains(self.model)

    @cached_property
    def correct(self) -> dict[str, Array]:
        """Family -> bool [S, N]: which seed of its finalist is right on which test image."""
        labels, found = self.test_labels, {}
        for family in self.families:
            logits = self.final_logits(family)
            if logits and labels is not None:
                found[family] = np.stack([seed.argmax(axis=1) == labels for seed in logits])
        return found

    @property
    def groups(self) -> Groups | None:
        """By which intervals and tests are clustered; None where the test images have none."""
        return Groups.named(self.test_groups)

    @property
    def evaluated(self) -> bool:
        return self.test_labels is not None and any(self.final_logits(family) for family in self.families)

    @property
    def stage(self) -> Stage:
        """How far the study got."""
        if self.evaluated:
            return "evaluated"
        if self.finalists.families:
            return "retrained"
        return "searching" if self.records else "empty"

    @property
    def active_seconds(self) -> float | None:
        """Wall-clock of the study's own stages; what was examined afterwards on request is no part of its cost."""
        stages = self.ledger.stages.items()
        return math.fsum(seconds for name, seconds in stages if name not in ("ablation", "audit")) or None

    @property
    def earlier_openings(self) -> int:
        """Openings of the test split before this study's only one; from one on the report is exploratory."""
        first = self.openings[0].time if self.openings else ""
        seen = max(len(self.openings) - 1, 0) + sum(time < first for time in self.openings_elsewhere)
        return max(seen, (self.openings_of_user or 1) - 1)

    @property
    def openings_of_user(self) -> int | None:
        """How many times this user's studies had opened these images with this study's last opening, as it was counted
        then; None where it was not."""
        return self.openings[-1].of_user if self.openings else None

    def family_trials(self, family: str) -> Trials:
        """Those of its search that count."""
        return self.settings.of_search(self.records.of(family)).counted

    def given_trials(self, family: str) -> Trials:
        """Those that count of what was given to it, in or beside its search."""
        return self.records.of(family).given.counted

    @property
    def counted(self) -> Trials:
        """The trials of the searches that count, families after each other."""
        return Trials(trial for family in self.families for trial in self.family_trials(family))

    def final_runs(self, family: str) -> list[Run]:
        """The finalist's runs in the order of their seeds, those on the disk only."""
        return [self.runs[name] for name in self.finalists.of(family).final_runs if name in self.runs]

    def final_logits(self, family: str) -> list[Array]:
        """Test logits [N, C] of the finalist's seeds."""
        names = self.finalists.of(family).final_runs
        return [self.test_logits[name] for name in names if name in self.test_logits]

    def title(self, family: str) -> str:
        """How sentences name a finalist: family and trial."""
        return f"finalist {family} #{self.finalists.of(family).finalist}"


@contextlib.contextmanager
def known_form(root: Path) -> Iterator[None]:
    """Numbers are computed inside: a file of the study that lacks what this version writes is a ResultsError."""
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        raise ResultsError(
            f"{root} holds a file of an unknown form ({type(error).__name__}: {error}); expected the files of "
            "this version: run the stage that wrote it again, or report with the version that made the study"
        ) from error


def read_study(files: StudyFiles, sealed_in: StudyFiles | None = None) -> StudyRecords:
    """Read a study; ResultsError names the first file that is damaged. A repeat's runs were `sealed_in` its study."""
    settings = load_settings(files.settings)
    openings = read_openings((sealed_in or files).seal)
    sealed = openings[-1].hashes if openings else {}
    retrained = trained_again(files, sealed, "" if sealed_in is None else f"{files.root.name}/")
    images, logits, broken = _predictions(files.predictions, usable=not retrained)
    _, candidates, broken_candidates = _predictions(files.candidate_predictions, usable=not retrained)
    finalists = read_finalists(files.finalists) if files.finalists.is_file() else Finalists()
    ledger = read_ledger(files.ledger)
    folders = enumerate(ledger.further_searches(files), 2)
    return StudyRecords(
        files=files,
        settings=settings,
        records=read_trials(files.trials_jsonl),
        finalists=finalists,
        ledger=ledger,
        runs={name: read_run(files.run(name)) for name in done_runs(files)},
        openings=tuple(openings) if sealed_in is None else (),
        openings_elsewhere=_openings_elsewhere(files, settings),
        test_labels=images.get("labels"),
        test_groups=images.get("groups"),
        test_logits=logits,
        candidate_logits=candidates,
        broken_runs=broken + broken_candidates,
        retrained=retrained,
        hardest={} if retrained else _arrays(files.test / "images.npz"),
        samples=_arrays(files.samples),
        strip=_arrays(files.test / "strip.npz"),
        temperatures=_temperatures(files, finalists),
        examined=_examined(files, finalists, openings),
        model=_optional_json(files.model / "model.json"),
        shipped_reading=None if retrained else read_shipped(files.shipped_predictions),
        repeats={number: read_study(folder, files) for number, folder in folders if folder.exists()},
    )


def _optional_json(path: Path) -> Record:
    if not path.is_file():
        return {}
    value = read_json(path)
    if not isinstance(value, dict):
        raise ResultsError(f"{path} holds a {type(value).__name__}, expected an object; rerun the stage that writes it")
    return value


def _temperatures(files: StudyFiles, finalists: Finalists) -> dict[str, float]:
    """Temperature that each finalist carries over from validation, where its candidates left logits."""
    found = {}
    for family in finalists.families:
        with contextlib.suppress(ResultsError):
            found[family] = carried_temperature(files, family)
    return found


def _examined(files: StudyFiles, finalists: Finalists, openings: Sequence[Opening]) -> Examined:
    """What was examined, as far as it is of the networks that are there now."""

    def of_test(kind: type[T], name: str) -> T | None:
        path = files.test / f"{name}.json"
        stands = path.is_file() and is_made_from(_optional_json(path), files, openings)
        return read_examined(kind, path) if stands else None

    ablation = read_examined(Ablation, files.ablation)
    return Examined(
        robustness=of_test(Robustness, "robustness"),
        baselines=read_examined(Baselines, files.test / "baselines.json"),
        ensembles=of_test(Ensembles, "ensemble"),
        latencies=of_test(Latencies, "latency"),
        duplicates=read_examined(Duplicates, files.duplicates),
        ablation=None if ablation is None else _of_current(ablation, finalists),
        audit=read_examined(Audit, files.audit),
    )


def _of_current(ablation: Ablation, finalists: Finalists) -> Ablation:
    """Of the families whose finalist, and the length of its runs, are the ones that were ablated."""

    def is_current(family: str, row: Ablated) -> bool:
        now = finalists.of(family)
        return (row.trial, row.examples) == (now.finalist, now.examples)

    return replace(ablation, families={f: row for f, row in ablation.families.items() if is_current(f, row)})


def _arrays(path: Path) -> dict[str, Array]:
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ResultsError(f"{path} is not a readable .npz ({error}); move it away and run `study evaluate`") from None


def _predictions(path: Path, *, usable: bool) -> tuple[dict[str, Array], dict[str, Array], list[str]]:
    """Labels and, if there are any, groups of the images, logits by run, and the runs that are left out because a logit
    is not finite."""
    arrays = _arrays(path) if usable else {}
    of_images = {name: arrays.pop(name) for name in OF_IMAGES if name in arrays}
    broken = [name for name, logits in arrays.items() if not np.isfinite(logits).all()]
    return of_images, {name: a.astype(np.float64) for name, a in arrays.items() if name not in broken}, broken


def _openings_elsewhere(files: StudyFiles, settings: StudySettings) -> list[str]:
    wanted = {key: value for key, value in settings.dataset.sha256.items() if "test" in key}
    others = [path for path in files.root.parent.glob("*/test/seal.json") if path != files.seal]
    # A copy of a study has its seal, too: what was opened once is counted once.
    seen = [_opening(opening) for opening in _seal_openings(files.seal)]
    found = []
    for opening in (opening for path in others for opening in _seal_openings(path)):
        if _opening(opening) not in seen and _same_split(opening, wanted):
            seen.append(_opening(opening))
            found.append(str(opening.get("time")))
    return sorted(found)


def _opening(opening: Record) -> Record:
    """What tells an opening from others."""
    return {key: opening.get(key) for key in ("time", "command", "hashes")}


def _seal_openings(path: Path) -> list[Record]:
    try:
        return list(_optional_json(path).get("openings", []))
    except ResultsError:
        return []  # another study's damage is not this report's business


def _same_split(opening: Record, wanted: dict[str, str]) -> bool:
    seen = opening.get("test_sha256") or {}
    return bool(seen) and (not wanted or set(seen.values()) & set(wanted.values()) != set())
