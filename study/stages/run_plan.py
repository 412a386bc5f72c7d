"""Which trials are trained again, how long and how often. A study that has finalists keeps them in the running: they
give way to better ones that were trained as long, and no later plan has shorter or fewer runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from study.errors import StudyError
from study.records.ledger import PlannedRuns, RetrainPlan
from study.records.made_of import digest_of_trials
from study.records.settings import RetrainSettings
from study.records.trial import TrialRecord, Trials, read_trials
from study.retraining.candidates import choose_beside, choose_candidates, choose_of_both
from study.retraining.runs import RunLengths
from study.space.points import identity
from study.stages import plan as planner
from study.stages.held import by_number, held_by, run_seconds
from study.stages.makespan import fits, wall_of_runs
from study.stages.one_search import OneSearch
from study.stages.speed import run_speeds

# Of the fall of the error in the search, what a faster network is credited with for its longer runs. At 60 s the MLP's
# finalist had 98.54 % with none of it, 98.99 with half, 98.86 with all (validation, benchmarks/candidates.py).
_SPEED_SHARE = 0.5
_LONGER = 1.1  # times a run's length: for less, no run that is there is trained anew
Candidates = dict[str, Trials]


@dataclass(frozen=True)
class RunPlan:
    """`seconds` is the wall-clock that the runs may take, None without a limit; `note` is for people."""

    candidates: Candidates
    lengths: RunLengths
    retrain: RetrainSettings
    seconds: float | None = None
    note: str | None = None


def plan_runs(one: OneSearch, trials: Trials) -> RunPlan:
    """The plan for the trials that count. A retraining that was cut short, or has lost a run, goes on with its own."""
    counted = trials.counted
    stored = _stored_plan(one, counted)
    if stored is not None:
        return stored
    plan = _Planner(one, counted).plan()
    one.session.ledger.plan = RetrainPlan(
        goal=one.goal,
        runs=_as_noted(plan),
        seconds=plan.seconds,
        trials=digest_of_trials(one.session.files.trials_jsonl),
        retrain=plan.retrain,
    )
    one.session.ledger.save()
    return plan


def planned_runs(one: OneSearch) -> RetrainSettings:
    """How many candidates and seeds the goal plans, and the study has: never fewer than before."""
    session = one.session
    wanted = one.plan.retrain_settings(session.n_at_once)
    return planner.at_least(session.settings.retrain, wanted)


def n_side_by_side(one: OneSearch) -> int:
    """How many of the study's searches share the workers at a time."""
    return planner.searches_at_once(one.n_searches, one.session.n_at_once, planned_runs(one), len(one.goal.families))


def _stored_plan(one: OneSearch, counted: Trials) -> RunPlan | None:
    plan = one.session.ledger.plan
    if plan is None or plan.goal.of_each_search() != one.goal.of_each_search():
        return None
    if plan.trials is not None and plan.trials != digest_of_trials(one.session.files.trials_jsonl):
        return None
    if not hands_over_found(one):
        return None
    known = by_number(counted)
    wanted = [(family, trial) for family, runs in plan.runs.items() for trial in runs.trials]
    if not wanted or not known.keys() >= set(wanted):
        return None
    candidates = {family: Trials(known[family, trial] for trial in runs.trials) for family, runs in plan.runs.items()}
    lengths = {family: runs.examples for family, runs in plan.runs.items()}
    return RunPlan(candidates, lengths, plan.retrain or planned_runs(one), plan.seconds)


def _as_noted(plan: RunPlan) -> dict[str, PlannedRuns]:
    """The plan as the ledger keeps it: the same again means that there is nothing to do."""
    return {
        family: PlannedRuns(trials=tuple(trial.number for trial in chosen), examples=tuple(plan.lengths[family]))
        for family, chosen in plan.candidates.items()
    }


class _Planner:
    def __init__(self, one: OneSearch, counted: Trials) -> None:
        self._one = one
        self._counted = counted
        self._known = by_number(counted)
        self._held = {
            family: held
            for family, held in held_by(one.session.files).items()
            if all((family, trial) in self._known for trial in held.examples)
        }

    def plan(self) -> RunPlan:
        seconds = retrain_seconds(self._one)
        if seconds is None:
            return self._timeless(planned_runs(self._one))
        costs: dict[str, planner.RunCost] = {}
        for retrain in dict.fromkeys((planned_runs(self._one), self._one.session.settings.retrain)):
            chosen = self._choose(retrain, speed_share=_SPEED_SHARE)
            costs = self._costs(chosen, retrain)
            seconds = retrain_seconds(self._one) or seconds  # to measure the speeds took some
            lengths = self._longer(chosen, costs, seconds) or self._as_long(chosen, costs, seconds)
            if lengths is None and not hands_over_found(self._one):
                lengths = self._least(chosen, costs)  # whatever it takes: no other search is compared with a given one
            if lengths is not None:
                return self._with_finalists(RunPlan(chosen, lengths, retrain, seconds))
        return self._as_before(costs, seconds)

    def _choose(self, retrain: RetrainSettings, *, speed_share: float) -> Candidates:
        settings, n = self._one.session.settings, retrain.candidates
        given_share = min(speed_share, _given_share(self._one))
        if trains_given_beside(self._one):
            found = choose_candidates(settings.of_search(self._counted), n, speed_share=speed_share)
            beside = (
                {}
                if self._one.first
                else choose_beside(
                    found, settings.of_search(self._counted), self._counted.given, given_share=given_share
                )
            )
            families = found.keys() | beside.keys()
            best = {family: Trials([*found.get(family, ()), *beside.get(family, ())]) for family in families}
        elif settings.given == "apart" and n > 1:
            best = choose_of_both(self._counted, n, speed_share=speed_share, given_share=given_share)
        elif settings.given == "apart":
            # One run of a family, many times as long as a trial, of which a trial says little: at 180 s MLPs that were
            # found, 97.8 % after a second, ended at 98.1 % and the given one, 96.9 % then, ends at 99.2.
            given = Trials(self._counted.given.completed)
            best = choose_candidates(self._counted.found, n, speed_share=speed_share)
            best |= choose_candidates(given, n, speed_share=given_share)
        else:
            best = choose_candidates(self._counted, n, speed_share=speed_share)
        chosen = {
            family: Trials(self._as_held(family, trial) for trial in best[family])
            for family in settings.families
            if family in best
        }
        if not chosen:
            raise StudyError(
                f"{self._one.session.files.root}: no trial reached a rung, so there is nothing to retrain; "
                f"{_why(self._counted)}"
            )
        return chosen

    def _as_held(self, family: str, trial: TrialRecord) -> TrialRecord:
        """The finalist of before in place of another trial of its configuration: its runs are there."""
        held = self._held.get(family)
        finalist = None if held is None else self._known[family, held.finalist]
        same = finalist is not None and identity(finalist.config) == identity(trial.config)
        return finalist if finalist is not None and same else trial

    def _with_finalists(self, plan: RunPlan) -> RunPlan:
        """The finalists of before stand again, with the runs that they have, where they were not chosen anew."""
        candidates, lengths = dict(plan.candidates), {family: list(known) for family, known in plan.lengths.items()}
        for family, held in self._held.items():
            if held.finalist not in {trial.number for trial in candidates.get(family, [])}:
                candidates[family] = Trials([*candidates.get(family, []), self._known[family, held.finalist]])
                lengths[family] = [*lengths.get(family, []), held.length]
        return replace(plan, candidates=candidates, lengths=lengths)

    # --- lengths -----------------------------------------------------------------------------------------------------

    def _timeless(self, retrain: RetrainSettings) -> RunPlan:
        """The same for every candidate of a family, as long as before: nothing may depend on a clock."""
        chosen = self._choose(retrain, speed_share=0.0)
        lengths = {}
        for family, trials in chosen.items():
            top = planner.TIMELESS_RUN * self._one.session.settings.families[family].ladder.examples[-1]
            held = self._held.get(family)
            had = held.examples if held else {}
            least = max(top, held.length) if held else top
            lengths[family] = [max(top, had.get(trial.number, least)) for trial in trials]
        return self._with_finalists(RunPlan(chosen, lengths, retrain))

    def _costs(self, chosen: Candidates, retrain: RetrainSettings) -> dict[str, planner.RunCost]:
        """What the runs will cost: as in the search, or measured afresh where fewer run at once and each is faster."""
        costs = {family: planner.run_cost(trials, retrain) for family, trials in chosen.items()}
        configs = [dict(trial.config) for trials in chosen.values() for trial in trials]
        if len(configs) * retrain.candidate_seeds >= self._one.n_workers:
            return costs
        repeated = [config for config in configs for _ in range(retrain.candidate_seeds)]
        speeds = [speed.examples_per_second for speed in run_speeds(self._one.executor, repeated)]
        measured = iter(speeds[:: retrain.candidate_seeds])
        # What could not be measured here, its trial has shown.
        return {
            family: replace(cost, speeds=[next(measured) or in_search for in_search in cost.speeds])
            for family, cost in costs.items()
        }

    def _run_seconds(self, family: str) -> float:
        """What a run of the family took; of a new family, what those of the others took."""
        seconds = run_seconds(self._one.session.files, self._held)
        return seconds.get(family, max(seconds.values(), default=0.0))

    def _least(self, chosen: Candidates, costs: Mapping[str, planner.RunCost]) -> dict[str, list[int]]:
        """Examples of runs as long as those before: in seconds, which every run gets alike, and for a configuration
        that was trained already in examples."""
        return {
            family: [
                self._held[family].examples[trial.number]
                if family in self._held and trial.number in self._held[family].examples
                else round(self._run_seconds(family) * speed)
                for trial, speed in zip(trials, costs[family].speeds, strict=True)
            ]
            for family, trials in chosen.items()
        }

    def _longer(
        self, chosen: Candidates, costs: Mapping[str, planner.RunCost], seconds: float
    ) -> dict[str, list[int]] | None:
        """All runs anew in the time that there is, if that makes each of them a good deal longer."""
        planned = self._planned(costs, seconds)
        least = self._least(chosen, costs)
        pairs = [(n, m) for family in chosen for n, m in zip(planned[family], least[family], strict=True)]
        return None if any(n < _LONGER * m for n, m in pairs) else {f: list(known) for f, known in planned.items()}

    def _planned(self, costs: Mapping[str, planner.RunCost], seconds: float) -> dict[str, tuple[int, ...]]:
        session = self._one.session
        wall, n_workers = self._one.real_seconds(seconds), self._one.n_workers
        return planner.run_lengths(costs, wall, n_workers, session.settings.dataset.n_train)

    def _as_long(
        self, chosen: Candidates, costs: Mapping[str, planner.RunCost], seconds: float
    ) -> dict[str, list[int]] | None:
        """Runs as long as before, if there is time for those that are not there yet."""
        least = self._least(chosen, costs)
        candidates, finals = {}, {}
        for family, trials in chosen.items():
            cost, held = costs[family], self._held.get(family)
            runs = [n / speed for n, speed in zip(least[family], cost.speeds, strict=True)]
            had = held.n_runs if held else {}
            missing = [max(0, cost.candidate_seeds - had.get(trial.number, 0)) for trial in trials]
            candidates[family] = [run for run, n in zip(runs, missing, strict=True) for _ in range(n)]
            n_final = held.n_final if held and not any(missing) else 0
            finals[family] = [max(runs)] * max(0, cost.final_seeds - n_final)
        return least if fits(candidates, finals, self._one.real_seconds(seconds), self._one.n_workers) else None

    def _as_before(self, costs: Mapping[str, planner.RunCost], seconds: float) -> RunPlan:
        """The candidates that there were, with the runs that they have; a new family in the time that there is."""
        candidates = {
            family: Trials(self._known[family, trial] for trial in held.examples) for family, held in self._held.items()
        }
        lengths: dict[str, list[int]] = {family: list(held.examples.values()) for family, held in self._held.items()}
        retrain = self._one.session.settings.retrain
        new = {family: cost for family, cost in costs.items() if family not in self._held}
        if new:
            chosen = self._choose(retrain, speed_share=_SPEED_SHARE)
            candidates |= {family: chosen[family] for family in new}
            lengths |= {family: list(planned) for family, planned in self._planned(new, seconds).items()}
        longest = max(map(self._run_seconds, self._held))
        note = (
            f"{seconds:.0f} s are left for retraining, too few for other candidates with runs of {longest:.0f} s as "
            "before: the finalists stay as they are"
        )
        ordered = [family for family in self._one.session.settings.families if family in candidates]
        return RunPlan({family: candidates[family] for family in ordered}, lengths, retrain, seconds, note)


def _given_share(one: OneSearch) -> float:
    """The speed share of what was given: none where trials were compared after equal seconds, as runs will be. It is
    two or three configurations, whose falls of error tell nothing of each other: by them a default study took an MLP
    that was a point behind in its trial, and ended at 98.6 %, where the other ends at 99.1."""
    in_seconds = all(family.ladder.equal == "seconds" for family in one.session.settings.families.values())
    return 0.0 if in_seconds else _SPEED_SHARE


def retrain_seconds(one: OneSearch) -> float | None:
    """Wall-clock of the runs. The first search trains more than what it found, to which each search gives its part; a
    repeat's runs are as long as the first one's, at most."""
    seconds = one.plan.retrain_seconds()
    if seconds is None:
        return None
    study, retrain = one if one.first is None else one.first, planned_runs(one)
    n_beside = _n_beside(study, retrain) if trains_given_beside(one) else 0.0
    parts = planner.parts_of_runs(retrain, study.n_searches, n_beside=n_beside)
    if one.first is None:
        return seconds * parts.first
    files = one.first.session.files
    runs = run_seconds(files, held_by(files))
    if not runs:
        return min(seconds, seconds * parts.further)
    charged = wall_of_runs(runs, retrain, one.n_workers) / one.real_seconds(1.0)
    return min(seconds, charged)


def taken_of_others(first: OneSearch) -> float:
    """Seconds that the first search has taken, and its retraining will take, of the shares of those after it."""
    planned = retrain_seconds(first) or 0.0
    return max(0.0, planned - (first.plan.seconds_for_runs or 0.0)) + first.plan.used.lent


def _n_beside(study: OneSearch, retrain: RetrainSettings) -> float:
    """What the first search trains of a family beside what it found, as a mean over the families."""
    settings, counted = study.session.settings, read_trials(study.session.files.trials_jsonl).counted
    own = settings.of_search(counted)
    found = choose_candidates(own, retrain.candidates, speed_share=_SPEED_SHARE)
    beside = choose_beside(found, own, counted.given, given_share=_given_share(study))
    return sum(map(len, beside.values())) / len(settings.families)


def trains_given_beside(one: OneSearch) -> bool:
    """Whether the finalists are found ones alone, and what was given is trained again beside them, with the first that
    was drawn: where several searches are compared. Of one search a family's finalist is the better one, whoever chose
    it."""
    study = one if one.first is None else one.first
    return study.n_searches > 1 and one.session.settings.given == "apart"


def hands_over_found(one: OneSearch) -> bool:
    """Whether the finalists are found ones where they are compared with those of other searches: a study that grows
    from one search to several may have a given one, though something was found."""
    if not trains_given_beside(one):
        return True
    held, trials = held_by(one.session.files), read_trials(one.session.files.trials_jsonl).counted
    found = choose_candidates(trials.found, 1, speed_share=0.0)
    given = {(trial.family, trial.number) for trial in trials.given}
    return all((family, known.finalist) not in given for family, known in held.items() if family in found)


def _why(trials: Trials) -> str:
    """Of a search without a candidate: how each family failed last, or that it was too short."""
    last = {trial.family: trial.reason for trial in trials if trial.state == "FAIL"}
    if not last:
        return "search longer with a larger --budget or --n-trials"
    told = "; ".join(f"{family} failed: {reason}" for family, reason in last.items())
    return f"{told}; mend the cause, or start another study (--name) with other search spaces"
