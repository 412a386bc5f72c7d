"""The retrain stage of one search: its candidates, how long their runs are, its finalists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from study.config import Ladder, RetrainSettings
from study.dashboard import note_on_retraining
from study.errors import StudyError
from study.evaluation.candidates import choose_candidates
from study.evaluation.finalists import Retraining, RunLengths, fingerprint
from study.machine import core_share
from study.made_of import digest_of_trials
from study.one_search import OneSearch
from study.report.wording import count, flag_value
from study.results import read_jsonl
from study.search import planner
from study.search.identity import owner_of
from study.search.probe import run_speeds
from study.search.watch import RetrainWatch
from study.session import Session
from study.standing import finalists_stand

_TIMELESS_RUN = 3  # times the top rung: a final run's length when no budget says
# Of the fall of the error in the search, what a faster network is credited with for its longer runs. At 60 s the MLP's
# finalist had 98.54 % with none of it, 98.99 with half, 98.86 with all (validation, benchmarks/candidates.py).
_SPEED_SHARE = 0.5
Candidates = dict[str, list[Mapping[str, Any]]]


def retrain_candidates(one: OneSearch) -> None:
    """Train candidates and finalists; finalists.json is written whole at the end. Runs that are there are kept."""
    if one.is_done("retrain") and finalists_stand(one.session.files):
        return
    session = one.session
    with session.ledger.stage("retrain"):
        storage = one.storage  # first of all, since it decides under which name and identity the study goes on
        session.allow_retraining(planned_runs(one))
        candidates = _candidates(session, speed_share=0.0 if one.goal["budget_s"] is None else _SPEED_SHARE)
        lengths = _run_lengths(one, candidates)
        watch = RetrainWatch(session.settings.name, storage, one.lock.guarded, owner_of(session.settings))
        retraining = Retraining(session.files, session.settings, candidates, lengths, one.engine, watch)

        def observe(retraining: Retraining, run: str | None) -> None:
            session.ledger.tick()
            one.progress.retrain(retraining, run)

        retraining.run(one.workers.executor, observe)
        found = retraining.save(trials=digest_of_trials(read_jsonl(session.files.trials_jsonl)))
        note_on_retraining(storage, session.files, found)
    one.mark_done("retrain")


def planned_runs(one: OneSearch) -> RetrainSettings:
    """How many candidates and seeds the goal plans, and the study has: never fewer than before."""
    session = one.session
    wanted = planner.retrain_settings(one.goal["budget_s"], session.n_at_once, len(session.families))
    return planner.at_least(session.settings.retrain, wanted)


def no_verdict(one: OneSearch) -> str | None:
    """In words that the goal plans one seed per finalist, too few for a verdict; None if it plans more."""
    budget, planned = one.goal["budget_s"], planned_runs(one)
    if budget is None or planned.final_seeds > 1:
        return None
    runs = f"{count(planned.candidates, 'candidate')} and one seed per family"
    enough = flag_value(planner.VERDICT_BUDGET * one.n_searches)
    per_search = " per search" if one.n_searches > 1 else ""
    return (
        f"a budget of {budget:.0f} s{per_search} plans {runs}: the test split will be opened without a verdict; "
        f"--budget {enough} plans one, --no-evaluate keeps the split sealed"
    )


def _candidates(session: Session, *, speed_share: float) -> Candidates:
    records = [record for record in read_jsonl(session.files.trials_jsonl) if record["counted"]]
    found = choose_candidates(records, session.settings.retrain.candidates, speed_share=speed_share)
    chosen = {family: found[family] for family in session.settings.families if family in found}
    if not chosen:
        raise StudyError(
            f"{session.files.root}: no trial reached a rung, so there is nothing to retrain; {_why(records)}"
        )
    return chosen


def _why(records: Sequence[Mapping[str, Any]]) -> str:
    """Of a search without a candidate: how each family failed last, or that it was too short."""
    last = {record["family"]: record["reason"] for record in records if record["state"] == "FAIL"}
    if not last:
        return "search longer with a larger --budget or --n-trials"
    told = "; ".join(f"{family} failed: {reason}" for family, reason in last.items())
    return f"{told}; mend the cause, or start another study (--name) with other search spaces"


# --- lengths of the runs -------------------------------------------------------------------------------------------


def _run_lengths(one: OneSearch, candidates: Candidates) -> RunLengths:
    """Examples of each candidate's runs. A killed retraining continues with the lengths that it had."""
    session, budget = one.session, one.goal["budget_s"]
    plan = session.ledger.data.get("plan")
    if plan and plan["goal"] == one.goal and plan["runs"].keys() == candidates.keys():
        lengths: RunLengths = {family: run.get("examples", ()) for family, run in plan["runs"].items()}
        if fingerprint(candidates, lengths) == plan["runs"]:
            return lengths
    if budget is None:
        seconds, lengths = None, _timeless_lengths(session, candidates)
    else:
        costs = _run_costs(one, candidates)
        seconds = _retrain_seconds(one, budget)
        lengths = planner.plan_retraining(costs, seconds, session.n_workers, session.settings.dataset.n_train)
    session.ledger.data["plan"] = {"goal": one.goal, "runs": fingerprint(candidates, lengths), "seconds": seconds}
    session.ledger.save()
    return lengths


def _timeless_lengths(session: Session, candidates: Candidates) -> RunLengths:
    """The same for every candidate of a family: nothing may depend on a clock."""
    ladders: dict[str, Ladder] = {name: family.ladder for name, family in session.settings.families.items()}
    return {
        family: [_TIMELESS_RUN * ladders[family].examples[-1]] * len(chosen) for family, chosen in candidates.items()
    }


def _retrain_seconds(one: OneSearch, budget: float) -> float:
    """Wall-clock of the runs; for a repeat as much as the first search had, at most."""
    closing = planner.report_seconds(budget, core_share()) + planner.examine_seconds(budget)
    left = one.session.ledger.left(budget) - closing
    first = None if one.first is None else one.first.session.ledger.data.get("plan", {}).get("seconds")
    return max(1.0, left if first is None else min(left, first))


def _run_costs(one: OneSearch, candidates: Candidates) -> dict[str, planner.RunCost]:
    """What the runs will cost: as in the search, or measured afresh where fewer run at once and each is faster."""
    retrain = one.session.settings.retrain
    costs = {family: planner.run_cost(chosen, retrain) for family, chosen in candidates.items()}
    configs = [record["config"] for chosen in candidates.values() for record in chosen]
    if len(configs) * retrain.candidate_seeds >= one.session.n_workers:
        return costs
    repeated = [config for config in configs for _ in range(retrain.candidate_seeds)]
    speeds = [speed.examples_per_second for speed in run_speeds(one.workers.executor, repeated)]
    measured = iter(speeds[:: retrain.candidate_seeds])
    # What could not be measured here, its trial has shown.
    return {
        family: replace(cost, speeds=[next(measured) or in_search for in_search in cost.speeds])
        for family, cost in costs.items()
    }
