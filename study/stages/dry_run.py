"""What `study run` would do now, without doing it: nothing of the study is locked, and nothing is written.

The ladders of new families depend on how fast this machine trains them, which is measured as the run itself does, for a
second. What follows is planned from there with the networks' speeds of now; the run plans each stage anew when it comes
to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from study.records.ledger import Goal, read_ledger
from study.records.openings import openings_file
from study.records.paths import StudyFiles
from study.records.settings import Equal, FamilySettings, RetrainSettings
from study.records.trial import read_trials
from study.report.page import report_stands
from study.search.storage import is_own, storage_url, without_password
from study.stages import plan as planner
from study.stages.all import Stages
from study.stages.allowance import allowances, lent_seconds, n_owed, speeds_of
from study.stages.last_stage_plan import last_stage_seconds
from study.stages.repeats import seed_of_repeat
from study.stages.run_plan import n_side_by_side, planned_runs, trains_given_beside
from study.stages.search import new_families

TestSplit = Literal["stays closed", "is opened", "may be opened again", "stays as it was read"]


@dataclass(frozen=True, slots=True)
class FamilyAhead:
    """`rungs` in examples, or in the seconds that a typical configuration takes for these; trials learn from so many
    `images`, None for all. `examples_per_second` is None where nothing depends on it; `examples_per_run` of a candidate
    of this speed in a retraining, about."""

    name: str
    is_new: bool
    trials: int
    rungs: tuple[int, ...]
    equal: Equal
    images: int | None
    reduction_factor: int
    examples_per_second: float | None
    examples_per_run: int | None


@dataclass(frozen=True, slots=True)
class SearchAhead:
    """`allowance` is seconds that a worker may hold trials of each family, those before this command included."""

    number: int
    folder: str
    seed: int
    allowance: float | None


@dataclass(frozen=True, slots=True)
class StageAhead:
    """`search` is None of a stage for all searches at once; `seconds` of wall-clock are None where no budget plans
    them; `writes` are paths."""

    name: str
    search: int | None
    is_done: bool
    seconds: float | None
    writes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DryRun:
    """The plan of a command that would run all stages from now on. `storage` is the URL of a database other than the
    study's own file, without its password."""

    study: str
    exists: bool
    is_complete: bool
    goal: Goal
    seconds_used: float
    workers: int
    storage: str | None
    split_seed: int
    families: tuple[FamilyAhead, ...]
    searches: tuple[SearchAhead, ...]
    retrain: RetrainSettings
    test_split: TestSplit
    stages: tuple[StageAhead, ...]
    notes: tuple[str, ...]


def dry_run(stages: Stages, *, evaluate: bool) -> DryRun:
    """What a command would do that began now: what is there is read, and nothing is written."""
    session, one = stages.session, stages.first
    notes = [*session.warnings, stages.settle_for_what_helps()]
    complete = stages.is_complete(evaluate=evaluate)
    if evaluate and not complete:
        notes += [stages.no_verdict(), stages.sees_little(), stages.may_open_again()]
    families = _families(stages)
    return DryRun(
        study=session.settings.name,
        exists=session.files.exists(),
        is_complete=complete,
        goal=one.goal,
        seconds_used=round(session.ledger.used_before, 1),
        workers=session.n_workers,
        storage=_storage(stages),
        split_seed=session.settings.dataset.split_seed,
        families=families,
        searches=tuple(_searches(stages)),
        retrain=planned_runs(one),
        test_split=_test_split(stages, evaluate=evaluate),
        stages=tuple(_stages_ahead(stages, evaluate=evaluate)),
        notes=tuple(note for note in notes if note is not None),
    )


# --- families and searches -----------------------------------------------------------------------------------------


def _families(stages: Stages) -> tuple[FamilyAhead, ...]:
    one, stored = stages.first, stages.session.settings.families
    added, measured = new_families(one) if stages.session.new_spaces else ({}, {})
    known: Mapping[str, FamilySettings] = {**stored, **added}
    speeds = {**speeds_of(one), **measured}
    lengths, trials = _run_lengths(stages, known, speeds), read_trials(stages.session.files.trials_jsonl)
    return tuple(
        FamilyAhead(
            name=name,
            is_new=name in added,
            trials=len(stages.session.settings.of_search(trials.of(name)).counted),
            rungs=family.ladder.examples,
            equal=family.ladder.equal,
            images=family.ladder.images,
            reduction_factor=family.ladder.reduction_factor,
            examples_per_second=None if name not in speeds else round(speeds[name]),
            examples_per_run=lengths.get(name),
        )
        for name, family in known.items()
    )


def _run_lengths(stages: Stages, families: Mapping[str, FamilySettings], speeds: Mapping[str, float]) -> dict[str, int]:
    """Examples of a run by family, of candidates as fast as the family."""
    one, seconds = stages.first, _retrain_seconds(stages, 1)
    if seconds is None:
        return {name: planner.TIMELESS_RUN * family.ladder.examples[-1] for name, family in families.items()}
    if families.keys() - speeds.keys():
        return {}
    retrain = planned_runs(one)
    n = {name: retrain.candidates + given for name, given in _beside_ahead(stages).items()}
    costs = {
        name: planner.RunCost([speeds[name]] * n[name], retrain.candidate_seeds, retrain.final_seeds)
        for name in families
    }
    n_train, at_once = stages.session.settings.dataset.n_train, n_side_by_side(one)
    lengths = planner.run_lengths(costs, seconds * at_once, stages.session.n_workers // at_once, n_train)
    return {name: of_runs[0] for name, of_runs in lengths.items()}


def _plan(stages: Stages, number: int) -> planner.SearchPlan:
    """Of one search, whose ledger is the study's own or that of its folder."""
    if number == 1:
        one = stages.first
        return one.plan.lending(lent_seconds(one, read_trials(one.session.files.trials_jsonl)))
    ledger = read_ledger(stages.folders[number - 1].ledger)
    return replace(stages.first.plan, used=planner.Used.of(ledger))


def _retrain_seconds(stages: Stages, number: int) -> float | None:
    """As the run will have them once the search has taken its part; a repeat has no more than the first search."""
    seconds = _plan(stages, number).after_whole_search().retrain_seconds()
    if seconds is None:
        return None
    beside = _beside_ahead(stages)
    n_beside = sum(beside.values()) / max(1, len(beside))
    parts = planner.parts_of_runs(planned_runs(stages.first), len(stages.folders), n_beside=n_beside)
    if number == 1:
        return seconds * parts.first
    return min(seconds, (_retrain_seconds(stages, 1) or seconds) / parts.first) * parts.further


def _beside_ahead(stages: Stages) -> Mapping[str, int]:
    """How many configurations of each family will be trained again beside what is found: each given one from a file,
    the best of the others, and the first that is drawn."""
    one, trials = stages.first, read_trials(stages.session.files.trials_jsonl).counted
    files, owed = Counter(known.family for known in stages.session.settings.given_files), n_owed(one, trials)
    others = {trial.family for trial in trials.given if trial.role != "given_file"}
    others |= {family for family, n in owed.items() if n > files[family]}
    beside = trains_given_beside(one)
    return {
        family: beside * (files[family] + (family in others) + 1)
        for family in dict.fromkeys([*stages.session.settings.families, *owed])
    }


def _searches(stages: Stages) -> Iterator[SearchAhead]:
    one, settings, first = stages.first, stages.session.settings, None
    for number, files in enumerate(stages.folders, 1):
        trials = read_trials(files.trials_jsonl)
        if number == 1:
            allowance = first = allowances(one, trials).found
        else:
            spent = {family: trials.of(family).held_seconds for family in one.goal.families}
            allowance = _plan(stages, number).allowance(spent, stages.session.n_workers, first)
        seed = settings.seed if number == 1 else seed_of_repeat(settings, number)
        yield SearchAhead(number, str(files.root), seed, allowance if allowance is None else round(allowance, 1))


# --- stages --------------------------------------------------------------------------------------------------------


def _stages_ahead(stages: Stages, *, evaluate: bool) -> Iterator[StageAhead]:
    for number, files in enumerate(stages.folders, 1):
        own = stages.session.ledger if number == 1 else read_ledger(files.ledger)
        is_searched = own.has_reached("search", stages.first.goal) and files.trials_csv.is_file()
        wall = _plan(stages, number).search_wall
        yield _stage("search", number, is_searched, wall, _of_search(stages, files, number))
        retraining = _retrain_seconds(stages, number)
        yield _stage("retrain", number, stages.is_searched(files), retraining, _of_retraining(files, number))
    goal, files = stages.first.goal, stages.session.files
    half = None if goal.budget is None else 0.5 * planner.report_seconds(goal.budget)
    seconds = None if goal.budget is None else last_stage_seconds(goal.budget)
    if stages.session.settings.last_stage and seconds != 0:
        done = _all_searched(stages) and stages.has_last_stage()
        yield _stage("last stage", None, done, seconds, [files.last_stage, files.runs])
    if evaluate:
        examination = planner.examine_seconds(goal.budget)
        evaluated = _all_searched(stages) and stages.is_evaluated()
        written = [files.predictions, files.candidate_predictions, files.duplicates, files.seal, openings_file()]
        written.append(files.model)
        yield _stage("evaluate", None, evaluated, half, written)
        yield _stage("examine", None, evaluated, examination, [files.test])
    done = _all_searched(stages) and report_stands(files)
    yield _stage("report", None, done, half, [files.report_json, files.report_html])


def _stage(name: str, search: int | None, is_done: bool, seconds: float | None, writes: list[Path]) -> StageAhead:
    if is_done:
        return StageAhead(name, search, True, 0.0, ())
    return StageAhead(name, search, False, None if seconds is None else round(seconds, 1), tuple(map(str, writes)))


def _of_search(stages: Stages, files: StudyFiles, number: int) -> list[Path]:
    own = [files.database] if _storage(stages) is None else []
    samples = [files.samples] if number == 1 else []
    copied = [files.pictures] if number == 1 and stages.session.settings.dataset.decoded is not None else []
    return [files.settings, *copied, files.ledger, *samples, *own, files.trials_jsonl, files.trials_csv]


def _of_retraining(files: StudyFiles, number: int) -> list[Path]:
    return [files.runs, files.finalists, *([files.model] if number == 1 else [])]


def _all_searched(stages: Stages) -> bool:
    return all(stages.is_searched(folder) for folder in stages.folders)


def _test_split(stages: Stages, *, evaluate: bool) -> TestSplit:
    if not evaluate:
        return "stays closed"
    if not stages.session.files.seal.is_file():
        return "is opened"
    stays = _all_searched(stages) and stages.has_last_stage()
    return "stays as it was read" if stays else "may be opened again"


def _storage(stages: Stages) -> str | None:
    session = stages.session
    url = storage_url(session.files, session.request.storage)
    return None if is_own(session.files, url) else without_password(url)
