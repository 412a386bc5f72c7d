"""The retrain stage of one search: its candidates, how long their runs are, its finalists."""

from __future__ import annotations

from functools import partial

from study.dashboard.artifacts import keep
from study.dashboard.publisher import note_on_retraining
from study.dashboard.watch import RetrainWatch
from study.records.made_of import digest_of_trials
from study.records.trial import read_trials
from study.retraining.finalists import Retraining
from study.search.identity import owner_of
from study.stages.one_search import OneSearch
from study.stages.run_plan import hands_over_found, plan_runs, trains_given_beside
from study.stages.standing import finalists_stand


def retrain_candidates(one: OneSearch) -> None:
    """Train candidates and finalists; finalists.json is written whole at the end. Runs that are there are kept."""
    one.let_others_begin()  # where no search came before
    if one.is_done("retrain") and finalists_stand(one.session.files) and hands_over_found(one):
        return
    session = one.session
    with session.ledger.stage("retrain"):
        storage = one.storage  # first of all, since it decides under which name and identity the study goes on
        plan = plan_runs(one, read_trials(session.files.trials_jsonl))
        if plan.note is not None:
            one.progress.say(f"note: {plan.note}")
        session.allow_retraining(plan.retrain)
        watch = RetrainWatch(
            session.settings.name,
            storage,
            one.lock.guarded,
            owner_of(session.settings),
            [trial for chosen in plan.candidates.values() for trial in chosen],
            partial(keep, session.files, session.settings.dataset.classes, session.validation_images),
        )
        retraining = Retraining(
            session.files,
            session.settings,
            plan.candidates,
            plan.lengths,
            one.engine,
            watch,
            found_only=trains_given_beside(one),
        )

        executor = one.executor

        def observe(retraining: Retraining, run: str | None) -> None:
            one.nodes.look(executor.nodes())
            session.ledger.tick()
            one.progress.retrain(retraining, run)

        retraining.run(executor, observe)
        session.ledger.failed_runs = retraining.failed
        found = retraining.save(trials=digest_of_trials(session.files.trials_jsonl))
        images = {name: family.ladder.images for name, family in session.settings.families.items()}
        note_on_retraining(storage, session.files, found, images)
    one.mark_done("retrain")
