"""A study as its dashboard shows it: trials of each way to end, candidates and final runs with their pictures."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution, FloatDistribution, distribution_to_json
from optuna.storages import RDBStorage
from runs import candidate, family_result, finalists, history_row, run_metrics, run_record
from trials import trial

from study.dashboard.artifacts import keep
from study.dashboard.publisher import note_on_retraining
from study.dashboard.watch import RetrainWatch
from study.execution.jobs import Finished, Job, RungMetrics, RunTarget, Validation
from study.records.files import write_json
from study.records.paths import StudyFiles
from study.records.run import RunRole, read_metrics, write_run
from study.records.trial import TrialRecord
from study.search.agreement import trial_of
from study.search.storage import open_study, transaction
from study.search.tables import insert_trials
from study.training.schedule import Schedule

CLASSES = [str(n) for n in range(10)]
RANGES = {"rate": FloatDistribution(1e-3, 1.0, log=True), "kind": CategoricalDistribution(["a", "b"])}
ENDINGS = ("COMPLETE", "PRUNED", "COMPLETE", "FAIL", "COMPLETE")


def searched(family: str, number: int) -> TrialRecord:
    parameters = {"rate": 0.01 * (number + 1), "kind": "ab"[number % 2]}
    return trial(
        number,
        0.8 + 0.02 * number,
        family=family,
        state=ENDINGS[number],
        reason={"PRUNED": "pruned at 900 examples", "FAIL": "out of memory"}.get(ENDINGS[number]),
        parameters=parameters,
        config={"family": family, **parameters},
        distributions={name: distribution_to_json(distribution) for name, distribution in RANGES.items()},
        rungs=trial(0).rungs,
    )


def write_shown(files: StudyFiles, storage: RDBStorage, families: Sequence[str], *, live: bool) -> None:
    """A study named as its folder; a live one has a trial in each study that is training, and no report."""
    for family in families:
        _write_search(storage, f"{files.name}/{family}", family, live=live)
    watch = _watch(files, storage, families)
    roles: tuple[RunRole, ...] = ("candidate", "final")
    for family in families:
        for role in roles:
            _train(files, watch, family, role)
    if live:
        for role in roles:
            watch.begin(_job(files, families[0], role, "seed1"))
    else:
        _write_what_came_of_it(files, storage, families)


def _write_search(storage: RDBStorage, name: str, family: str, *, live: bool) -> None:
    stored = open_study(storage, name, "accuracy", "maximize")
    with transaction(storage) as connection:
        trials = [trial_of(searched(family, number), 2) for number in range(len(ENDINGS))]
        insert_trials(connection, stored._study_id, trials)
    if live:
        running = stored.ask(dict(RANGES))
        running.set_user_attr("config", {"family": family, "rate": 0.5})
        running.report(0.7, 100)


def _watch(files: StudyFiles, storage: RDBStorage, families: Sequence[str]) -> RetrainWatch:
    def images(places: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.full((len(places), 28, 28), 200, dtype=np.uint8)

    found = [searched(family, 4) for family in families]
    kept = functools.partial(keep, files, CLASSES, images)
    return RetrainWatch(files.name, storage, trials=found, keep=kept)


def _job(files: StudyFiles, family: str, role: RunRole, seed: str = "seed0") -> Job:
    name = f"{family}-{'t4' if role == 'candidate' else 'final'}-{seed}"
    part: Any = "train" if role == "candidate" else "train+validation"
    record = run_record(family=family, trial=4, role=role, data_part=part)
    return Job(name, {}, 5, Schedule((2,), (1, 2)), part, RunTarget(str(files.run(name).root), "digest", record))


def _train(files: StudyFiles, watch: RetrainWatch, family: str, role: RunRole) -> None:
    job = _job(files, family, role)
    assert job.run is not None
    watch.begin(job)
    validation = Validation(0.9, 0.4, 0.3, 1.1) if role == "candidate" else None
    for examples in (200, 400):
        watch.report(job, examples, RungMetrics(1.0, 0.1, 1.0, validation))
    labels = np.arange(50) % 10
    accuracies = [None if role == "final" else value for value in (0.8, 0.9)]
    write_run(
        files.run(job.id),
        job.run.record,
        {"family": family, "rate": 0.05},
        [history_row(examples=200 * (n + 1), validation_accuracy=value) for n, value in enumerate(accuracies)],
        run_metrics(accuracy=accuracies[-1]),
        validation=(np.eye(10, dtype=np.float32)[(labels + (labels > 7)) % 10], labels) if accuracies[-1] else None,
        save_weights=Path.touch,
        digest="x",
    )
    watch.end(Finished(job, 0, 1.0, None), read_metrics(files.run(job.id)))


def _write_what_came_of_it(files: StudyFiles, storage: RDBStorage, families: Sequence[str]) -> None:
    rows = {
        family: family_result(candidate(4, family=family), final_runs=(f"{family}-final-seed0",)) for family in families
    }
    note_on_retraining(storage, files, finalists(**rows), dict.fromkeys(rows))
    write_json(files.report_json, {"findings": {"answer": "No verdict between them."}})
    files.report_html.write_text("<!doctype html><title>Report</title>The whole report", encoding="utf-8")
    files.model.mkdir(exist_ok=True)
    files.model_card.write_text("# The model", encoding="utf-8")
