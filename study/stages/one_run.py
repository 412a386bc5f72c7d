"""One configuration trained without a search: on the study's data and split, with the records that every run has."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from study.errors import ConfigError
from study.execution.jobs import Job, RungMetrics
from study.execution.worker import RunFailedError, train
from study.models import family_of
from study.records.files import read_text
from study.records.finalists import Candidate, FamilyResult, read_finalists
from study.records.paths import RunFiles, prepare_results_folder
from study.records.run import RunMetrics, read_metrics, read_record
from study.records.settings import StudySettings, load_settings
from study.retraining.runs import Engine, plan_run
from study.stages.data import load_data
from study.stages.machine import choose_device
from study.stages.request import Request
from study.stages.session import new_settings
from study.training.config import build_model, known_keys, training_config
from study.training.loop import TrainingData, choose_precision

EPOCHS = 5.0  # where no study says how long
NO_TRIAL = -1  # the number in the records of a configuration that no search has tried


@dataclass(frozen=True, slots=True)
class Trained:
    """A training that ended: its folder, its metrics, the examples it saw, whether it was there before, and the study's
    finalist of its family, with the examples of its runs, if there is one."""

    run: RunFiles
    family: str
    metrics: RunMetrics
    examples: int
    was_there: bool
    finalist: Candidate | None


def read_configuration(path: Path) -> dict[str, Any]:
    """A whole configuration from a flat TOML file, as `study show` prints it, or the part [config] of a run's
    config.toml. ConfigError names the file and what is wrong."""
    try:
        found = tomllib.loads(read_text(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); expected a configuration in TOML") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML ({error}); correct the file") from None
    config = dict(found.get("config", found))
    try:
        _check(config)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return config


def _check(config: Mapping[str, Any]) -> None:
    family = config.get("family")
    family_of(family)
    if odd := sorted(config.keys() - known_keys(str(family))):
        raise ConfigError(
            f"unknown key {odd[0]!r}: a configuration has fixed values, a search space is for `study run`"
        )
    training_config(config)
    with torch.device("meta"):
        build_model(config, 2)


def train_one(request: Request, path: Path, seed: int, epochs: float | None, say: Callable[[str], None]) -> Trained:
    """Train what the file says under a seed, on the training part, and validate it; each mark is told to `say`. The
    same again says what came of it; another training of that name is moved to `trained/old`. ConfigError for a file
    that is no configuration, and for one that cannot be trained.
    """
    config, files = read_configuration(path), request.files
    stored = load_settings(files.settings) if files.exists() else None
    data, described, notes = load_data(request, stored, keeps=stored is not None)
    for note in notes:
        say(f"note: {note}")
    settings = stored or new_settings(request, files, described, 1, (config["family"],))
    settings = settings.model_copy(update={"dataset": described})
    device = choose_device(request.device)
    torch.set_num_threads(1)  # as a study's workers have it: the same again gives the same
    engine = Engine(str(device), choose_precision(device), threads=1)
    found = read_finalists(files.finalists).of(config["family"]) if files.finalists.is_file() else FamilyResult()
    wanted = _examples(epochs, settings, found.examples)
    run = files.trained(f"{path.stem}-seed{seed}")
    job = plan_run(
        run,
        settings,
        engine,
        config,
        wanted,
        family=config["family"],
        trial=NO_TRIAL,
        role="trained",
        seed=seed,
        seed_index=0,
    )
    if job is not None:
        _train(job, run, data.to(device), engine, say)
    examples = read_record(run).examples
    return Trained(run, config["family"], read_metrics(run), examples, job is None, found.chosen)


def _examples(epochs: float | None, settings: StudySettings, of_study: int | None) -> int:
    if epochs is None and of_study is not None:
        return of_study
    return round((EPOCHS if epochs is None else epochs) * settings.dataset.n_train)


def _train(job: Job, run: RunFiles, data: TrainingData, engine: Engine, say: Callable[[str], None]) -> None:
    prepare_results_folder(run.root)
    assert job.run is not None
    total = job.run.record.examples

    def at_mark(examples: int, metrics: RungMetrics) -> bool:
        seen = metrics.validation
        accuracy = "" if seen is None else f"  {100 * seen.accuracy:.2f} % on validation"
        say(f"  {examples:,} of {total:,} examples{accuracy}")
        return True

    try:
        train(job, at_mark, data=data, precision=engine.precision)
    except RunFailedError as error:
        raise ConfigError(f"the training failed: {error}") from None
