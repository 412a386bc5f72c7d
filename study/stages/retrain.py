"""The retrain stage of one search: its candidates, how long their runs are, its finalists."""

from __future__ import annotations

from study.records.made_of import digest_of_trials
from study.records.trial import read_trials
from study.report.wording import count, flag_value
from study.retraining.finalists import Retraining
from study.search.identity import owner_of
from study.search.publisher import note_on_retraining
from study.search.watch import RetrainWatch
from study.stages import plan as planner
from study.stages.one_search import OneSearch
from study.stages.run_plan import plan_runs, planned_runs
from study.stages.standing import finalists_stand


def retrain_candidates(one: OneSearch) -> None:
    """Train candidates and finalists; finalists.json is written whole at the end. Runs that are there are kept."""
    if one.is_done("retrain") and finalists_stand(one.session.files):
        return
    session = one.session
    with session.ledger.stage("retrain"):
        storage = one.storage  # first of all, since it decides under which name and identity the study goes on
        plan = plan_runs(one, read_trials(session.files.trials_jsonl))
        if plan.note is not None:
            one.progress.say(f"note: {plan.note}")
        session.allow_retraining(plan.retrain)
        watch = RetrainWatch(session.settings.name, storage, one.lock.guarded, owner_of(session.settings))
        retraining = Retraining(session.files, session.settings, plan.candidates, plan.lengths, one.engine, watch)

        def observe(retraining: Retraining, run: str | None) -> None:
            session.ledger.tick()
            one.progress.retrain(retraining, run)

        retraining.run(one.workers.executor, observe)
        session.ledger.failed_runs = retraining.failed
        found = retraining.save(trials=digest_of_trials(session.files.trials_jsonl))
        note_on_retraining(storage, session.files, found)
    one.mark_done("retrain")


def no_verdict(one: OneSearch) -> str | None:
    """In words that the goal plans one seed per finalist, too few for a verdict; None if it plans more."""
    budget, planned = one.goal.share, planned_runs(one)
    if budget is None or planned.final_seeds > 1:
        return None
    runs = f"{count(planned.candidates, 'candidate')} and one seed per family"
    enough = flag_value(planner.VERDICT_BUDGET * one.n_searches)
    per_search = " per search" if one.n_searches > 1 else ""
    return (
        f"a budget of {budget:.0f} s{per_search} plans {runs}: the test split will be opened without a verdict; "
        f"--budget {enough} plans one, --no-evaluate keeps the split sealed"
    )
