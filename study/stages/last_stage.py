"""The last stage: a longer run of what validation chose, trained before the test split is opened, judged on validation
images, and shipped by a rule that was there before it (`records/last_stage.py`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch

from study.data.augment import to_float
from study.errors import ResultsError
from study.evaluation.corruptions import LADDER, corrupted
from study.evaluation.test_set import load_run, logits_of, one_thread
from study.execution.jobs import Finished, Job, Report
from study.records.finalists import Choice, Finalists, choose
from study.records.last_stage import Judged, LastStage, read_last_stage, shipped_by, write_last_stage
from study.records.paths import StudyFiles
from study.records.predictions import read_validation
from study.records.run import lacking, read_run
from study.records.seal import file_sha256
from study.retraining.last_stage import plan_last_stage
from study.retraining.train_all import train_all
from study.stages.held_out import part_of
from study.stages.last_stage_plan import LEAST_BUDGET, last_stage_examples, last_stage_seconds
from study.stages.one_search import OneSearch
from study.stages.plan import MOST_EPOCHS
from study.training.loop import TrainingData

_PER_LEVEL = 50  # validation images at each strength of each corruption


def last_stage_stands(one: OneSearch, searches: Sequence[StudyFiles], finalists: Sequence[Finalists]) -> bool:
    """Whether what validation chose has had its last stage, or cannot have one with this goal."""
    if not one.session.settings.last_stage:
        return True
    stage = shipped_by(searches, finalists).stage
    if stage is None:
        return False
    if stage.skipped is not None:
        failed = stage.examples > 0
        return (
            failed or stage.budget == one.goal.budget or not _planned(one, searches, choose(finalists), stage.candidate)
        )
    source = searches[stage.search]
    return stage.judged is not None and not any(lacking(source.run(run)) for run in stage.runs)


def train_last_stage(
    one: OneSearch, searches: Sequence[StudyFiles], finalists: Sequence[Finalists], after: float | None
) -> None:
    """Give what validation chose its last stage, unless it stands, and write `last_stage.json`. `one` is the study's
    first search; `after` are the seconds of what follows."""
    if last_stage_stands(one, searches, finalists):
        return
    with one.session.ledger.stage("last stage"):
        stage = _begun(one, searches, finalists)
        if stage.skipped is None:
            one.progress.stage("last stage", last_stage_seconds(one.goal.budget) or None, after)
            write_last_stage(one.session.files.last_stage, stage)  # cut short, it goes on with as many examples
            stage = _trained(one, searches[stage.search], stage)
        write_last_stage(one.session.files.last_stage, stage)


def _begun(one: OneSearch, searches: Sequence[StudyFiles], finalists: Sequence[Finalists]) -> LastStage:
    """The stage as it is planned, or was."""
    chosen = choose(finalists)
    source = searches[chosen.search]
    known = read_last_stage(one.session.files.last_stage)
    if known is not None and known.goes_on and shipped_by(searches, finalists).stage == known:
        return known
    candidate = finalists[chosen.search].of(chosen.family).candidate(chosen.trial)
    assert candidate is not None  # validation chose it
    judged_by = candidate.runs[0]
    examples = _planned(one, searches, chosen, judged_by)
    return LastStage(
        search=chosen.search,
        family=chosen.family,
        trial=chosen.trial,
        of=chosen.run,
        sha256=file_sha256(source.run(chosen.run).weights),
        candidate=judged_by,
        examples=examples,
        skipped=None if examples else _why(one, source, chosen),
        budget=one.goal.budget,
        anew=True,
    )


def _planned(one: OneSearch, searches: Sequence[StudyFiles], chosen: Choice, candidate: str) -> int:
    """Examples of the stage, 0 where there is no time for one worth its name."""
    run = read_run(searches[chosen.search].run(chosen.run))
    n_trainings = len({chosen.run, candidate})
    rounds = math.ceil(n_trainings / one.session.n_at_once)
    seconds = run.metrics.training_seconds if run.metrics is not None else math.inf
    speed = run.record.examples / max(1e-3, seconds)
    most = MOST_EPOCHS * one.session.settings.dataset.n_train
    return last_stage_examples(one.goal.budget, run.record.examples, speed, rounds, most)


def _why(one: OneSearch, source: StudyFiles, chosen: Choice) -> str:
    budget = one.goal.budget
    if budget is not None and budget < LEAST_BUDGET:
        return f"it is made from a budget of {LEAST_BUDGET:.0f} s on"
    if last_stage_examples(None, read_run(source.run(chosen.run)).record.examples, 1.0, 1, math.inf):
        return "the budget leaves too few seconds for a longer run at this network's speed"
    return "the network learned for too short a time to say what a longer run would bring"


# --- training ------------------------------------------------------------------------------------------------------


def _trained(one: OneSearch, source: StudyFiles, stage: LastStage) -> LastStage:
    session, executor = one.session, one.workers.executor
    part = part_of(session.settings, session.data, stage.search + 1)  # which its candidate run has not seen
    settings = session.settings.model_copy(update={"dataset": part.dataset})
    engine = replace(one.engine, held_out=part.held_out)
    planned = (
        plan_last_stage(source, settings, engine, run, stage.examples)
        for run in dict.fromkeys([stage.candidate, stage.of])
    )
    jobs, failed = [job for job in planned if job is not None], list[str]()
    shares = {job.id: 0.0 for job in jobs}

    def tell(job: Job, share: float) -> None:
        shares[job.id] = share
        one.progress.step(f"{job.id}, a longer run", sum(shares.values()) / len(shares))

    def report(event: Report) -> None:
        assert event.job.run is not None  # as plan_run made it
        tell(event.job, event.examples / event.job.run.record.examples)

    def end(event: Finished) -> None:
        failed.extend([] if event.reason is None else [event.reason])

    waiting = iter(jobs)
    train_all(executor, lambda: next(waiting, None), on_report=report, on_end=end, tick=lambda: session.ledger.tick())
    if failed:
        return replace(stage, skipped=f"its training failed: {failed[0]}")
    return replace(stage, judged=_judged(source, stage, part.data))


# --- judging -------------------------------------------------------------------------------------------------------


def _judged(source: StudyFiles, stage: LastStage, data: TrainingData) -> Judged:
    before, after = (_right(source, run) for run in (stage.candidate, stage.judged_run))
    with one_thread(), ThreadPoolExecutor(2) as pool:
        worse, better = pool.map(lambda run: _corrupted(source, run, data), (stage.candidate, stage.judged_run))
    return Judged(
        images=len(before),
        before=float(before.mean()),
        after=float(after.mean()),
        mended=int((after & ~before).sum()),
        spoiled=int((before & ~after).sum()),
        corrupted=_PER_LEVEL * sum(len(one.levels) for one in LADDER),
        corrupted_before=worse,
        corrupted_after=better,
    )


def _right(source: StudyFiles, run: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which validation images a run reads rightly, [N]."""
    known = read_validation(source.run(run))
    if known is None:
        raise ResultsError(f"{source.run(run).validation} is missing; rerun `study retrain`")
    return np.asarray(known[0].argmax(axis=1) == known[1])


def _corrupted(source: StudyFiles, run: str, data: TrainingData) -> float:
    """Mean accuracy over the kinds of corruption, on validation images, other ones at each level while there are."""
    model, read = load_run(source.run(run))
    shown, rights = 0, []
    for kind in LADDER:
        of_levels = []
        for level in kind.levels:
            places = torch.arange(shown, shown + _PER_LEVEL) % len(data.validation)
            index = data.validation[places.to(data.validation.device)]
            x = corrupted(to_float(data.images[index].cpu()), kind, level)
            answers = logits_of(model, x, read.record).argmax(axis=1)
            of_levels.append(float((answers == data.labels[index].cpu().numpy()).mean()))
            shown += _PER_LEVEL
        rights.append(float(np.mean(of_levels)))
    return float(np.mean(rights))
