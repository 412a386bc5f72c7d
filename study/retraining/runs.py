"""One run of a retraining: what identifies it, and the job that trains it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.execution.jobs import Job, RunTarget
from study.records.paths import RunFiles
from study.records.run import DataPart, Precision, RunRecord, RunRole, is_done, run_hash
from study.records.settings import StudySettings
from study.training.schedule import HeldOut, Schedule

_MOST_REPORTS = 50  # of a run: validating 200 epochs of an MLP one by one would cost a tenth of its time


@dataclass(frozen=True)
class Engine:
    """On what the runs are trained, for their records, and what validates them where the workers' data have others."""

    device: str
    precision: Precision
    threads: int
    held_out: HeldOut | None = None


RunLengths = Mapping[str, Sequence[int]]  # by family: examples of each candidate's runs, in the candidates' order


def plan_run(
    run: RunFiles,
    settings: StudySettings,
    engine: Engine,
    config: Mapping[str, Any],
    examples: int,
    *,
    family: str,
    trial: int,
    role: RunRole,
    seed: int,
    seed_index: int,
    part: DataPart | None = None,
) -> Job | None:
    """The job that trains `config` for about `examples` into the folder of `run`, on `part` of the training file: where
    none is named, a final run on the validation images, too. None if that very run is done."""
    config, dataset = dict(config), settings.dataset
    part = part or ("train+validation" if role == "final" else "train")
    steps = max(1, round(examples / config["batch_size"]))
    epoch = dataset.n_train + (dataset.n_validation if part == "train+validation" else 0)
    schedule = Schedule.whole(steps, max(1, round(epoch / config["batch_size"]), math.ceil(steps / _MOST_REPORTS)))
    identity: dict[str, Any] = {
        "config": config,
        "part": part,
        "seed": seed,
        "cycles": list(schedule.cycles),
        "dataset": dataset.sha256,
        "split": dataset.split_sha256,
    }
    digest = run_hash(identity)
    if is_done(run, digest):
        return None
    record = RunRecord(
        family=family,
        trial=trial,
        role=role,
        seed=seed,
        seed_index=seed_index,
        data_part=part,
        examples=steps * config["batch_size"],
        steps=steps,
        n_classes=len(dataset.classes),
        mean=dataset.mean,
        std=dataset.std,
        device=engine.device,
        precision=engine.precision,
        threads=engine.threads,
        on_black=dataset.on_black,
    )
    target = RunTarget(str(run.root), digest, record)
    return Job(run.root.name, config, seed, schedule, part, target, engine.held_out)
