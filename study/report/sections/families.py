"""What was searched: each family's space, its rungs, and its trials by state."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from study.records.trial import SOURCES, State, TrialRecord, Trials
from study.report import budget
from study.report.best import TrialSummary, summary
from study.report.budget import Budget
from study.report.charts import Chart
from study.report.reading import StudyRecords
from study.report.section import Report
from study.report.wording import NONE, compact, count, duration
from study.space.rows import Rule, readable, rules
from study.statistics.result import OPTIONAL, PAGE_ONLY, Result

SHOWN = 10  # given trials of a family


@dataclass(frozen=True, slots=True)
class GivenRow(Result):
    """A configuration that was given, where it comes from, and how its trial ended."""

    number: int
    source: str
    state: State
    value: float | None
    held_seconds: float = field(metadata={"key": "seconds"})


@dataclass(frozen=True, slots=True)
class FamilyRow(Result):
    """`further_seeds` counts trials of a configuration that was tried before; `searched_whole` is how many
    configurations a space has of which none is left; `n_parameters` are the smallest and the largest network. `given`
    are the best of the `n_given` that were given, best first. Trials learn from so many `images`, None for all."""

    family: str
    space_file: str
    space_sha256: str
    parameters: tuple[Rule, ...]
    rungs: tuple[int, ...]
    reduction_factor: int
    states: Mapping[State, int]
    warm_starts: tuple[int, ...]
    imported: int
    given: tuple[GivenRow, ...]
    further_seeds: int
    searched_whole: int | None
    n_parameters: tuple[int, int] | None
    best: TrialSummary | None
    best_sampled: TrialSummary | None
    rungs_in_seconds: bool | None = field(default=None, metadata=OPTIONAL, kw_only=True)
    images: int | None = field(default=None, metadata=OPTIONAL, kw_only=True)
    from_files: int = field(metadata=PAGE_ONLY)
    proposed: int = field(metadata=PAGE_ONLY)
    n_given: int = field(metadata=PAGE_ONLY)

    @property
    def trials(self) -> int:
        return sum(self.states.values())

    @property
    def sizes(self) -> str:
        return " to ".join(compact(size) for size in self.n_parameters) if self.n_parameters else NONE


@dataclass(frozen=True, slots=True)
class Families(Result):
    """`meaning` is what a family is here, of which the verdict speaks."""

    families: tuple[FamilyRow, ...]
    meaning: str


def numbers(study: StudyRecords, before: Report) -> Families:
    return Families(tuple(_row(study, family) for family in study.families), _meaning(study, before[budget]))


def _meaning(study: StudyRecords, given: Budget) -> str:
    settings, retrain = study.settings, study.settings.retrain
    most = "" if given.allowance is None else f", with at most {_most(given, given.allowance)}"
    each = f" in each of {study.n_searches} searches" if study.n_searches > 1 else ""
    instead = " (up to 16 workers get half of their proposals from a surrogate instead)" if settings.surrogate else ""
    near = (
        f", with one choice of one of the best trials changed every other time{instead}," if settings.neighbours else ""
    )
    final = count(retrain.final_seeds, "final run") if retrain.final_seeds else "no further final run"
    return (
        "A family is here no more than what its search-space file describes, network and training recipe alike, as "
        f"sampler {settings.sampler} draws from it{near} and pruner {settings.pruner} stops it{most}{each}; then "
        f"{count(retrain.candidates, 'candidate')} with {count(retrain.candidate_seeds, 'seed')} each and {final}. "
        "With another space, recipe, sampler or allowance the order may be another one."
    )


def _most(given: Budget, allowance: float) -> str:
    return f"{duration(allowance)} of worker time" if given.equalised == "seconds" else count(int(allowance), "trial")


def _row(study: StudyRecords, family: str) -> FamilyRow:
    settings, trials = study.settings.families[family], study.family_trials(family)
    given = study.given_trials(family)
    space = readable(settings.space, settings.space_file)
    sizes = [trial.n_parameters for trial in trials if trial.n_parameters is not None]
    return FamilyRow(
        family=family,
        space_file=settings.space_file,
        space_sha256=hashlib.sha256(settings.space.encode()).hexdigest(),
        parameters=tuple(rules(space)) if space else (),
        rungs=tuple(settings.ladder.examples),
        reduction_factor=settings.ladder.reduction_factor,
        rungs_in_seconds=settings.ladder.equal == "seconds" or None,
        images=settings.ladder.images,
        states=trials.states,
        warm_starts=tuple(trial.number for trial in given if trial.role == "warm_start"),
        imported=sum(trial.role == "imported" for trial in given),
        given=tuple(_given(trial) for trial in _best_first(given)[:SHOWN]),
        further_seeds=sum(trial.further_seed_of is not None for trial in trials),
        searched_whole=study.ledger.searched_whole(family),
        n_parameters=(min(sizes), max(sizes)) if sizes else None,
        best=summary(trials.best),
        best_sampled=summary(trials.found.best),
        from_files=sum(trial.role == "given_file" for trial in given),
        proposed=sum(trial.role == "proposed" for trial in given),
        n_given=len(given),
    )


def _best_first(given: Trials) -> Sequence[TrialRecord]:
    ranked = given.ranked
    return [*ranked, *(trial for trial in given if trial not in ranked)]


def _given(trial: TrialRecord) -> GivenRow:
    return GivenRow(trial.number, SOURCES[trial.role], trial.state, trial.value, trial.held_seconds)


def finding(found: Families, before: Report) -> str:
    told = [f"{row.family} {_states(row)}" for row in found.families]
    return f"{count(len(told), 'family', 'families')}: {'; '.join(told)}." if told else "No family."


def _states(row: FamilyRow) -> str:
    words = f"{row.states['COMPLETE']} completed, {row.states['PRUNED']} pruned, {row.states['FAIL']} failed"
    if row.trials:
        return f"{count(row.trials, 'trial')} ({words})"
    return f"no trial drawn, {row.n_given} given" if row.n_given else "no trial"


def charts(found: Families) -> list[Chart]:
    return []
