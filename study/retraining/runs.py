"""One run of a retraining: what identifies it, and the job that trains it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from study.execution.jobs import Job, RunTarget
from study.records.paths import RunFiles
from study.records.settings import StudySettings
from study.training.checkpoint import is_done, run_hash
from study.training.loop import DataPart, Precision, Schedule

_MOST_REPORTS = 50  # of a run: validating 200 epochs of an MLP one by one would cost a tenth of its time


@dataclass(frozen=True)
class Engine:
    """On what the runs are trained, for their records."""

    device: str
    precision: Precision
    threads: int


RunLengths = Mapping[str, Sequence[int]]  # by family: examples of each candidate's runs, in the candidates' order


@dataclass(frozen=True)
class RunAbout:
    """What a run is: whose configuration, in which role, under which seed, on which part of the training file."""

    family: str
    trial: int
    role: str
    seed: int
    seed_index: int
    data_part: DataPart


def plan_run(
    run: RunFiles, settings: StudySettings, engine: Engine, about: RunAbout, config: Mapping[str, Any], examples: int
) -> Job | None:
    """The job that trains `config` for about `examples` into the folder of `run`; None if that very run is done."""
    config, dataset = dict(config), settings.dataset
    steps = max(1, round(examples / config["batch_size"]))
    epoch = dataset.n_train + (dataset.n_validation if about.data_part == "train+validation" else 0)
    schedule = Schedule.whole(steps, max(1, round(epoch / config["batch_size"]), math.ceil(steps / _MOST_REPORTS)))
    identity = {
        "config": config,
        "part": about.data_part,
        "seed": about.seed,
        "cycles": list(schedule.cycles),
        "dataset": dataset.sha256,
        "split": dataset.split_sha256,
    }
    digest = run_hash(identity)
    if is_done(run, digest):
        return None
    record = {
        **asdict(about),
        "examples": steps * config["batch_size"],
        "steps": steps,
        "n_classes": len(dataset.classes),
        "mean": dataset.mean,
        "std": dataset.std,
        **asdict(engine),
    }
    return Job(run.root.name, config, about.seed, schedule, about.data_part, RunTarget(str(run.root), digest, record))
