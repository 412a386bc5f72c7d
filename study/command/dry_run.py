"""`study run --dry-run`: the plan of a run as tables and sentences, or as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from study.command.console import print_answer, print_rows
from study.report.wording import count, duration
from study.stages.dry_run import DryRun, FamilyAhead, StageAhead


def print_plan(plan: DryRun, form: str) -> None:
    if form == "json":
        plain = {**asdict(plan), "goal": plan.goal.model_dump(), "retrain": plan.retrain.model_dump()}
        print_answer("run", {"dry_run": True, **plain})
        return
    print(_headline(plan))
    print_rows([_family_row(family, plan) for family in plan.families], title="families")
    if len(plan.searches) > 1:
        rows = [{"search": s.number, "seed": s.seed, "folder": s.folder} for s in plan.searches]
        print_rows(rows, title="searches")
    print_rows([_stage_row(stage) for stage in plan.stages], title="stages")
    print(*_sentences(plan), sep="\n")


def _headline(plan: DryRun) -> str:
    if plan.is_complete:
        return f"study '{plan.study}' is complete: the command would change nothing"
    return f"study '{plan.study}' {'would go on' if plan.exists else 'would begin'}; nothing was written"


def _rungs(family: FamilyAhead) -> str:
    images = "" if family.images is None else f", of {family.images:,} images"
    return ", ".join(f"{n:,}" for n in family.rungs) + images + " in equal seconds" * (family.equal == "seconds")


def _family_row(family: FamilyAhead, plan: DryRun) -> dict[str, object]:
    speed, run = family.examples_per_second, family.examples_per_run
    allowance = plan.searches[0].allowance
    return {
        "family": family.name,
        "trials so far": family.trials,
        "may spend": f"{plan.goal.n_trials} trials" if allowance is None else f"{max(allowance, 0):.0f} s of a worker",
        "rungs (examples)": _rungs(family),
        "one goes on of": family.reduction_factor,
        "examples/s": "–" if speed is None else f"{speed:,.0f}",
        "examples of a run, about": "–" if run is None else f"{run:,}",
    }


def _stage_row(stage: StageAhead) -> dict[str, object]:
    seconds = "done" if stage.is_done else "–" if stage.seconds is None else duration(stage.seconds)
    name = stage.name if stage.search is None else f"{stage.name}, search {stage.search}"
    return {"stage": name, "time, about": seconds, "writes": "\n".join(stage.writes) or "nothing"}


def _sentences(plan: DryRun) -> Iterator[str]:
    asked, retrain = plan.goal, plan.retrain
    limits = [] if asked.budget is None else [f"{duration(asked.budget)}, {plan.seconds_used:.0f} s of it used"]
    limits += [] if asked.n_trials is None else [f"{count(asked.n_trials, 'trial')} per family in each search"]
    yield f"asked: {' and '.join(limits)}; {count(len(plan.searches), 'search', 'searches')}"
    finals = f"{count(retrain.final_seeds, 'seed')} for the finalist" if retrain.final_seeds else "which are final, too"
    yield (
        f"retraining: {count(retrain.candidates, 'candidate')} per family with "
        f"{count(retrain.candidate_seeds, 'seed')} each, {finals}; study seed {plan.searches[0].seed}, split seed "
        f"{plan.split_seed}; {count(plan.workers, 'worker')}"
    )
    yield f"test split: {plan.test_split}"
    if any(family.is_new and family.examples_per_second is not None for family in plan.families):
        yield "the speeds of new families were measured now, for a second; the run measures them again for their rungs"
    yield from (f"note: {note}" for note in plan.notes)
